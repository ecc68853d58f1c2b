"""A PostgreSQL connection that never waits longer than it was told to.

Neither a server-side statement_timeout nor TCP's own timers help against a database that hangs: the
server does nothing, and the kernel goes on acknowledging. So the deadline is kept here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg

__all__ = ["INTERVAL", "DeadlineConnection", "DeadlinePassed"]

Answer = TypeVar("Answer")

IDLE = psycopg.pq.TransactionStatus.IDLE

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
    opened = 0
    """When a user got it, CLOCK_MONOTONIC ns."""
    sent = 0
    """When the load's newest query was sent, CLOCK_MONOTONIC ns."""
    on_hang: Callable[[Any], None] | None = None
    """Is called with the connection when a query got no answer before `until`."""

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
            self.abandon()
            raise

    @property
    def clean(self) -> bool:
        """Whether no transaction is open, and none begins by itself."""
        return self.pgconn.transaction_status == IDLE and self.autocommit

    @property
    def address(self) -> str:
        """The server's."""
        return self.info.hostaddr

    def abandon(self) -> None:
        """Closes it without a word to the server, which does not answer."""
        if self.on_hang is not None and not self.closed:
            self.on_hang(self)
        self.pgconn.finish()

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
