"""The load's own connection: it also waits for what `Sql` sends, with one watcher of the hub.

psycopg makes a selector for each wait. Here one libev watcher looks at the socket as long as the
connection lives, and switches to the greenlet that waits for an answer, if one does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import gevent
import psycopg
from psycopg import pq
from psycopg.adapt import PyFormat, Transformer

from chaosaws_kms_ext.connection_strings import POSTGRESQL
from chaosaws_kms_ext.loadgen.engines.base import Engine
from chaosaws_kms_ext.loadgen.engines.postgresql_connection import (
    DeadlineConnection,
    DeadlinePassed,
)

__all__ = ["LoadConnection", "open_for_load"]

READ = 1
"""libev's EV_READ."""

WELL = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)

SEND_AGAIN = 0.001
"""Seconds until the rest of a query is sent of which the socket did not take all at once."""


class LoadConnection(DeadlineConnection):
    """A DeadlineConnection for the load's greenlets."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.prepared: set[bytes] = set()
        """Names of the statements that `Sql` has prepared."""
        self._waits: Any = None
        """The greenlet that waits for an answer."""
        self._watcher: Any = None

    def ask(self, name: bytes, text: bytes, values: Sequence[Any] | None) -> None:
        """Asks a query that is prepared once, under this name; raises psycopg.Error."""
        if name not in self.prepared:
            self.pgconn.send_prepare(name, text)
            _check(self.answer())
            self.prepared.add(name)
        self.pgconn.send_query_prepared(name, _as_text(self, values) if values else None)
        _check(self.answer())

    def answer(self) -> Any:
        """The last result of what was sent by libpq's own functions, as soon as it is whole.

        Raises psycopg.Error; DeadlinePassed closes the connection: `expire` has to be called a few
        times a second for that.
        """
        connection = self.pgconn
        while connection.flush():
            gevent.sleep(SEND_AGAIN)
        if self._watcher is None:
            self._watcher = gevent.get_hub().loop.io(connection.socket, READ)
            self._watcher.start(self._wake_up)
        result = None
        while True:
            while connection.is_busy():
                self._wait_for_more()
                connection.consume_input()
            found = connection.get_result()
            if found is None:
                return result
            result = found

    def expire(self, now: float) -> None:
        """Ends a wait of `answer` that is over its deadline; `now`: time.monotonic()."""
        if self._waits is not None and self.until is not None and now >= self.until:
            gevent.get_hub().loop.run_callback(self._give_up, self._waits)

    def close(self) -> None:
        """As psycopg closes it."""
        self._look_no_more()
        super().close()

    def abandon(self) -> None:
        """Closes it without a word to the server."""
        self._look_no_more()
        super().abandon()

    def _wait_for_more(self) -> None:
        if not self._watcher.active:
            self._watcher.start(self._wake_up)
        self._waits = gevent.getcurrent()
        try:
            gevent.get_hub().switch()
        except DeadlinePassed:
            self.abandon()
            raise
        finally:
            self._waits = None

    def _wake_up(self) -> None:
        if self._waits is not None:
            self._waits.switch()
        else:
            self._watcher.stop()  # nobody asked: the server has closed it, or says something

    def _give_up(self, waits: Any) -> None:
        # Its answer may have come meanwhile, and it may wait for the next one.
        over = self.until is not None and time.monotonic() >= self.until
        if self._waits is waits and over:
            waits.throw(DeadlinePassed("no answer before the deadline"))

    def _look_no_more(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None


def open_for_load(engine: Engine, database: str, until: float) -> Any:
    """A connection for the load's greenlets; raises the engine's errors."""
    if engine.protocol == POSTGRESQL:
        return LoadConnection.connect(database, autocommit=True)
    return engine.connect(database, until)


def _as_text(connection: LoadConnection, values: Sequence[Any]) -> Sequence[Any]:
    """Values as PostgreSQL reads them."""
    if all(type(value) in (int, str) for value in values):
        return [str(value).encode() for value in values]
    formats = [PyFormat.TEXT] * len(values)
    return Transformer(connection).dump_sequence(values, formats)


def _check(result: Any) -> None:
    if result.status in WELL:
        return
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    words = (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode(errors="replace")
    try:
        kind: type[psycopg.Error] = psycopg.errors.lookup(state)
    except KeyError:
        kind = psycopg.DatabaseError
    problem = kind(words or "the server sent no answer")
    problem.sqlstate = problem.sqlstate or state or None
    raise problem
