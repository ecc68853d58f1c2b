"""Changes rows by order: one of those that were written first, or some that were written last."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from chaosaws_kms_lab.data_plane.lost_rows import Connect, as_text, draw, tables

__all__ = ["Changed", "change", "change_newest"]

POOL = 10
"""The number of a table's rows from which one is drawn."""

OLDEST = "SELECT age(xmin), ctid::text FROM ONLY {} ORDER BY age(xmin) DESC, ctid LIMIT {}"
# Not of the primary key: it must stay the same row.
COLUMNS = """
SELECT a.attname, t.typcategory FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = {}::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
  AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary
                  AND a.attnum = ANY (i.indkey))
ORDER BY a.attnum
"""
# As in lost_rows.TABLES: what an update would evaluate with the rights of the lab's superuser.
EVALUATES = """
SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = {0}::regclass AND contype IN ('c', 'x'))
    OR EXISTS (SELECT FROM pg_index WHERE indrelid = {0}::regclass
               AND (indexprs IS NOT NULL OR indpred IS NOT NULL))
    OR EXISTS (SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
               WHERE a.attrelid = {0}::regclass AND a.attnum > 0 AND NOT a.attisdropped
               AND t.typtype NOT IN ('b', 'e'))
"""
# PostgreSQL manual, pg_type, typcategory → another value of such a type, no longer than the first.
OTHERWISE = {
    "B": "NOT {0}",
    "D": "{0} + interval '25 hours'",
    "N": "{0} + 1",
    "S": "CASE left({0}, 1) WHEN 'x' THEN 'y' ELSE 'x' END || substr({0}, 2)",
}
READ = "SELECT * FROM ONLY {} WHERE ctid = {}::tid"
UPDATE = "UPDATE ONLY {} SET {} = {} WHERE ctid = {}::tid RETURNING *"


class Changed(NamedTuple):
    """One row that is not as it was."""

    database: str
    table: str
    column: str
    before: str | None
    after: str | None
    """As PostgreSQL writes it."""
    row: dict[str, str | None]
    """Column → value, as they are now."""


class Table(NamedTuple):
    """Some rows of one table; tables sort by how long ago the first row was written."""

    age: int
    """In transactions, negative."""
    database: str
    schema: str
    name: str
    places: tuple[str, ...]


def change(connect: Connect, seed: int) -> Changed | None:
    """Changes a row, if possible in the table with the oldest row, and returns it.

    None: no table has a row with a column that can be changed. Triggers and constraints do not see
    the change, as they do not see it when storage returns something else.
    """
    drawn = random.Random(seed)
    for table in sorted(_tables(connect)):
        with connect(table.database) as connection:
            connection.execute("SET session_replication_role = replica")
            for place in drawn.sample(table.places, len(table.places)):
                if changed := _changed(connection, table, place):
                    return changed
    return None


def change_newest(connect: Connect, writes: int, seed: int) -> list[Changed]:
    """Changes `writes` rows of those that were written last, and returns them.

    Fewer, if there are not so many or if they have no column that can be changed.
    """
    changed = []
    for row in draw(connect, writes, seed):
        table = Table(row.age, row.database, row.schema, row.table, (row.place,))
        with connect(row.database) as connection:
            connection.execute("SET session_replication_role = replica")
            if found := _changed(connection, table, row.place):
                changed.append(found)
    return changed


def _tables(connect: Connect) -> Iterator[Table]:
    for database, found in tables(connect):
        with connect(database) as connection:
            for schema, name in found:
                oldest = sql.SQL(OLDEST).format(sql.Identifier(schema, name), sql.Literal(POOL))
                rows = connection.execute(oldest).fetchall()
                if rows:
                    places = tuple(place for _, place in rows)
                    yield Table(-rows[0][0], database, schema, name, places)


def _changed(
    connection: psycopg.Connection[tuple[Any, ...]], table: Table, place: str
) -> Changed | None:
    """The row with another value in the first column that takes one."""
    name, where = sql.Identifier(table.schema, table.name), sql.Literal(place)
    quoted_name = sql.Literal(name.as_string(connection))
    if connection.execute(sql.SQL(EVALUATES).format(quoted_name)).fetchone() != (False,):
        return None
    columns = sql.SQL(COLUMNS).format(quoted_name)
    before = as_text(connection.execute(sql.SQL(READ).format(name, where))) or {}
    for column, category in connection.execute(columns).fetchall():
        if before.get(column) is None or category not in OTHERWISE:
            continue
        quoted = sql.Identifier(column)
        value = sql.SQL(OTHERWISE[category]).format(quoted)
        try:
            after = as_text(connection.execute(sql.SQL(UPDATE).format(name, quoted, value, where)))
        except psycopg.Error:  # a constraint, a rule, a type that only looks like one of these
            continue
        if after is None or after[column] == before[column]:  # a rule, or infinity
            return None
        told = f"{table.schema}.{table.name}"
        return Changed(table.database, told, column, before[column], after[column], after)
    return None
