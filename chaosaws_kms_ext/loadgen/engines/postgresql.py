"""PostgreSQL, by psycopg: Aurora PostgreSQL and RDS for PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import pq

from chaosaws_kms_ext.connection_strings import POSTGRESQL
from chaosaws_kms_ext.history import Outcome
from chaosaws_kms_ext.history.columns import ReadBack, Stored
from chaosaws_kms_ext.loadgen.engines import base, postgresql_checksum
from chaosaws_kms_ext.loadgen.engines.base import (
    CLIENT,
    OURS,
    Cause,
    Checksum,
    Engine,
    Failure,
    NotOurs,
)
from chaosaws_kms_ext.loadgen.engines.postgresql_connection import (
    DeadlineConnection,
    DeadlinePassed,
)

__all__ = ["PostgreSQL"]

WORDS = {
    "Connection refused": Cause.REFUSED,
    "failed to resolve host": Cause.NO_ADDRESS,
    "could not translate host name": Cause.NO_ADDRESS,
    "unreachable": Cause.UNREACHABLE,
    "No route to host": Cause.UNREACHABLE,
    # 57P03, of which libpq has only the words.
    "the database system is": Cause.NOT_READY,
    "too many clients": Cause.FULL,
    "too many connections": Cause.FULL,
    "remaining connection slots": Cause.FULL,
    "authentication failed": Cause.DENIED,
    # Aurora User Guide, rds-proxy.troubleshooting.
    "Timed-out waiting to acquire database connection": Cause.PROXY_TIMEOUT,
    "has no credentials for the role": Cause.DENIED,
    "The password that was provided for the role": Cause.DENIED,
    "timeout expired": Cause.HANG,
    "timed out": Cause.HANG,
    "reset by peer": Cause.RESET,
    "Broken pipe": Cause.RESET,
    "closed the connection unexpectedly": Cause.RESET,
    "connection is closed": Cause.RESET,
    "the connection is lost": Cause.RESET,
}
"""In a message of libpq's or psycopg's, which are not translated → what it means."""

HOPELESS = (
    "password authentication failed",
    "does not exist",
    "no password supplied",
    "has no credentials for the role",
    "The password that was provided for the role",
)

STARTED = "SELECT extract(epoch FROM pg_postmaster_start_time())::text"

# Without a unique constraint: a row that is there twice is to be seen.
CREATE = (
    "CREATE SCHEMA chaos_kms",
    f"COMMENT ON SCHEMA chaos_kms IS '{OURS}'",
    "CREATE TABLE chaos_kms.writes "
    "(writer integer NOT NULL, sequence bigint NOT NULL, payload bigint NOT NULL)",
    "CREATE TABLE chaos_kms.registers "
    "(writer integer PRIMARY KEY, value bigint NOT NULL, payload bigint NOT NULL)",
)

COMMENT = (
    "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = 'chaos_kms'"
)

WRITE = """
WITH register AS (
    INSERT INTO chaos_kms.registers AS now (writer, value, payload)
    VALUES (%(writer)s, %(sequence)s, %(payload)s)
    ON CONFLICT (writer) DO UPDATE SET value = EXCLUDED.value, payload = EXCLUDED.payload
    WHERE now.value < EXCLUDED.value
)
INSERT INTO chaos_kms.writes (writer, sequence, payload)
VALUES (%(writer)s, %(sequence)s, %(payload)s)
"""
WRITERS = "SELECT writer FROM chaos_kms.registers ORDER BY writer DESC LIMIT %s"
READ = "SELECT value, payload FROM chaos_kms.registers WHERE writer = %s"

WRITES = "SELECT writer, sequence, payload FROM chaos_kms.writes"
REGISTERS = "SELECT writer, value, payload FROM chaos_kms.registers"


class PostgreSQL(Engine):
    """Its connections are DeadlineConnections; those of a load are faster (`LoadConnection`)."""

    protocol = POSTGRESQL
    default_load = CLIENT / "default_load.py"
    errors = psycopg.Error
    deadline_passed = DeadlinePassed

    def connect(self, database: str, until: float) -> DeadlineConnection:
        """Within the whole seconds that libpq's connect_timeout has, and at least two of them."""
        left = max(until - time.monotonic(), 2)
        connection = DeadlineConnection.connect(
            database, autocommit=True, connect_timeout=int(left)
        )
        assert isinstance(connection, DeadlineConnection)
        connection.until = until
        return connection

    def defaults(self) -> dict[str, str]:
        """From the environment, from the service that PGSERVICE names, and libpq's own."""
        found = {
            option.keyword.decode(): option.val.decode()
            for option in pq.Conninfo.get_defaults()
            if option.val is not None
        }
        return {"passfile": str(Path.home() / ".pgpass"), **found}

    def failure(self, problem: psycopg.Error, connection: DeadlineConnection | None) -> Failure:
        """An SQL state says why; without one libpq's words do."""
        code = problem.sqlstate
        if isinstance(problem, DeadlinePassed):
            return Failure(Outcome.TIMEOUT, code, Cause.HANG)
        broken = not code if connection is None else connection.closed
        outcome = Outcome.LOST if broken else Outcome.ERROR
        if code:
            return Failure(outcome, code, None)
        said = str(problem)
        cause = next((cause for words, cause in WORDS.items() if words in said), Cause.OTHER)
        return Failure(outcome, None, cause)

    def words(self, problem: psycopg.Error) -> str:
        """The primary message."""
        return problem.diag.message_primary or str(problem)

    def mistaken(self, problem: psycopg.Error, connection: DeadlineConnection) -> bool:
        """Only then has a ProgrammingError no SQL state."""
        refused = isinstance(problem, psycopg.ProgrammingError) and problem.sqlstate is None
        return refused and not connection.closed

    def hopeless(self, problem: psycopg.Error) -> bool:
        """By libpq's words, or by the kind of error."""
        said = str(problem)
        return not isinstance(problem, psycopg.OperationalError) or any(
            words in said for words in HOPELESS
        )

    def started(self, connection: DeadlineConnection) -> str | None:
        """As PostgreSQL itself says it."""
        row = connection.execute(STARTED).fetchone()
        return str(row[0]) if row else None

    def write(
        self, connection: DeadlineConnection, writer: int, sequence: int, payload: int
    ) -> None:
        """In one statement: one answer is for both."""
        values = {"writer": writer, "sequence": sequence, "payload": payload}
        connection.execute(WRITE, values, prepare=True)

    def read_register(self, connection: DeadlineConnection, writer: int) -> tuple[int, int] | None:
        """By its primary key."""
        row: tuple[int, int] | None = connection.execute(READ, (writer,), prepare=True).fetchone()
        return row

    def newest_writers(self, connection: DeadlineConnection, most: int) -> Sequence[int]:
        """Those with the highest numbers."""
        found = connection.execute(WRITERS, (most,), prepare=True).fetchall()
        return [writer for (writer,) in found]

    def make(self, connection: DeadlineConnection) -> None:
        """In one step: killed in between, the next run would take ours for somebody else's."""
        with connection.transaction():
            self.drop(connection)
            for statement in CREATE:
                connection.execute(statement)

    def drop(self, connection: DeadlineConnection) -> None:
        """With everything in it, by the comment on it."""
        found = connection.execute(COMMENT).fetchone()
        if found is None:
            return
        if found[0] != OURS:
            raise NotOurs.found()
        connection.execute("DROP SCHEMA chaos_kms CASCADE")

    def has_registers(self, connection: DeadlineConnection) -> bool:
        """By the catalogue."""
        found = connection.execute("SELECT to_regclass('chaos_kms.registers') IS NOT NULL")
        return bool((found.fetchone() or (False,))[0])

    def read_back(self, connection: DeadlineConnection) -> ReadBack:
        """In one transaction that sees what there was at its beginning."""
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return ReadBack(_stored(connection, WRITES), _stored(connection, REGISTERS))

    def checksum(self, connection: DeadlineConnection, table: str) -> Checksum:
        """Of every row as text."""
        return postgresql_checksum.checksum(connection, table)


def _stored(connection: DeadlineConnection, query: str) -> Stored:
    with connection.cursor("chaos_kms_rows", binary=True) as cursor:
        cursor.execute(query)
        return base.stored(cursor)
