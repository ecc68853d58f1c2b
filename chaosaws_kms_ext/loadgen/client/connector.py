"""Makes the users' connections: a recovered database is noticed at once, and not stormed.

Attempts belong to nobody. While the database does not answer, one begins every `spacing` seconds as
long as anybody waits, however long those before it hang; the first that succeeds serves whoever
waits longest, and a moment later everybody may connect. The next one begins earlier, but never more
often than the load asks:

* after an attempt that failed at once (refused, or the server is starting up);
* when the port, at which nobody had listened, or which did not answer, accepts a connection;

and a few attempts wait as long as it takes: a server that was frozen serves those first. While many
hang beside those that the users wait for, since a database comes and goes, one begins every
`spacing` seconds too.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent
from gevent.event import Event
from gevent.queue import Queue

from chaosaws_kms_ext.loadgen.engines.base import Cause, Connection, Engine

__all__ = ["FIRST_ASKS", "MANY", "Connector"]

MANY = 50
"""Attempts in flight, beside one for each user that waits: more than one outage leaves."""
PATIENT = 2
"""Attempts that wait as long as it takes."""
PATIENCE = 86400.0
"""Seconds; the end of the load ends them too."""
NOBODY = (Cause.REFUSED, Cause.UNREACHABLE, Cause.NO_ADDRESS, Cause.RESET)
"""What an attempt sees where nobody listens."""
KNOCK = 0.01
"""Seconds that a port has to accept a connection."""
FIRST_ASKS = 0.01
"""Seconds from the first connection until the others begin: a server that has just come back is
busy with a new session for some ms, and with all of them at once the first answer would be late."""


class Connector:
    """Hands out connections, each to one user."""

    def __init__(
        self,
        engine: Engine,
        connect: Callable[[float | None], Connection],
        spacing: float,
        shortest: float = 0.0,
        listens: Callable[[float], bool] | None = None,
    ) -> None:
        """`connect` makes one attempt until an instant (time.monotonic(); None: of usual length);
        `spacing` and `shortest`: seconds between two that hang, and that fail at once; `listens`:
        whether the port accepts a connection within so many seconds, if that can be known."""
        self._engine, self._connect = engine, connect
        self._spacing, self._shortest = spacing, shortest or spacing
        self._listens = listens
        self._made: Queue = Queue()
        self._waiting = 0
        self._period = self._begun = 0
        """How often the database came back; attempts in flight that began since then."""
        self._others_from = 0.0
        """When everybody may connect, time.monotonic()."""
        self._in_flight: set[gevent.Greenlet] = set()
        self._patient: set[gevent.Greenlet] = set()
        self._last_began = self._succeeded = 0.0
        """When an attempt last did, time.monotonic()."""
        self._failing = self._accepts = False
        self._asked, self._news = Event(), Event()

    def get(self) -> Connection:
        """A new connection, as soon as there can be one."""
        self._waiting += 1
        self._asked.set()
        try:
            connection: Connection = self._made.get()
            return connection
        finally:
            self._waiting -= 1

    def suspect(self) -> None:
        """A connection was lost or did not answer: the next attempt may fail too."""
        self._failing = True
        self._news.clear()

    def work(self) -> None:
        """A greenlet's work: makes attempts while somebody waits."""
        while True:
            self._asked.clear()
            if len(self._in_flight) >= self._waiting + MANY:
                gevent.sleep(max(self._last_began + self._spacing - time.monotonic(), 0))
            if self._waiting and self._failing:
                self._begin()
                self._wait_for_news()
            elif self._waiting - self._made.qsize() > self._begun:
                gevent.sleep(max(self._others_from - time.monotonic(), 0))
                if not self._failing:
                    self._begin()
            else:
                self._asked.wait()

    def _wait_for_news(self) -> None:
        """Until the next attempt can tell something new."""
        began = time.monotonic()
        self._news.clear()
        while (left := began + self._spacing - time.monotonic()) > 0:
            if self._listens is None or self._accepts:
                if self._news.wait(left):
                    break
            else:
                knocked = time.monotonic()
                self._accepts = self._listens(min(KNOCK, left))
                if self._accepts or not self._failing:
                    break
                gevent.sleep(max(knocked + self._shortest - time.monotonic(), 0))
        gevent.sleep(max(began + self._shortest - time.monotonic(), 0))

    def _begin(self) -> None:
        self._last_began = time.monotonic()
        patient = self._failing and len(self._patient) < PATIENT
        period = -1 if self._failing else self._period
        self._begun += period == self._period
        attempt = gevent.spawn(self._attempt, patient, period)
        # As a link: one that is killed before it runs has no end of its own.
        for its in (self._in_flight, self._patient) if patient else (self._in_flight,):
            its.add(attempt)
            attempt.rawlink(its.discard)

    def _attempt(self, patient: bool, period: int) -> None:
        began = time.monotonic()
        try:
            connection = self._connect(began + PATIENCE if patient else None)
        except self._engine.errors as problem:
            # One that began before a success says nothing of now.
            self._failing = self._failing or began >= self._succeeded
            if time.monotonic() - began < self._spacing:
                # A server that says no is there; else its port is to be tried first.
                self._accepts = self._engine.failure(problem, None).cause not in NOBODY
                self._news.set()
        else:
            if self._waiting > self._made.qsize():
                self._made.put(connection)
            else:
                connection.close()
            self._succeeded = time.monotonic()
            if self._failing:
                self._failing = False
                self._period += 1
                self._begun = 0
                self._others_from = self._succeeded + FIRST_ASKS
            self._news.set()
            # They may wait for a host that is gone.
            gevent.killall(self._patient - {gevent.getcurrent()}, block=False)
        finally:
            self._begun -= period == self._period
            self._asked.set()
