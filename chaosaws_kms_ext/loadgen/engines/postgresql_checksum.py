"""How PostgreSQL adds up a table: a hash of every row as text, with fixed formats."""

from __future__ import annotations

import time
from typing import Any

from psycopg import sql

from chaosaws_kms_ext.loadgen.engines.base import Checksum, LoadFailed
from chaosaws_kms_ext.loadgen.engines.postgresql_connection import DeadlineConnection

__all__ = ["checksum"]

# PostgreSQL manual, "Client Connection Defaults": what decides how a value is written as text. With
# row_security off it is an error, and not silently fewer rows, if the user may not see all of them.
WRITTEN_ALIKE = {
    "bytea_output": "hex",
    "DateStyle": "ISO, YMD",
    "extra_float_digits": "3",
    "IntervalStyle": "iso_8601",
    "lc_monetary": "C",
    "row_security": "off",
    "search_path": "pg_catalog",
    "TimeZone": "UTC",
    "xmlbinary": "base64",
}

FIND = """
SELECT n.nspname, c.relname, c.relkind::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = pg_catalog.to_regclass(%s::text)
"""

WITH_ROWS = frozenset("rpmvf")
"""pg_class.relkind: tables, partitioned and foreign ones, views and materialized views."""

# ROW(t.*), and not t: that would be the column, of a table that has one called so.
ADD_UP = sql.SQL("""
SELECT count(*),
    coalesce(sum(('x' || substr(hash, 1, 16))::bit(64)::bigint), 0),
    coalesce(sum(('x' || substr(hash, 17, 16))::bit(64)::bigint), 0)
FROM (SELECT md5(ROW(t.*)::text) AS hash FROM {} AS t) AS hashes
""")


def checksum(connection: DeadlineConnection, table: str) -> Checksum:
    """The checksum of a table or view, named as in SQL: users, shop.users, "My Shop"."Users".

    Raises LoadFailed and psycopg.Error.
    """
    named = _find(connection, table)
    settings = {**WRITTEN_ALIKE, "statement_timeout": str(_left(connection))}
    for name, value in settings.items():
        connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))
    (answer,) = connection.execute(ADD_UP.format(named)).fetchall()
    count, *halves = answer
    return Checksum(count, "".join(f"{int(half) % 2**64:016x}" for half in halves))


# Internals


def _find(connection: DeadlineConnection, table: str) -> sql.Identifier:
    found: tuple[Any, ...] | None = connection.execute(FIND, (table,)).fetchone()
    if found is None or found[2] not in WITH_ROWS:
        raise LoadFailed(f"the database has no table {table}: name it as in SQL, schema.table")
    return sql.Identifier(found[0], found[1])


def _left(connection: DeadlineConnection) -> int:
    """Milliseconds until the deadline: the server must not go on after we have left."""
    assert connection.until is not None
    return max(round((connection.until - time.monotonic()) * 1000), 1)
