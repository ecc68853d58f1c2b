"""The sessions of a server's clients, seen from outside: their processes, what they are doing.

No session of the lab's own is needed for it, which might hang as the others do.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import signal
import socket
import struct
import sys
import termios
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

__all__ = ["ClientSession", "ClientSessions", "HeldRequests"]

# What PostgreSQL's processes call themselves (ps_status.c): user, database, client, activity. The
# lab's own sessions come through a socket, and have `[local]` instead of an address.
TITLE = re.compile(r"postgres: (?!walsender ).+ ([0-9a-f.:]+\(\d+\))(?: (.*))?")
NAMED = "postgres: "
"""How the title of a process begins that knows what it is."""
WAITING = ("idle", "authentication")
CONNECTED_NOT_YET = ("", "initializing", "authentication", "startup")

PIDFD_GETFD = 438
"""The number of the system call, on every architecture (Linux 5.6)."""
RECEIVED = (128, 8)
"""Where tcpi_bytes_received stands in struct tcp_info, and how long it is (linux/tcp.h)."""
NEVER = 2**30
"""As SO_RCVLOWAT: no request is so long (bytes)."""


class ClientSession:
    """The process that serves one session of a client."""

    def __init__(self, process: psutil.Process, client: str) -> None:
        self.process = process
        self.client = client
        """The client's address and port: `127.0.0.1(40000)`."""
        self.found = time.monotonic()

    @property
    def waits(self) -> bool:
        """Whether it waits for its client, and so holds nothing that all others need at once.

        Raises psutil.NoSuchProcess when it has ended.
        """
        return self._activity.startswith(WAITING)

    @property
    def sleeps(self) -> bool:
        """Whether it uses no processor; raises psutil.NoSuchProcess."""
        return bool(self.process.status() == psutil.STATUS_SLEEPING)

    @property
    def connecting(self) -> bool:
        """Whether its client is not let in yet; raises psutil.NoSuchProcess."""
        return self._activity in CONNECTED_NOT_YET

    @property
    def _activity(self) -> str:
        found = TITLE.fullmatch(_title(self.process))
        return (found[2] or "") if found else ""


class ClientSessions:
    """The sessions of some servers' clients; each is found once."""

    def __init__(self) -> None:
        self.there: set[int] = set()
        """Of all processes of the servers that there are now: their ids."""
        self._known: set[int] = set()

    def new(self, postmasters: Iterable[int]) -> list[ClientSession]:
        """The sessions that were not found before, in the order in which they were made."""
        children = [pid for postmaster in postmasters for pid in _children(postmaster)]
        # While others end, Linux may leave some out that are there (proc_pid_children(5)).
        left_out = {pid for pid in self._known.difference(children) if psutil.pid_exists(pid)}
        self.there = left_out.union(children)
        self._known &= self.there
        found = []
        for pid in children:
            if pid in self._known:
                continue
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                title = _title(process)
                if title.startswith(NAMED):
                    self._known.add(pid)
                if session := TITLE.fullmatch(title):
                    found.append(ClientSession(process, session[1]))
        return found


def _title(process: psutil.Process) -> str:
    return (process.cmdline() or [""])[0].strip()


def _children(postmaster: int) -> list[int]:
    """The processes that it started; psutil would look at every process of the machine."""
    try:
        listed = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text()
    except OSError:  # another system, or it has ended
        with contextlib.suppress(psutil.NoSuchProcess):
            return sorted(child.pid for child in psutil.Process(postmaster).children())
        return []
    return [int(pid) for pid in listed.split()]


class HeldRequests:
    """What a client asks in one session waits, at least `seconds`, before the server sees it.

    The socket tells the server of no request, since none is long enough; when its time has come, a
    signal that means nothing lets the server look by itself. Linux only, and only for whoever may
    trace the server's processes: else it raises OSError.
    """

    def __init__(self, session: ClientSession, seconds: float) -> None:
        self.pid = session.process.pid
        self._session = session
        self._seconds = seconds
        self._taken = 0
        """How many bytes the server has read, at least."""
        self._came: float | None = None
        """When what waits was seen first."""
        self._let_through = False
        self._connecting = True
        self._socket, self._process = _client_socket(self.pid)
        self._hold(True)

    @staticmethod
    def possible(pid: int) -> bool:
        """Whether requests in a process can be held."""
        try:
            process = _pidfd(pid)
            try:
                os.close(_duplicate(process, 0))
            finally:
                os.close(process)
        except OSError:
            return False
        return True

    def look(self, now: float) -> None:
        """Lets a request through whose time has come; `now`: time.monotonic(); raises OSError."""
        if sys.platform != "linux":  # where nothing can be held
            return
        received = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, sum(RECEIVED))
        waits = struct.unpack("i", fcntl.ioctl(self._socket, termios.FIONREAD, b"\0" * 4))[0]
        taken = int.from_bytes(received[RECEIVED[0] :], sys.byteorder) - waits
        if taken > self._taken:  # so what waits now is another request
            if self._let_through and self._connecting:
                self._hold(True)
            self._taken, self._came, self._let_through = taken, None, False
        if not waits:
            self._came = None
        elif self._came is None:
            self._came = now
        elif not self._let_through and now - self._came >= self._seconds:
            self._let_through = True
            self._connecting = self._connecting and self._session.connecting
            if self._connecting:  # it does not listen to the signal yet
                self._hold(False)
            else:
                signal.pidfd_send_signal(self._process, signal.SIGUSR1)

    def let_go(self, wake: bool) -> None:
        """Holds nothing any more; `wake`: what waits gets through."""
        with contextlib.suppress(OSError):
            if wake:
                self._hold(False)
        self._socket.close()
        os.close(self._process)

    def _hold(self, held: bool) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, NEVER if held else 1)


def _client_socket(pid: int) -> tuple[socket.socket, int]:
    """The socket of a session to its client, and a handle of the session's process."""
    process = _pidfd(pid)
    try:
        for entry in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed in the meantime
                if os.readlink(f"/proc/{pid}/fd/{entry}").startswith("socket:"):
                    return socket.socket(fileno=_duplicate(process, int(entry))), process
        raise OSError(f"process {pid} has no client")
    except OSError:
        os.close(process)
        raise


def _pidfd(pid: int) -> int:
    if sys.platform != "linux":
        raise OSError("only Linux has such handles")
    return os.pidfd_open(pid)


def _duplicate(process: int, number: int) -> int:
    """A descriptor of this process for the file that is `number` in another (pidfd_getfd(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if (descriptor := libc.syscall(PIDFD_GETFD, process, number, 0)) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(descriptor)
