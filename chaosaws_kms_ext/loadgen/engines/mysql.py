"""MySQL and MariaDB, by PyMySQL: Aurora MySQL, RDS for MySQL, RDS for MariaDB."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Sequence

from pymysql import err
from pymysql.constants import CR
from pymysql.cursors import SSCursor

from chaosaws_kms_ext.connection_strings import MYSQL
from chaosaws_kms_ext.history import Outcome
from chaosaws_kms_ext.history.columns import ReadBack, Stored
from chaosaws_kms_ext.loadgen.engines import base, mysql_checksum
from chaosaws_kms_ext.loadgen.engines.base import (
    CLIENT,
    OURS,
    Cause,
    Checksum,
    Engine,
    Failure,
    NotOurs,
)
from chaosaws_kms_ext.loadgen.engines.mysql_connection import (
    PORT,
    DeadlinePassed,
    MySQLConnection,
)

__all__ = ["MySQL"]

OF_THE_CLIENT = range(2000, 3000)
"""Numbers of errors that the server did not send (MySQL manual, "Client Error Message Reference").
"""

# MySQL manual, "Server Error Message Reference"; MariaDB documentation, "MariaDB Error Codes".
CAUSES = {
    1040: Cause.FULL,  # Too many connections
    1203: Cause.FULL,  # More than max_user_connections
    1226: Cause.FULL,  # A resource of the user's is used up
    1045: Cause.DENIED,  # Access denied (using password)
    1698: Cause.DENIED,  # Access denied
    3118: Cause.DENIED,  # The account is locked
    1053: Cause.NOT_READY,  # Server shutdown in progress
}
"""What an attempt to connect saw, by the number of the server's error."""

ENDS = frozenset({1053, 1152, 1184, 1927, 4031})
"""Errors after which the server closes the connection: it shuts down, or the session was killed."""

HOPELESS = frozenset({1044, 1045, 1049, 1142, 1227, 1290, 1698, 1836, 3118})
"""No such user, password, database or privilege, or a server that is read-only."""

QUOTES = frozenset(
    {1062, 1064, 1105, 1139, 1264, 1265, 1292, 1300, 1366, 1367, 1406, 1411, 1525, 1526, 1586}
    | {1690, 1918, 3140}
)
"""Errors whose words quote a value, of the team's data, say; or the query, which has its values in
it."""

# RDS' own mark of what is whose is a tag; a database has no comment on MySQL, but a table has one.
# `id` is there since InnoDB keeps rows by a primary key, and a server may want one. None is unique
# for the rest: a row that is there twice is to be seen.
CREATE = (
    "CREATE DATABASE IF NOT EXISTS chaos_kms",
    "CREATE TABLE chaos_kms.writes (id bigint AUTO_INCREMENT PRIMARY KEY, "
    "writer int NOT NULL, sequence bigint NOT NULL, payload bigint NOT NULL) "
    f"ENGINE=InnoDB COMMENT='{OURS}'",
    "CREATE TABLE chaos_kms.registers (writer int PRIMARY KEY, "
    "`value` bigint NOT NULL, payload bigint NOT NULL) "
    f"ENGINE=InnoDB COMMENT='{OURS}'",
)

FOREIGN = """
SELECT (
    SELECT count(*) FROM information_schema.tables
    WHERE table_schema = 'chaos_kms' AND table_comment <> %s
) + (
    SELECT count(*) FROM information_schema.routines WHERE routine_schema = 'chaos_kms'
) + (
    SELECT count(*) FROM information_schema.events WHERE event_schema = 'chaos_kms'
)
"""
"""How much there is in it that no load has made."""

WRITE = """
START TRANSACTION;
INSERT INTO chaos_kms.writes (writer, sequence, payload)
    VALUES ({writer:d}, {sequence:d}, {payload:d});
INSERT INTO chaos_kms.registers (writer, `value`, payload)
    VALUES ({writer:d}, {sequence:d}, {payload:d})
    ON DUPLICATE KEY UPDATE
        payload = IF(`value` < {sequence:d}, {payload:d}, payload),
        `value` = GREATEST(`value`, {sequence:d});
COMMIT
"""

WRITERS = "SELECT writer FROM chaos_kms.registers ORDER BY writer DESC LIMIT %s"
READ = "SELECT `value`, payload FROM chaos_kms.registers WHERE writer = %s"

WRITES = "SELECT writer, sequence, payload FROM chaos_kms.writes"
REGISTERS = "SELECT writer, `value`, payload FROM chaos_kms.registers"

HAS_REGISTERS = (
    "SELECT count(*) FROM information_schema.tables "
    "WHERE table_schema = 'chaos_kms' AND table_name = 'registers'"
)

# The server takes both from the instant at which it began with the query, in whole seconds: so the
# difference is when it had started, and always the same.
STARTED = (
    "SELECT CAST(UNIX_TIMESTAMP() - variable_value AS SIGNED) FROM {}.global_status "
    "WHERE variable_name = 'Uptime'"
)


class MySQL(Engine):
    """Its connections are MySQLConnections, those of a load too."""

    protocol = MYSQL
    default_load = CLIENT / "default_load_mysql.py"
    errors = err.MySQLError
    deadline_passed = DeadlinePassed

    def connect(self, database: str, until: float) -> MySQLConnection:
        """All of it before the deadline."""
        return MySQLConnection(database, until)

    def defaults(self) -> dict[str, str]:
        """The port; a passfile that is named comes before every other password."""
        return {"port": str(PORT)}

    def failure(self, problem: err.MySQLError, connection: MySQLConnection | None) -> Failure:
        """The number of the server's error says why; without one the socket's error does."""
        if isinstance(problem, DeadlinePassed):
            return Failure(Outcome.TIMEOUT, None, Cause.HANG)
        number = _number(problem)
        if not number or number in OF_THE_CLIENT:
            lost = connection is None or connection.closed
            return Failure(Outcome.LOST if lost else Outcome.ERROR, None, _seen(problem))
        if connection is None and number in CAUSES:
            return Failure(Outcome.LOST, None, CAUSES[number])
        lost = connection is not None and (connection.closed or number in ENDS)
        return Failure(Outcome.LOST if lost else Outcome.ERROR, _code(problem), None)

    def words(self, problem: err.MySQLError) -> str:
        """The message, up to the value that it quotes."""
        said = self.said(problem)
        return said.partition("'")[0] if _number(problem) in QUOTES else said

    def said(self, problem: err.MySQLError) -> str:
        """The message without its number."""
        return str(problem.args[-1]) if problem.args else ""

    def mistaken(self, problem: err.MySQLError, connection: MySQLConnection) -> bool:
        """Only then has a ProgrammingError no number."""
        return isinstance(problem, err.ProgrammingError) and not _number(problem)

    def hopeless(self, problem: err.MySQLError) -> bool:
        """By the number, or by what is wrong with TLS."""
        number = _number(problem)
        origin = _origin(problem)
        # Others, as one that ends in the middle, can pass.
        forged = isinstance(origin, ssl.SSLCertVerificationError)
        tls = forged or number == CR.CR_SSL_CONNECTION_ERROR
        known = isinstance(problem, (err.OperationalError, err.InternalError))
        return not known or tls or number in HOPELESS

    def started(self, connection: MySQLConnection) -> str | None:
        """By its uptime, in whole seconds."""
        maria = "mariadb" in connection.get_server_info().lower()
        schema = "information_schema" if maria else "performance_schema"
        row = connection.execute(STARTED.format(schema)).fetchone()
        return str(row[0]) if row else None

    def write(self, connection: MySQLConnection, writer: int, sequence: int, payload: int) -> None:
        """In one transaction, that is sent and answered as one."""
        text = WRITE.format(writer=writer, sequence=sequence, payload=payload)
        cursor = connection.execute(text)
        while cursor.nextset():
            pass

    def read_register(self, connection: MySQLConnection, writer: int) -> tuple[int, int] | None:
        """By its primary key."""
        row: tuple[int, int] | None = connection.execute(READ, (writer,)).fetchone()
        return row

    def newest_writers(self, connection: MySQLConnection, most: int) -> Sequence[int]:
        """Those with the highest numbers."""
        return [writer for (writer,) in connection.execute(WRITERS, (most,)).fetchall()]

    def make(self, connection: MySQLConnection) -> None:
        """MySQL makes a database and its tables in steps: one that is still empty, and has nothing
        to lose, counts as ours."""
        self.drop(connection)
        for statement in CREATE:
            connection.execute(statement)

    def drop(self, connection: MySQLConnection) -> None:
        """By the comment on each table in it."""
        row = connection.execute(FOREIGN, (OURS,)).fetchone()
        if row is None or row[0]:
            raise NotOurs.found()
        connection.execute("DROP DATABASE IF EXISTS chaos_kms")

    def has_registers(self, connection: MySQLConnection) -> bool:
        """By the catalogue."""
        row = connection.execute(HAS_REGISTERS).fetchone()
        return bool(row and row[0])

    def read_back(self, connection: MySQLConnection) -> ReadBack:
        """In one transaction that sees what there was at its beginning."""
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        found = ReadBack(_stored(connection, WRITES), _stored(connection, REGISTERS))
        connection.rollback()
        return found

    def checksum(self, connection: MySQLConnection, table: str) -> Checksum:
        """Of every row's columns as bytes."""
        return mysql_checksum.checksum(connection, table)


def _stored(connection: MySQLConnection, query: str) -> Stored:
    with connection.cursor(SSCursor) as cursor:
        cursor.execute(query)
        return base.stored(cursor)


def _number(problem: err.MySQLError) -> int:
    """Of MySQL's errors; 0: it is none of them."""
    number = problem.args[0] if len(problem.args) > 1 else 0
    return number if isinstance(number, int) else 0


def _code(problem: err.MySQLError) -> str:
    """As MySQL's own client writes it: the SQL state alone says little."""
    state = getattr(problem, "sqlstate", None)
    return f"{_number(problem)} ({state})" if state else str(_number(problem))


def _origin(problem: BaseException) -> BaseException | None:
    """What PyMySQL, or we, made a MySQLError of."""
    return problem.__cause__ or problem.__context__


def _seen(problem: err.MySQLError) -> Cause:
    """What the client saw, by the error of the socket."""
    origin = _origin(problem)
    if isinstance(origin, ConnectionRefusedError):
        return Cause.REFUSED
    if isinstance(origin, (socket.gaierror, UnicodeError)):
        return Cause.NO_ADDRESS
    if isinstance(origin, TimeoutError):
        return Cause.HANG
    if isinstance(origin, OSError) and origin.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return Cause.UNREACHABLE
    if _number(problem) in (CR.CR_SERVER_LOST, CR.CR_SERVER_GONE_ERROR):
        return Cause.RESET
    ended = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
    if isinstance(origin, ended) or isinstance(problem, err.InterfaceError):
        return Cause.RESET
    return Cause.OTHER
