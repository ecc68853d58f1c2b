"""Makes the users' connections: sees at once that the database is back, and does not flood it.

No attempt belongs to one user. While the database does not answer, an attempt begins every
`spacing` seconds as long as any user waits, even if earlier attempts hang. The first one that
succeeds serves the user that has waited longest, and then all users may connect.
"""

from __future__ import annotations

from collections.abc import Callable

import gevent
import psycopg
from gevent.event import Event
from gevent.queue import Queue

from chaosaws_kms_ext.loadgen.client.connection import DeadlineConnection

__all__ = ["Connector"]


class Connector:
    """Hands out connections, each to one user."""

    def __init__(self, connect: Callable[[], DeadlineConnection], spacing: float) -> None:
        """`connect` makes one attempt, of bounded length; `spacing`: seconds."""
        self._connect = connect
        self._spacing = spacing
        self._made: Queue = Queue()
        self._waiting = 0
        self._in_flight = 0
        self._failing = False
        self._asked, self._succeeded = Event(), Event()

    def get(self) -> DeadlineConnection:
        """A new connection, as soon as there can be one."""
        self._waiting += 1
        self._asked.set()
        try:
            connection: DeadlineConnection = self._made.get()
            return connection
        finally:
            self._waiting -= 1

    def suspect(self) -> None:
        """A connection was lost or did not answer: the next attempt may fail too."""
        self._failing = True
        self._succeeded.clear()

    def work(self) -> None:
        """A greenlet's work: makes attempts while somebody waits."""
        while True:
            self._asked.clear()
            if self._waiting and self._failing:
                self._begin()
                self._succeeded.wait(self._spacing)
            elif self._waiting > self._in_flight:
                self._begin()
            else:
                self._asked.wait()

    def _begin(self) -> None:
        self._in_flight += 1
        gevent.spawn(self._attempt)

    def _attempt(self) -> None:
        try:
            connection = self._connect()
        except psycopg.Error:
            self.suspect()
        else:
            self._failing = False
            self._succeeded.set()
            if self._waiting > self._made.qsize():
                self._made.put(connection)
            else:
                connection.close()
        finally:
            self._in_flight -= 1
            self._asked.set()
