"""Watches how the RDS Proxy that the load goes through sees the database."""

from __future__ import annotations

import time

from chaosaws_kms_ext.aws import proxies
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.repeated_looks import Recorder, WatcherBeside, since
from chaosaws_kms_ext.run import Run

__all__ = ["ProxyWatcher", "watch_proxy"]


class ProxyWatcher(WatcherBeside):
    """Looks at the proxy's targets; a change of the writer's state is an event `proxy-target`."""

    def __init__(self, run: Run, aws: Aws, name: str) -> None:
        self._aws, self._name = aws, name
        self._seen: tuple[str, str] | None = None
        self._began = time.monotonic_ns()
        super().__init__(
            Recorder(run), run.settings.status_poll, self._look, EventName.PROXY_TARGET_UNKNOWN
        )

    def _look(self) -> None:
        """Raises AwsError."""
        began = time.monotonic_ns()
        found = proxies.targets(self._aws, self._name)
        at = time.monotonic_ns()
        its = proxies.writer_of(found)
        seen = (its.state, its.reason) if its else ("", "")
        if seen != self._seen:
            earlier = at if self._seen is None else self._began
            self._record(
                EventName.PROXY_TARGET,
                since(earlier, at),
                proxy=self._name,
                state=seen[0],
                reason=seen[1],
                description=its.description if its else "",
            )
        self._seen, self._began = seen, began


def watch_proxy(run: Run, aws: Aws) -> None:
    """Watches the run's proxy until its end, if it has one."""
    if run.proxy:
        watcher = ProxyWatcher(run, aws, run.proxy.name)
        run.at_end.callback(watcher.stop)
        watcher.start()
