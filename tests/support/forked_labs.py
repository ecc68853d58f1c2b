"""Labs that are forked from a process which has imported everything: the same, for half the work.

What a lab imports, moto above all, is half of what its start costs. Here one process of each pytest
imports it once, and forks for each lab; what the fork runs is the lab's own `main`, in a session of
its own, with the environment, the folder and the umask that a program would have been given. Tests
of how the program starts and ends, or of what it takes, start it themselves.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any
from unittest.mock import patch

from chaosaws_kms_ext.lab_client import local_lab
from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from chaosaws_kms_ext.processes import LIFELINE, Child

__all__ = ["new_lab"]

MESSAGE = 1 << 20
"""Bytes, for a whole environment."""


def new_lab(speed: float, profile: str = "observed", **more: Any) -> LocalLab:
    """As LocalLab.start."""
    forks = hasattr(os, "pidfd_open") and Path("/proc/self/status").exists()
    with patch.object(local_lab, "Child", Forked if forks else Child):
        return LocalLab.start(speed, profile, **more)


class Forked(Child):
    """A lab that was not started as a program."""

    def __init__(self, command: Sequence[str], *, log: IO[bytes], stdout: int) -> None:  # type: ignore[override]
        theirs, self._lifeline = os.pipe()
        umask = re.search(r"^Umask:\s*(\d+)$", Path("/proc/self/status").read_text(), re.M)
        assert umask
        said = {
            "arguments": command[command.index("chaosaws_kms_lab") + 1 :],
            "environment": dict(os.environ),
            "folder": os.getcwd(),
            "umask": int(umask[1], 8),
        }
        try:
            self.process = _fork(  # type: ignore[assignment]
                json.dumps(said).encode(), [stdout, log.fileno(), theirs]
            )
        finally:
            os.close(theirs)


class Process:
    """As much of a Popen as Child needs; its parent is the process that forked it."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid, self._pidfd = pid, pidfd
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        if self._ended(timeout) is None:
            raise subprocess.TimeoutExpired("lab", timeout or 0)
        return 0

    def _ended(self, timeout: float | None) -> int | None:
        """0 when it has, whatever its status was: that is for its parent only."""
        if self.returncode is None:
            if not select.select([self._pidfd], [], [], timeout)[0]:
                return None
            self.returncode = 0
            os.close(self._pidfd)
        return self.returncode


def _fork(said: bytes, descriptors: list[int]) -> Process:
    ours = _forker()
    socket.send_fds(ours, [said], descriptors)
    answer, (pidfd,), _, _ = socket.recv_fds(ours, 64, 1)
    return Process(int(answer), pidfd)


@cache
def _forker() -> socket.socket:
    """The process that forks, seen from the tests; it ends when we do."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE)
    with theirs:
        forker = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    atexit.register(lambda: (ours.close(), forker.wait()))
    return ours


# In the process that forks


def main(control: socket.socket) -> None:
    """Forks a lab for each message, until nobody can send one any more."""
    lab_main, reseed = _import_everything()
    signal.signal(signal.SIGCHLD, _reap)
    while True:
        said, descriptors, _, _ = socket.recv_fds(control, MESSAGE, 3)
        if not said:
            return
        # None is reaped before it has its descriptor.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if not pid:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            reseed()
            _become_a_lab(json.loads(said), *descriptors, lab_main)
        pidfd = os.pidfd_open(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        socket.send_fds(control, [str(pid).encode()], [pidfd])
        for descriptor in (*descriptors, pidfd):
            os.close(descriptor)


def _reap(*_: Any) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _import_everything() -> tuple[Callable[[], int], Callable[[], None]]:
    from moto.moto_api._internal import mock_random

    from chaosaws_kms_lab import __main__ as program
    from chaosaws_kms_lab import serving, wire

    assert serving
    wire.check()
    return program.main, mock_random.seed


def _become_a_lab(
    said: Mapping[str, Any], stdout: int, log: int, lifeline: int, lab_main: Callable[[], int]
) -> None:
    """Does not return."""
    status = 1
    try:
        os.setsid()
        os.dup2(stdout, 1)
        os.dup2(log, 2)
        os.close(stdout)
        os.close(log)
        os.environ.clear()
        os.environ.update(said["environment"], **{LIFELINE: str(lifeline)})
        os.chdir(said["folder"])
        os.umask(said["umask"])
        tempfile.tempdir = None
        sys.argv[1:] = said["arguments"]
        status = lab_main()
    except SystemExit as asked:
        status = int(asked.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
