"""The schema that a load writes into: made, read back and dropped; others are not touched."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import psycopg

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.history.columns import ReadBack, Stored
from chaosaws_kms_ext.loadgen.client.connection import DeadlineConnection
from chaosaws_kms_ext.loadgen.client.registers import CREATE

__all__ = ["Hopeless", "LoadFailed", "NotOurs", "drop", "make", "rows", "within"]

OURS = "made by chaostoolkit-aws-kms for its load; dropped by it"
"""The comment on a schema of ours: one without it is never touched."""

Answer = TypeVar("Answer")

CONNECT_AGAIN = 0.25

WRITES = "SELECT writer, sequence, payload FROM chaos_kms.writes"
REGISTERS = "SELECT writer, value, payload FROM chaos_kms.registers"
CHUNK = 20_000
"""Rows that are fetched at a time."""


class LoadFailed(PlainError):
    """The load could not do its work: one sentence."""


class Hopeless(LoadFailed):
    """The load could not do its work, and trying again cannot help."""


class NotOurs(Hopeless):
    """There is a schema of that name that somebody else made."""


def make(database: str, timeout: float) -> None:
    """Makes the schema, new; raises LoadFailed within about `timeout` seconds."""

    def work(connection: DeadlineConnection) -> None:
        # In one step: killed in between, the next run would take ours for somebody else's.
        with connection.transaction():
            _drop(connection)
            connection.execute("CREATE SCHEMA chaos_kms")
            connection.execute(f"COMMENT ON SCHEMA chaos_kms IS '{OURS}'")
            for statement in CREATE:
                connection.execute(statement)

    within(database, timeout, work)


def rows(database: str, timeout: float) -> ReadBack:
    """What is in the tables, at one instant; raises LoadFailed within about `timeout` seconds."""

    def work(connection: DeadlineConnection) -> ReadBack:
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return ReadBack(_stored(connection, WRITES), _stored(connection, REGISTERS))

    return within(database, timeout, work)


def _stored(connection: DeadlineConnection, query: str) -> Stored:
    """What a query finds, a part at a time: millions of rows are not held as Python's objects."""
    parts = [Stored.of([])]
    with connection.cursor("chaos_kms_rows", binary=True) as cursor:
        cursor.execute(query)
        while found := cursor.fetchmany(CHUNK):
            parts.append(Stored.of(found))
    return Stored.joined(parts)


def drop(database: str, timeout: float) -> None:
    """Removes the schema, if it is ours; raises LoadFailed within about `timeout` seconds."""
    within(database, timeout, _drop)


def within(database: str, timeout: float, work: Callable[[DeadlineConnection], Answer]) -> Answer:
    """Connects, again and again if it must, and works; all of it before the deadline.

    Raises LoadFailed within about `timeout` seconds.
    """
    end = time.monotonic() + timeout
    while True:
        try:
            # libpq's connect_timeout has whole seconds and at least two.
            left = max(end - time.monotonic(), 2)
            with DeadlineConnection.connect(
                database, autocommit=True, connect_timeout=int(left)
            ) as connection:
                assert isinstance(connection, DeadlineConnection)
                connection.until = end
                return work(connection)
        except psycopg.Error as problem:
            final = not isinstance(problem, psycopg.OperationalError) or _hopeless(problem)
            if final or time.monotonic() + CONNECT_AGAIN > end:
                raise (Hopeless if final else LoadFailed)(_plain(problem)) from problem
            time.sleep(CONNECT_AGAIN)


def _drop(connection: DeadlineConnection) -> None:
    found = connection.execute(
        "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = 'chaos_kms'"
    ).fetchone()
    if found is None:
        return
    if found[0] != OURS:
        raise NotOurs(
            "the database has a schema chaos_kms that is not ours: rename it, or set "
            "CHAOS_LOAD_WRITES=none"
        )
    connection.execute("DROP SCHEMA chaos_kms CASCADE")


def _hopeless(problem: psycopg.Error) -> bool:
    """Whether trying again cannot help: no such user, password or database."""
    said = str(problem)
    return any(
        word in said
        for word in ("password authentication failed", "does not exist", "no password supplied")
    )


def _plain(problem: psycopg.Error) -> str:
    said = " ".join(str(problem).split())
    return f"the database cannot be used: {said[:300] or type(problem).__name__}"
