"""Programs that are forked from a process which has imported everything: the same, for less work.

What a program of ours imports is most of what a short one costs. Here one process imports it once
for a pytest and all its workers, and forks for each start; what the fork runs is the program's own
`main`, in a session of its own, with the arguments, the environment, the folder and the umask that
it would have been given; psutil tells its command line and its environment. A fork may fork
programs too, as the program would have started them.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import gc
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from importlib import import_module

# Those of Python itself, also where gevent has replaced them.
from os import fork as os_fork
from os import waitpid
from pathlib import Path
from select import select
from signal import signal as on_signal
from socket import socket as own_socket
from typing import Any, NoReturn

__all__ = ["POSSIBLE", "SOCKETS", "Process", "fork", "ready", "run_alone", "share"]

POSSIBLE = hasattr(os, "pidfd_open") and Path("/proc/self/status").exists()

MESSAGE = 1 << 20
"""Bytes, for a whole environment."""

STATUS = struct.Struct("i")
"""How the process that forks tells an exit status: negative if a signal ended the program."""

UNKNOWN = 255
"""The exit status of a program whose parent is gone."""

SOCKETS = "TESTS_FORKS"
"""Variable with the folder of the sockets at which processes take orders to fork."""

PYTEST = "pytest"
"""The socket, in that folder, of the pytest with which they end."""

ROOM = 8192
"""Bytes in each process for the command line and the environment that psutil reads."""


class Process:
    """As much of a Popen as its users need; its parent is the process that forked it."""

    def __init__(self, pid: int, pidfd: int, status: int) -> None:
        self.pid, self._pidfd, self._status = pid, pidfd, status
        self.returncode: int | None = None
        self._lock = threading.Lock()

    def __del__(self) -> None:
        # Not before: another thread may be waiting for them.
        os.close(self._pidfd)
        os.close(self._status)

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        if (status := self._ended(timeout)) is None:
            raise subprocess.TimeoutExpired("fork", timeout or 0)
        return status

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and not select([self._pidfd], [], [], timeout)[0]:
            return None
        with self._lock:
            if self.returncode is None:
                told = os.read(self._status, STATUS.size)
                self.returncode = STATUS.unpack(told)[0] if told else UNKNOWN
        return self.returncode


def fork(
    module: str,
    command: Sequence[str],
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
    assert ready(module)
    ours, theirs = os.pipe()
    said = {
        "command": list(command),
        "environment": dict(os.environ if environment is None else environment),
        "folder": folder or os.getcwd(),
        "umask": int(umask[1], 8),
        "kept": list(kept),
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE)
        control.connect(str(_socket_of(module)))
        try:
            descriptors = [theirs, stdout, stderr, *kept.values()]
            socket.send_fds(control, [json.dumps(said).encode()], descriptors)
        finally:
            os.close(theirs)
        answer, (pidfd,), _, _ = socket.recv_fds(control, 64, 1)
    return Process(int(answer), pidfd, ours)


def share(worker: bool) -> None:
    """In each pytest, before anything is forked: its workers have the same processes that fork.

    They end with the one pytest that is no worker.
    """
    if not POSSIBLE:
        return
    if not worker:
        folder = tempfile.mkdtemp(prefix="forks-")
        atexit.register(shutil.rmtree, folder)
        os.environ[SOCKETS] = folder
        own = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        own.bind(str(Path(folder, PYTEST)))
        own.listen(64)
        atexit.register(own.close)
    _SHARED[:] = [os.environ[SOCKETS]]


_SHARED: list[str] = []
"""The folder of the sockets, in a pytest: in no other process may anything be started."""


def ready(module: str) -> bool:
    """Whether there is a process that forks this; a pytest starts one if there is none."""
    if [os.environ.get(SOCKETS)] != _SHARED:
        return _socket_of(module).exists()
    _start_forker(module)
    return True


def _socket_of(module: str) -> Path:
    """Where a process that forks takes orders."""
    return Path(os.environ.get(SOCKETS, os.devnull)) / module.rpartition(".")[2]


@cache
def _start_forker(module: str) -> None:
    where = _socket_of(module)
    with where.with_name(PYTEST + "-lock").open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if where.exists():  # another worker was first
            return
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        lifeline = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with listener, lifeline:
            lifeline.connect(str(where.with_name(PYTEST)))
            listener.bind(str(where))
            listener.listen(64)
            numbers = (listener.fileno(), lifeline.fileno())
            forker = subprocess.Popen(
                [sys.executable, "-m", __name__, module, *map(str, numbers), " " * ROOM],
                env={**os.environ, "ROOM": " " * ROOM},
                pass_fds=numbers,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
    atexit.register(forker.poll)  # it stays until the last of the workers has ended


# In the process that forks


def main(module: str, listener: socket.socket, lifeline: socket.socket) -> Any:
    """Forks for each order, until the lifeline closes; in a fork, the program."""
    program: Callable[[], Any] = import_module(module).prepare()
    gc.freeze()  # what was imported is no garbage
    statuses: dict[int, int] = {}
    on_signal(signal.SIGCHLD, lambda *_: _reap(statuses))
    while lifeline not in select([listener, lifeline], [], [])[0]:
        with own_socket(fileno=listener._accept()[0]) as control:  # type: ignore[attr-defined]
            said, descriptors = _order(control)
            if not said:
                continue  # whoever asked was killed: what it asked for is not wanted any more
            # None is reaped before it has its descriptor.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
            pid = os_fork()
            if not pid:
                on_signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
                for other in (*statuses.values(), descriptors[0]):
                    os.close(other)
                for ours in (listener, lifeline, control):
                    ours.close()
                _become(json.loads(said), *descriptors[1:])
                _end_as(program)
            statuses[pid] = descriptors[0]
            pidfd = os.pidfd_open(pid)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            with contextlib.suppress(OSError):  # killed meanwhile; the program sees its lifeline
                socket.send_fds(control, [str(pid).encode()], [pidfd])
            for descriptor in (*descriptors[1:], pidfd):
                os.close(descriptor)
    return 0


def _order(control: socket.socket) -> tuple[bytes, list[int]]:
    """What to fork, and its descriptors; nothing if nobody asks any more."""
    try:
        said, descriptors, _, _ = socket.recv_fds(control, MESSAGE, 8)
    except OSError:
        return b"", []
    return said, descriptors


def _end_as(program: Callable[[], Any]) -> None:
    """Runs the program and ends as Python does, but frees nothing: the process is gone anyway.

    To free all that was imported is more work than most programs do.
    """
    try:
        status = program()
    except SystemExit as ended:
        status = ended.code
    if not (status is None or isinstance(status, int)):  # words, which Python writes
        sys.exit(status)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit((status or 0) & 0xFF)


def _reap(statuses: dict[int, int]) -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := waitpid(-1, os.WNOHANG))[0]:
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
    sys.argv[:] = said["command"][said["command"][0] == "-m" :]
    _show(said["command"])


def run_alone(
    command: Sequence[str], stdin: int, kept: Collection[int], main: Callable[..., Any]
) -> NoReturn:
    """In a process that a program has just forked: `main`, as a program of its own would run it,
    with the last argument of `command` and these descriptors."""
    status = 1
    try:
        os.setsid()
        os.dup2(stdin, 0)
        for name in os.listdir("/proc/self/fd"):
            if int(name) not in {0, 1, 2, *kept}:
                with contextlib.suppress(OSError):  # that of the list
                    os.close(int(name))
        _show(command)
        main(command[-1])
        status = 0
    finally:
        os._exit(status)


def _show(command: Sequence[str]) -> None:
    """Writes the command line and the environment where /proc reads them (proc(5))."""
    numbers = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    arguments, arguments_end, environment, end = map(int, numbers[45:49])
    title = os.fsencode(" ".join((sys.executable, *command)))[: ROOM // 2]
    pairs = b"".join(key + b"=" + value + b"\0" for key, value in os.environb.items())
    assert arguments_end - arguments > ROOM
    assert end - environment > len(pairs)
    ctypes.memset(arguments, 0, arguments_end - arguments)
    ctypes.memmove(arguments, title, len(title))
    ctypes.memset(arguments_end - 1, 1, 1)  # so one text ends at its null, and not the arguments
    ctypes.memset(environment, 0, end - environment)
    ctypes.memmove(environment, pairs, len(pairs))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *(socket.socket(fileno=int(n)) for n in sys.argv[2:4])))
