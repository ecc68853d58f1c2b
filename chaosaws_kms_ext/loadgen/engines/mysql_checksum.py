"""How MySQL adds up a table: a hash of every row, made of a hash of each column's bytes.

The hash of a column has one length, whatever is in it: so no row is longer than the server takes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from chaosaws_kms_ext.loadgen.engines.base import Checksum, LoadFailed
from chaosaws_kms_ext.loadgen.engines.mysql_connection import MySQLConnection

__all__ = ["checksum", "names_in"]

COLUMNS = """
SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = IFNULL(%s, DATABASE()) AND table_name = %s ORDER BY ordinal_position
"""

ADD_UP = """
SELECT count(*), count(hash),
    IFNULL(SUM(CAST(CONV(SUBSTRING(hash, 1, 16), 16, 10) AS UNSIGNED)), 0),
    IFNULL(SUM(CAST(CONV(SUBSTRING(hash, 17, 16), 16, 10) AS UNSIGNED)), 0)
FROM (SELECT MD5(CONCAT({columns})) AS hash FROM {table}) AS hashes
"""

HASH = "IF({0} IS NULL, '-', MD5(CAST({1} AS BINARY)))"
"""Of a column; one without a value has another length. A value that is longer than the server's
max_allowed_packet gives NULL, and so does its row."""

AS_TEXT = {"float": "{} * 1e0"}
"""Type → what is written in full: of a float the server would write six digits (MySQL manual,
"Problems with Floating-Point Values")."""


def checksum(connection: MySQLConnection, table: str) -> Checksum:
    """The checksum of a table or view: users, shop.users, `My Shop`.`Users`.

    Raises LoadFailed and pymysql.MySQLError.
    """
    *schema, name = names_in(table)
    found = connection.execute(COLUMNS, (schema[0] if schema else None, name)).fetchall()
    if not found:
        raise LoadFailed(f"the database has no table {table}: name it as in SQL, schema.table")
    connection.execute(_limit(connection))
    # A timestamp is written in the session's time zone.
    connection.execute("SET time_zone = '+00:00'")
    columns = ", ".join(_hash(_quoted(column), kind) for *_, column, kind in found)
    its = f"{_quoted(found[0][0])}.{_quoted(found[0][1])}"
    # The catalogue has only the columns that the user may see: else others would not be compared.
    connection.execute(f"SELECT * FROM {its} LIMIT 0")
    row = connection.execute(ADD_UP.format(columns=columns, table=its)).fetchone()
    count, hashed, *halves = row or (0, 0, 0, 0)
    if hashed != count:
        raise LoadFailed(
            f"{table} has values that are longer than the server's max_allowed_packet, and cannot "
            "be compared"
        )
    return Checksum(int(count), "".join(f"{int(half) % 2**64:016x}" for half in halves))


def names_in(table: str) -> Sequence[str]:
    """A table's name, and its schema's before it: with or without backticks around each.

    Raises LoadFailed.
    """
    names, rest = [], table
    while True:
        if rest.startswith("`"):
            name, rest = _unquoted(rest)
        else:
            name, dot, rest = rest.partition(".")
            rest = dot + rest
        names.append(name)
        if not rest:
            break
        if not rest.startswith(".") or len(names) == 2:
            names.append("")
            break
        rest = rest[1:]
    if not all(names):
        raise LoadFailed(f"{table} names no table: name it as in SQL, schema.table")
    return names


def _limit(connection: MySQLConnection) -> str:
    """What keeps the server from going on after we have left."""
    assert connection.until is not None
    left = max(connection.until - time.monotonic(), 0.001)
    if "mariadb" in connection.get_server_info().lower():
        return f"SET max_statement_time = {left:.3f}"
    return f"SET max_execution_time = {left * 1000:.0f}"


def _hash(column: str, kind: str) -> str:
    return HASH.format(column, AS_TEXT.get(str(kind).lower(), "{}").format(column))


def _unquoted(text: str) -> tuple[str, str]:
    """What stands between the backticks that it begins with, and what comes after them."""
    at = 1
    while (end := text.find("`", at)) >= 0:
        if not text.startswith("``", end):
            return text[1:end].replace("``", "`"), text[end + 1 :]
        at = end + 2
    return "", text


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"
