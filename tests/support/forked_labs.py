"""Labs that are forked; tests of how the program starts and ends, or of what it takes, start it
themselves."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from select import select
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from chaosaws_kms_ext.lab_client import local_lab
from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from tests.support import forks
from tests.support.forked_child import ForkedChild
from tests.support.no_servers import NoServers

__all__ = ["new_lab", "prepare"]

IMPORTED = (
    "_strptime", "colorama.initialise", "cryptography.x509", "flask.debughelpers",
    "moto.cloudwatch.models", "moto.cloudwatch.responses", "moto.events.responses",
    "moto.iam.responses", "moto.resourcegroupstaggingapi.responses", "moto.s3.responses",
    "moto.sts.responses",
)  # fmt: skip
"""What a lab imports when somebody calls it."""


WITHOUT_SERVERS = "TESTS_LAB_WITHOUT_SERVERS"
"""Variable that leaves a lab without a PostgreSQL."""


def new_lab(speed: float, profile: str = "observed", servers: bool = True, **more: Any) -> LocalLab:
    """As LocalLab.start; without `servers` its clusters have no data, and cost nothing."""
    environment = {} if servers else {WITHOUT_SERVERS: "yes"}
    with patch.object(local_lab, "Child", ForkedChild), patch.dict(os.environ, environment):
        return LocalLab.start(speed, profile, **more)


class NoServersAt(NoServers):
    """As much of Servers as the program needs."""

    binaries = SimpleNamespace(psql=None)

    def __init__(self, directory: Path, speed: float, tls: bool) -> None:
        super().__init__()
        self.speed = speed


class ForkedReaper:
    """As much of a Popen as a lab needs: its reaper, which it forks while it has one thread."""

    def __init__(
        self, command: Sequence[str], *, stdin: int, pass_fds: tuple[int], start_new_session: bool
    ) -> None:
        assert (stdin, start_new_session) == (subprocess.PIPE, True)
        theirs, ours = os.pipe()
        if not (pid := os.fork()):
            forks.run_alone(command[1:], theirs, pass_fds, self._main)
        os.close(theirs)
        self.stdin, self._pid, self._pidfd = os.fdopen(ours, "wb"), pid, os.pidfd_open(pid)

    def wait(self, timeout: float) -> None:
        if not select([self._pidfd], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("reaper", timeout)
        os.close(self._pidfd)
        os.waitpid(self._pid, 0)

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)

    @staticmethod
    def _main(directory: str) -> None:
        from chaosaws_kms_lab import reaper

        reaper.main(Path(directory))


def _no_database(*_: Any, **__: Any) -> Any:
    """Takes the rows that a lab begins with."""
    return contextlib.nullcontext(SimpleNamespace(execute=lambda rows: None))


def prepare() -> Callable[[], int]:
    """In the process that forks."""
    from moto.moto_api._internal import mock_random

    from chaosaws_kms_lab import __main__ as program
    from chaosaws_kms_lab import reaper, seed, serving, wire

    assert serving
    for name in IMPORTED:
        import_module(name)
    wire.check()

    reaper.subprocess = SimpleNamespace(  # type: ignore[assignment]
        Popen=ForkedReaper, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired
    )

    def main() -> int:
        mock_random.seed()
        if os.environ.pop(WITHOUT_SERVERS, ""):
            program.Servers = NoServersAt  # type: ignore[assignment, misc]
            seed.psycopg = SimpleNamespace(connect=_no_database)  # type: ignore[assignment]
        return program.main()

    return main
