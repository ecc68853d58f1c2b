"""A query given as its SQL text and its values: asked at a fraction of what psycopg needs for it.

psycopg waits for each answer by a selector of its own, and makes Python objects of it, of which the
load needs none. Here the text is prepared once on each connection, libpq's asynchronous functions
do the rest (PostgreSQL manual, "Asynchronous Command Processing"), and the answer is looked at for
errors only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer

from chaosaws_kms_ext.loadgen.client.load_connection import LoadConnection

__all__ = ["Sql"]

Values = Callable[[], Sequence[Any]]

WELL = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
NUMBERS = itertools.count(1)


class Sql:
    """A query of the mix: `one = Sql("SELECT … WHERE id = $1", lambda: (random.randint(1, 4),))`.

    Placeholders are PostgreSQL's own, `$1` and so on.
    """

    def __init__(self, text: str, values: Values | None = None, weight: int = 1) -> None:
        """`values` makes those of one arrival; of weights 3 and 1 the first is asked three times as
        often."""
        self._text = text.encode()
        self._values = values
        self._name = f"chaos_{next(NUMBERS)}".encode()
        self.weight = weight

    def __call__(self, user: object, connection: LoadConnection) -> None:
        """Asks it; raises psycopg.Error. `user` is the Locust user, as for a method of it."""
        if self._name not in connection.prepared:
            connection.pgconn.send_prepare(self._name, self._text)
            _check(connection.answer())
            connection.prepared.add(self._name)
        values = _as_text(connection, self._values()) if self._values else None
        connection.pgconn.send_query_prepared(self._name, values)
        _check(connection.answer())


def _as_text(connection: LoadConnection, values: Sequence[Any]) -> Sequence[Any]:
    """Values as PostgreSQL reads them."""
    if all(type(value) in (int, str) for value in values):
        return [str(value).encode() for value in values]
    formats = [psycopg.adapt.PyFormat.TEXT] * len(values)
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
