"""Rows that a crash loses by order: drawn from those that were written last."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

__all__ = ["Lost", "lose"]

Connect = Callable[[str], psycopg.Connection[tuple[Any, ...]]]
"""A connection, of one who may do everything, to the database of this name."""

POOL = 10
"""From how many times as many rows those that are lost are drawn."""

DATABASES = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1"
TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY 1, 2
"""
NEWEST = """
SELECT age(xmin), ctid::text, to_jsonb(a_row) FROM {} a_row
ORDER BY age(xmin), ctid DESC LIMIT {}
"""


class Lost(NamedTuple):
    """One row that is gone."""

    database: str
    table: str
    row: dict[str, Any]


class Candidate(NamedTuple):
    """One row that could go; they sort by how long ago they were written."""

    age: int
    """In transactions."""
    database: str
    schema: str
    table: str
    place: str
    row: dict[str, Any]


def lose(connect: Connect, writes: int, seed: int) -> list[Lost]:
    """Removes `writes` rows, or all that there are, without a trace in triggers or constraints."""
    pool = sorted(_candidates(connect, POOL * writes), key=lambda each: each[:5])[: POOL * writes]
    drawn = random.Random(seed).sample(pool, min(writes, len(pool)))
    for database in sorted({each.database for each in drawn}):
        with connect(database) as connection:
            # No trigger sees it and no foreign key objects, as none does when storage loses a row.
            connection.execute("SET session_replication_role = replica")
            for each in drawn:
                if each.database == database:
                    table = sql.Identifier(each.schema, each.table)
                    gone = sql.SQL("DELETE FROM {} WHERE ctid = %s::tid").format(table)
                    connection.execute(gone, (each.place,))
    return [Lost(each.database, f"{each.schema}.{each.table}", each.row) for each in drawn]


def _candidates(connect: Connect, most: int) -> Iterator[Candidate]:
    """The newest rows of every table, `most` of each."""
    with connect("postgres") as connection:
        databases = [name for (name,) in connection.execute(DATABASES)]
    for database in databases:
        with connect(database) as connection:
            for schema, table in connection.execute(TABLES).fetchall():
                newest = sql.SQL(NEWEST).format(sql.Identifier(schema, table), sql.Literal(most))
                for age, place, row in connection.execute(newest):
                    yield Candidate(age, database, schema, table, place, row)
