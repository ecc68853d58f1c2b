"""Sessions that hang: their sockets are kept, to see when the server is heard of again.

A user goes on with a new session after its deadline. A client without a deadline would wait for as
long as its session hangs.
"""

from __future__ import annotations

import _socket  # gevent's would wait
import os
import resource
from collections.abc import Callable
from typing import Any, NamedTuple

import gevent

from chaosaws_kms_ext.history import Outcome
from chaosaws_kms_ext.loadgen.engines.base import Connection

__all__ = ["Hung", "HungSessions"]

READ = 1
"""libev's EV_READ."""

KEPT_FREE = 128
"""Descriptors, beside one for each user: for attempts to connect, and the load's files."""


class Hung(NamedTuple):
    """A session that hung; instants are CLOCK_MONOTONIC ns."""

    number: int
    opened: int
    since: int
    """When the query was sent that got no answer in time."""


class HungSessions:
    """Follows them until the server sends something, or the connection is closed."""

    def __init__(self, most: int, ended: Callable[[Hung, Outcome], None]) -> None:
        """`most`: sessions that are followed at once, as many as the load has users; fewer where
        the limit of open files leaves no descriptors for that, since the users connect anew.

        `ended` is told how it ended: OK (the server sent something), LOST (the connection was
        closed), ABORTED (not followed any more).
        """
        self._most, self._ended = most, ended
        self._followed: dict[_socket.socket, tuple[Any, Hung]] = {}
        """Copy of its socket → what looks at that, and the session."""

    def follow(self, connection: Connection) -> None:
        """Follows a session whose query got no answer in time; its connection may be closed."""
        session = Hung(connection.number, connection.opened, connection.sent)
        copy = self._copy(connection) if len(self._followed) < self._room() else None
        if copy is None:
            self._ended(session, Outcome.ABORTED)
            return
        watcher = gevent.get_hub().loop.io(copy.fileno(), READ)
        self._followed[copy] = watcher, session
        watcher.start(self._heard, copy)

    def close(self) -> None:
        """Follows none any more."""
        for copy in list(self._followed):
            self._end(copy, Outcome.ABORTED)

    def _room(self) -> int:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = self._most if limit == resource.RLIM_INFINITY else limit - self._most - KEPT_FREE
        return min(self._most, free)

    def _copy(self, connection: Connection) -> _socket.socket | None:
        try:
            return _socket.socket(fileno=os.dup(connection.fileno()))
        except OSError:  # too many open files, or it is closed
            return None

    def _heard(self, copy: _socket.socket) -> None:
        try:
            sent = bool(copy.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT))
        except BlockingIOError:
            return
        except OSError:
            sent = False
        self._end(copy, Outcome.OK if sent else Outcome.LOST)

    def _end(self, copy: _socket.socket, outcome: Outcome) -> None:
        watcher, session = self._followed.pop(copy)
        watcher.close()
        copy.close()
        self._ended(session, outcome)
