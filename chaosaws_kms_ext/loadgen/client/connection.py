"""A PostgreSQL connection that never waits longer than it was told to.

Neither a server-side statement_timeout nor TCP's own timers help against a database that hangs: the
server does nothing, and the kernel goes on acknowledging. So the deadline is kept here.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

import gevent
import psycopg

__all__ = ["INTERVAL", "DeadlineConnection", "DeadlinePassed"]

Answer = TypeVar("Answer")

READ = 1
"""libev's EV_READ."""

INTERVAL = 0.05
"""Seconds between two looks at the clock while waiting."""


class DeadlinePassed(psycopg.OperationalError, TimeoutError):
    """No answer before the deadline; the connection is closed."""


class DeadlineConnection(psycopg.Connection[Any]):
    """Every wait ends at `until`; what has to wait after it fails at once.

    So one deadline bounds all queries of an operation, and the ROLLBACK that leaving a transaction
    block would send to a database that hangs.
    """

    until: float | None = None
    """CLOCK_MONOTONIC, seconds; None: no deadline."""
    number = 0
    """Of the load's connections; 0: it is none of them."""
    prepared: set[bytes]
    """Names of statements that were prepared by `Sql`."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.prepared = set()
        self._waits: Any = None
        """The greenlet that waits for an answer."""
        self._readable: Any = None

    def answer(self) -> Any:
        """The last result of what was sent by libpq's own functions, as soon as it is whole.

        Raises psycopg.Error; DeadlinePassed closes the connection. Whoever holds the connection
        calls `expire` a few times a second.
        """
        connection = self.pgconn
        while connection.flush():
            gevent.sleep(0.001)  # more than the socket takes at once
        if self._readable is None:
            self._readable = gevent.get_hub().loop.io(connection.socket, READ)
            self._readable.start(self._wake_up)
        result = None
        while True:
            while connection.is_busy():
                self._wait_for_more()
                connection.consume_input()
            found = connection.get_result()
            if found is None:
                return result
            result = found

    def _wait_for_more(self) -> None:
        if not self._readable.active:
            self._readable.start(self._wake_up)
        self._waits = gevent.getcurrent()
        try:
            gevent.get_hub().switch()
        except DeadlinePassed:
            self._look_no_more()
            self.pgconn.finish()
            raise
        finally:
            self._waits = None

    def _wake_up(self) -> None:
        if self._waits is not None:
            self._waits.switch()
        else:
            self._readable.stop()  # nobody asked: the server has closed it, or says something

    def expire(self, now: float) -> None:
        """Ends a wait of `answer` that is over its deadline; `now`: time.monotonic()."""
        if self._waits is not None and self.until is not None and now >= self.until:
            gevent.get_hub().loop.run_callback(self._give_up, self._waits)

    def _give_up(self, waits: Any) -> None:
        if self._waits is waits:
            waits.throw(DeadlinePassed("no answer before the deadline"))

    def close(self) -> None:
        """As psycopg closes it."""
        self._look_no_more()
        super().close()

    def _look_no_more(self) -> None:
        if self._readable is not None:
            self._readable.close()
            self._readable = None

    def wait(
        self, gen: Generator[Any, Any, Answer], interval: float = INTERVAL, *args: Any, **more: Any
    ) -> Answer:
        """As psycopg waits, but no longer than `until`."""
        if self.until is None:
            return super().wait(gen, interval, *args, **more)
        left = self.until - time.monotonic()
        try:
            return super().wait(self._bounded(gen), max(min(interval, left), 0.001), *args, **more)
        except DeadlinePassed:
            # Closed by whoever owns it, here: from another thread it would be a crash.
            self._look_no_more()
            self.pgconn.finish()
            raise

    def _bounded(self, gen: Generator[Any, Any, Answer]) -> Generator[Any, Any, Answer]:
        # psycopg resumes a generator with 0 when nothing was ready for `interval` seconds.
        try:
            waited_for = next(gen)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        while True:
            ready = yield waited_for
            try:
                waited_for = gen.send(ready)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            # After what there was to read: an answer in time counts, an endless trickle does not.
            if self.until is not None and time.monotonic() >= self.until:
                gen.close()
                raise DeadlinePassed("no answer before the deadline")
