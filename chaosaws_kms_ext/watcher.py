"""Watches key and cluster from the side and records every change, with how exact it is."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass

from chaosaws_kms_ext.aws import kms, rds
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.rds import Cluster
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.run import Instant, Run

__all__ = ["Look", "Watcher", "watch"]


@dataclass(frozen=True)
class Look:
    """Key and cluster at one instant."""

    began: int
    at: int
    """CLOCK_MONOTONIC, ns: when AWS was asked, and when the answers had come."""
    key_state: str
    cluster: Cluster


class Watcher:
    """A thread that looks at the key and the cluster every `interval` seconds.

    A change is recorded as an event `status` whose `at` is the look that saw it; it happened at
    most `within_seconds` earlier.
    """

    def __init__(self, run: Run, aws: Aws, cluster_id: str, key_arn: str, interval: float) -> None:
        self._run, self._aws = run, aws
        self._cluster_id, self.key = cluster_id, key_arn
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self.latest: Look | None = None

    def start(self) -> None:
        """Takes the first look here, so that what is wrong is raised here; then goes on beside."""
        self.latest = self._look(None)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; safe to call again."""
        self._stop.set()
        with contextlib.suppress(RuntimeError):
            self._thread.join(timeout=60)

    def _watch(self) -> None:
        failing = False
        while not self._stop.wait(self._interval):
            try:
                self.latest = self._look(self.latest)
                failing = False
            except AwsError as problem:
                # Said once for a row of failures: the next look that succeeds goes on.
                if not failing:
                    self._run.event(EventName.STATUS_UNKNOWN, why=str(problem))
                failing = True

    def _look(self, before: Look | None) -> Look:
        began = time.monotonic_ns()
        key = kms.describe(self._aws, self.key)
        cluster = rds.describe(self._aws, self._cluster_id)
        look = Look(began, time.monotonic_ns(), key.state, cluster)
        if before is None or _visible(before) != _visible(look):
            earlier = look.at if before is None else before.began
            self._run.event(
                EventName.STATUS,
                Instant(look.at, round((look.at - earlier) / 1e9, 3)),
                key=look.key_state,
                cluster=cluster.status,
                instances=dict(cluster.instances),
                meaning=cluster.meaning,
            )
        return look


def watch(run: Run, aws: Aws, cluster_id: str, key_arn: str) -> Watcher:
    """The run's watcher, which watches these; raises AwsError."""
    watcher = Watcher(run, aws, cluster_id, key_arn, run.settings.status_poll)
    watcher.start()
    run.at_end.callback(watcher.stop)
    run.watcher = watcher
    return watcher


def _visible(look: Look) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    cluster = look.cluster
    return look.key_state, cluster.status, tuple(sorted(cluster.instances.items()))
