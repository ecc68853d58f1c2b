"""Programs that are forked from a process which has imported everything: the same, for less work.

What a program of ours imports is most of what a short one costs. Here one process of each pytest
imports it once, and forks for each start; what the fork runs is the program's own `main`, in a
session of its own, with the arguments, the environment, the folder and the umask that it would have
been given. What psutil tells of its command line and its environment is of the process that forks.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["POSSIBLE", "Process", "fork"]

POSSIBLE = hasattr(os, "pidfd_open") and Path("/proc/self/status").exists()

MESSAGE = 1 << 20
"""Bytes, for a whole environment."""

STATUS = struct.Struct("i")
"""How the process that forks tells an exit status: negative if a signal ended the program."""

UNKNOWN = 255
"""The exit status of a program whose parent is gone."""


class Process:
    """As much of a Popen as its users need; its parent is the process that forked it."""

    def __init__(self, pid: int, pidfd: int, status: int) -> None:
        self.pid, self._pidfd, self._status = pid, pidfd, status
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        if (status := self._ended(timeout)) is None:
            raise subprocess.TimeoutExpired("fork", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            if not select.select([self._pidfd], [], [], timeout)[0]:
                return None
            told = os.read(self._status, STATUS.size)
            self.returncode = STATUS.unpack(told)[0] if told else UNKNOWN
            os.close(self._pidfd)
            os.close(self._status)
        return self.returncode


def fork(
    module: str,
    arguments: Sequence[str],
    stdout: int,
    stderr: int,
    *,
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
    kept: Mapping[str, int] | None = None,
) -> Process:
    """Starts a program. `module` has a function `prepare`, which imports everything and returns the
    program's main; `kept`: descriptors that it inherits, by the variable that tells it which."""
    umask = re.search(r"^Umask:\s*(\d+)$", Path("/proc/self/status").read_text(), re.M)
    assert umask
    kept = kept or {}
    ours, theirs = os.pipe()
    said = {
        "arguments": list(arguments),
        "environment": dict(os.environ if environment is None else environment),
        "folder": folder or os.getcwd(),
        "umask": int(umask[1], 8),
        "kept": list(kept),
    }
    control = _forker(module)
    try:
        descriptors = [theirs, stdout, stderr, *kept.values()]
        socket.send_fds(control, [json.dumps(said).encode()], descriptors)
    finally:
        os.close(theirs)
    answer, (pidfd,), _, _ = socket.recv_fds(control, 64, 1)
    return Process(int(answer), pidfd, ours)


@cache
def _forker(module: str) -> socket.socket:
    """The process that forks, seen from the tests; it ends when we do."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE)
    with theirs:
        forker = subprocess.Popen(
            [sys.executable, "-m", __name__, module, str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    atexit.register(lambda: (ours.close(), forker.wait()))
    return ours


# In the process that forks


def main(module: str, control: socket.socket) -> int:
    """Forks for each message, until nobody can send one any more; in a fork, the program."""
    program: Callable[[], Any] = import_module(module).prepare()
    gc.freeze()  # what was imported is no garbage
    statuses: dict[int, int] = {}
    signal.signal(signal.SIGCHLD, lambda *_: _reap(statuses))
    while True:
        said, (*descriptors,), _, _ = socket.recv_fds(control, MESSAGE, 8)
        if not said:
            return 0
        # None is reaped before it has its descriptor.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if not pid:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            for other in (*statuses.values(), descriptors[0]):
                os.close(other)
            _become(json.loads(said), *descriptors[1:])
            return program()
        statuses[pid] = descriptors[0]
        pidfd = os.pidfd_open(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        socket.send_fds(control, [str(pid).encode()], [pidfd])
        for descriptor in (*descriptors[1:], pidfd):
            os.close(descriptor)


def _reap(statuses: dict[int, int]) -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            told = statuses.pop(ended[0])
            with contextlib.suppress(BrokenPipeError):
                os.write(told, STATUS.pack(os.waitstatus_to_exitcode(ended[1])))
            os.close(told)


def _become(said: Mapping[str, Any], stdout: int, stderr: int, *kept: int) -> None:
    os.setsid()
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    for descriptor in {stdout, stderr}:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(said["environment"])
    for name, descriptor in zip(said["kept"], kept, strict=True):
        os.environ[name] = str(descriptor)
    os.chdir(said["folder"])
    os.umask(said["umask"])
    tempfile.tempdir = None
    sys.argv[:] = said["arguments"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], socket.socket(fileno=int(sys.argv[2]))))
