"""Lets a crash lose rows by order: it draws from those that were written last."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from chaosaws_kms_lab.data_plane.postgres import OWN_DATABASE

__all__ = ["Candidate", "Connect", "Lost", "as_text", "draw", "lose", "tables"]

Connect = Callable[[str], psycopg.Connection[tuple[Any, ...]]]
"""Database → a connection of the superuser to it."""

POOL = 10
"""The lost rows are drawn from so many times as many."""

LONGEST = 1000
"""Characters of a value that are recorded."""

DATABASES = """
SELECT datname FROM pg_database WHERE datallowconn AND datconnlimit <> -2 AND NOT datistemplate
ORDER BY 1
"""
# The lab's superuser touches their rows, so no code of the tables' owner may run: no generated
# columns, no triggers or rules that fire ALWAYS (session_replication_role stops the others).
TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND NOT EXISTS (SELECT FROM pg_trigger t
                  WHERE t.tgrelid = c.oid AND t.tgenabled IN ('A', 'R') AND NOT t.tgisinternal)
  AND NOT EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_enabled IN ('A', 'R'))
  AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attgenerated <> '')
ORDER BY 1, 2
"""
# ONLY: a table that inherits can have rows with the same ctid.
NEWEST = "SELECT age(xmin), ctid::text FROM ONLY {} ORDER BY age(xmin), ctid DESC LIMIT {}"
GONE = "DELETE FROM ONLY {} WHERE ctid = {}::tid RETURNING *"


class Lost(NamedTuple):
    """One row that is gone."""

    database: str
    table: str
    row: dict[str, str | None]
    """Column → value, as PostgreSQL writes it."""


class Candidate(NamedTuple):
    """One row that could be lost or changed; candidates sort by how long ago they were written."""

    age: int
    """In transactions."""
    database: str
    schema: str
    table: str
    place: str


def lose(connect: Connect, writes: int, seed: int) -> list[Lost]:
    """Removes `writes` rows, or all if there are fewer, and returns them.

    Triggers and constraints do not see it, as they do not see it when storage loses a row. Tables
    with generated columns, or with a trigger or rule that fires ALWAYS, keep their rows.
    """
    drawn = draw(connect, writes, seed)
    lost = []
    for database in sorted({each.database for each in drawn}):
        with connect(database) as connection:
            connection.execute("SET session_replication_role = replica")
            for each in drawn:
                if each.database == database and (row := _removed(connection, each)):
                    lost.append(Lost(database, f"{each.schema}.{each.table}", row))
    return lost


def draw(connect: Connect, writes: int, seed: int) -> list[Candidate]:
    """Draws `writes` of the rows that were written last."""
    pool = sorted(_candidates(connect, POOL * writes))[: POOL * writes]
    return random.Random(seed).sample(pool, min(writes, len(pool)))


def tables(connect: Connect) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Every database, and the schema and name of each table in it that is not PostgreSQL's own."""
    with connect(OWN_DATABASE) as connection:
        databases = [name for (name,) in connection.execute(DATABASES)]
    for database in databases:
        with connect(database) as connection:
            found = [(schema, table) for schema, table in connection.execute(TABLES)]
        yield database, found


def as_text(cursor: psycopg.Cursor[Any]) -> dict[str, str | None] | None:
    """The first row of a result, column → value as PostgreSQL writes it; None: there is none."""
    result = cursor.pgresult
    if result is None or not result.ntuples:
        return None
    return {
        column.name: None
        if (value := result.get_value(0, number)) is None
        else value[:LONGEST].decode(errors="replace")
        for number, column in enumerate(cursor.description or ())
    }


def _removed(
    connection: psycopg.Connection[tuple[Any, ...]], which: Candidate
) -> dict[str, str | None] | None:
    """The row that was removed; None: it is still there."""
    table, place = sql.Identifier(which.schema, which.table), sql.Literal(which.place)
    try:
        cursor = connection.execute(sql.SQL(GONE).format(table, place))
    except psycopg.Error:
        return None
    return as_text(cursor)


def _candidates(connect: Connect, most: int) -> Iterator[Candidate]:
    """The newest rows of every table, `most` of each."""
    for database, found in tables(connect):
        with connect(database) as connection:
            for schema, table in found:
                newest = sql.SQL(NEWEST).format(sql.Identifier(schema, table), sql.Literal(most))
                for age, place in connection.execute(newest):
                    yield Candidate(age, database, schema, table, place)
