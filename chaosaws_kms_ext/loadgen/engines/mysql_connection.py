"""A MySQL connection that never waits longer than it was told to.

PyMySQL reads and writes a socket that it is given, here one that knows the deadline: so it bounds
every wait of the connection, also those while it is made, and the ROLLBACK of a transaction block.
Under gevent it is gevent's socket, and others go on meanwhile.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pymysql import err
from pymysql.connections import Connection
from pymysql.constants import CLIENT, CR, SERVER_STATUS
from pymysql.cursors import Cursor
from pymysql.optionfile import Parser

from chaosaws_kms_ext.connection_strings import SSL_MODES, options_of
from chaosaws_kms_ext.loadgen.engines.passfile import password_in

__all__ = ["PORT", "DeadlinePassed", "MySQLConnection"]

PORT = 3306

CONNECT_TIMEOUT = 10.0
"""Seconds, where there is no deadline."""

SAY_GOODBYE_WITHIN = 0.1
"""Seconds to tell the server that a connection is closed."""

DISABLED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY = SSL_MODES

TLS_REQUEST = 36
"""Bytes of the packet that asks for TLS (MySQL's documentation, "Protocol::SSLRequest"); one that
logs in has more."""

MALFORMED = (AssertionError, IndexError, struct.error)
"""What PyMySQL raises when it cannot read what the server sent."""

IN_THE_CLEAR = ("mysql_clear_password", "dialog")
"""Ways to log in that send the password itself."""


class DeadlinePassed(err.OperationalError):
    """No answer before the deadline; the connection is closed."""


class MySQLConnection(Connection):
    """In autocommit mode. Every wait ends at `until`."""

    number = 0
    """Of the load's connections; 0: it is none of them."""
    opened = 0
    """When a user got it, CLOCK_MONOTONIC ns."""
    sent = 0
    """When the load's newest query was sent, CLOCK_MONOTONIC ns."""
    on_hang: Callable[[Any], None] | None = None
    """Is called with the connection when a query got no answer before `until`."""

    def __init__(self, database: str, until: float | None = None) -> None:
        """Connects before `until` (CLOCK_MONOTONIC, seconds; None: no deadline).

        Raises pymysql.MySQLError.
        """
        options = options_of(database)
        host, port = options.get("host", "localhost"), int(options.get("port", PORT))
        mode = options.get("ssl-mode", REQUIRED)
        connected, address = _connected(options.get("hostaddr", host), port, until)
        self._wire = _DeadlineSocket(connected, address, until, self._hangs, plain=mode == DISABLED)
        try:
            super().__init__(
                host=host,
                port=port,
                user=options.get("user"),
                # PyMySQL would encode text as Latin-1.
                password=_password(options).encode(),
                database=options.get("dbname"),
                ssl=None if mode == DISABLED else _tls(mode, options.get("ssl-ca")),
                ssl_disabled=mode == DISABLED,
                auth_plugin_map=dict.fromkeys(IN_THE_CLEAR, _Refuses) if mode == DISABLED else {},
                autocommit=True,
                # A write is several statements, and one answer is for all of them.
                client_flag=CLIENT.MULTI_STATEMENTS,
                defer_connect=True,
            )
            self.connect(self._wire)
        except err.MySQLError:
            self._wire.close()
            raise
        except (OSError, ValueError) as problem:  # of the files for TLS, or no user is named
            self._wire.close()
            raise err.OperationalError(CR.CR_SSL_CONNECTION_ERROR, f"{problem}") from problem
        except Exception as problem:
            self._wire.close()
            raise _malformed(problem) from problem
        except BaseException:
            self._wire.close()
            raise

    @property
    def until(self) -> float | None:
        """CLOCK_MONOTONIC, seconds; None: no deadline."""
        return self._wire.until

    @until.setter
    def until(self, instant: float | None) -> None:
        self._wire.until = instant

    @property
    def closed(self) -> bool:
        """Whether it is not usable any more."""
        return not self.open

    @property
    def clean(self) -> bool:
        """Whether no transaction is open, and none begins by itself, as the server last said."""
        status: int = self.server_status
        if self._result is not None and self._result.unbuffered_active:
            return False  # of which the rest is still to come
        return bool(status & SERVER_STATUS.SERVER_STATUS_AUTOCOMMIT) and not (
            status & SERVER_STATUS.SERVER_STATUS_IN_TRANS
        )

    @property
    def address(self) -> str:
        """The server's."""
        return self._wire.address

    def fileno(self) -> int:
        """The descriptor of its socket."""
        return self._wire.fileno()

    def execute(self, query: str, params: Any = None) -> Cursor:
        """Sends a query, with its values in the place of each `%s`; returns the cursor."""
        cursor = self.cursor()
        try:
            cursor.execute(query, params)
        except DeadlinePassed:
            self.abandon()
            raise
        return cursor

    def ask(self, name: bytes, text: bytes, values: Sequence[Any] | None) -> None:
        """The same for an `Sql`; `name` is for engines that prepare it."""
        self.execute(text.decode(), values)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction: committed, or rolled back if anything is raised."""
        self.begin()
        try:
            yield
        except BaseException:
            with contextlib.suppress(err.MySQLError):
                self.rollback()
            raise
        self.commit()

    def expire(self, now: float) -> None:
        """Its socket keeps the deadline."""

    def close(self) -> None:
        """Tells the server, if that is possible at once; safe to call again."""
        self.on_hang = None  # to say goodbye is no query
        if not self._closed:
            self.until = time.monotonic() + SAY_GOODBYE_WITHIN
            super().close()
        self._wire.close()

    def abandon(self) -> None:
        """Closes it without a word to the server, which does not answer."""
        self._force_close()
        self._wire.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hangs(self) -> None:
        """PyMySQL closes it as soon as a wait fails."""
        tell, self.on_hang = self.on_hang, None
        if tell is not None:
            tell(self)

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        """The answer to a query, and each one after it where it has several."""
        try:
            return super()._read_query_result(unbuffered)
        except MALFORMED as problem:
            self.abandon()
            raise _malformed(problem) from problem


class _DeadlineSocket:
    """What PyMySQL needs of a socket; each wait ends at `until`, by DeadlinePassed."""

    def __init__(
        self,
        connected: socket.socket,
        address: str,
        until: float | None,
        late: Callable[[], None],
        plain: bool,
    ) -> None:
        """`late` is called when the deadline passes; `plain`: whether anything but the request for
        TLS may be sent without it."""
        self._socket, self.address = connected, address
        self.until = until
        self._late = late
        self._plain = plain

    def fileno(self) -> int:
        """Its descriptor; -1: it is closed."""
        return self._socket.fileno()

    def settimeout(self, seconds: float | None) -> None:
        """PyMySQL's own time-outs are for each read; the deadline is for all."""

    def makefile(self, mode: str) -> io.BufferedReader:
        """What reads from it."""
        return io.BufferedReader(_Reader(self))

    def sendall(self, data: bytes) -> None:
        """Sends all of it; raises OperationalError for what must not be sent without TLS."""
        # Older versions of PyMySQL do without where the server has none.
        if not self._plain and len(data) > TLS_REQUEST:
            raise err.OperationalError(
                CR.CR_SSL_CONNECTION_ERROR,
                "the server has no TLS: it must have, or ssl-mode must be DISABLED",
            )
        with self._bounded(asked=False):
            self._socket.sendall(data)

    def read_into(self, buffer: Any) -> int:
        """Reads what there is, at least one byte; 0 at the end."""
        with self._bounded():
            return self._socket.recv_into(buffer)

    def secure(self, context: _Context, host: str | None) -> _DeadlineSocket:
        """Goes on with TLS."""
        with self._bounded():
            self._socket = context.over(self._socket, host)
        self._plain = True
        return self

    def close(self) -> None:
        """Safe to call again."""
        self._socket.close()

    @contextlib.contextmanager
    def _bounded(self, asked: bool = True) -> Iterator[None]:
        """`asked`: whether an answer is due even if this does not begin any more."""
        left = None if self.until is None else self.until - time.monotonic()
        if left is not None and left <= 0:
            if asked:
                self._late()
            raise DeadlinePassed("no answer before the deadline")
        self._socket.settimeout(left)
        try:
            yield
        except OSError as problem:
            # gevent's TLS says it as an SSLError.
            late = self.until is not None and time.monotonic() >= self.until
            if late or isinstance(problem, TimeoutError):
                self._late()
                raise DeadlinePassed("no answer before the deadline") from None
            raise


class _Reader(io.RawIOBase):
    def __init__(self, of: _DeadlineSocket) -> None:
        self._of = of

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._of.read_into(buffer)


class _Context(ssl.SSLContext):
    """Wraps a `_DeadlineSocket` as one of the standard library wraps a socket."""

    def wrap_socket(self, sock: Any, *_: Any, server_hostname: Any = None, **__: Any) -> Any:
        return sock.secure(self, server_hostname)

    def over(self, plain: socket.socket, host: str | None) -> ssl.SSLSocket:
        """TLS over a socket."""
        return super().wrap_socket(plain, server_hostname=host)


class _Refuses:
    """In the place of a way to log in that sends the password itself, where there is no TLS."""

    def __init__(self, connection: Connection) -> None:
        pass

    def authenticate(self, packet: object) -> object:
        raise err.OperationalError(
            CR.CR_AUTH_PLUGIN_ERR,
            "the server asks for the password in the clear, and ssl-mode is DISABLED: leave it out",
        )


def _connected(host: str, port: int, until: float | None) -> tuple[socket.socket, str]:
    """A connected socket, and the address. Raises OperationalError, whose cause is the OSError."""
    left = CONNECT_TIMEOUT if until is None else until - time.monotonic()
    if left <= 0:
        raise DeadlinePassed("no connection before the deadline")
    try:
        made = socket.create_connection((host, port), timeout=left)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return made, str(made.getpeername()[0])
    except TimeoutError as problem:
        if until is not None and time.monotonic() >= until:
            raise DeadlinePassed("no connection before the deadline") from None
        raise _unreachable(host, port, problem) from problem
    except (OSError, UnicodeError) as problem:
        raise _unreachable(host, port, problem) from problem


def _malformed(problem: Exception) -> err.InternalError:
    """What the server sent is not MySQL's protocol."""
    return err.InternalError(CR.CR_MALFORMED_PACKET, f"malformed packet: {problem!r:.200}")


def _unreachable(host: str, port: int, problem: Exception) -> err.OperationalError:
    return err.OperationalError(
        CR.CR_CONN_HOST_ERROR, f"Can't connect to MySQL server on {host}:{port} ({problem})"
    )


@lru_cache(maxsize=8)
def _tls(mode: str, ca: str | None) -> _Context:
    """Raises OSError or ValueError. Kept: to read AWS' bundle takes longer than to connect."""
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == VERIFY_IDENTITY
    context.verify_mode = ssl.CERT_NONE if mode == REQUIRED else ssl.CERT_REQUIRED
    if ca:
        context.load_verify_locations(cafile=ca)
    elif mode != REQUIRED:
        context.load_default_certs()
    return context


def _password(options: Mapping[str, str]) -> str:
    """From the passfile, else as MySQL's own programs find it; empty if there is none."""
    if path := options.get("passfile"):
        return password_in(Path(path), {"port": str(PORT), **options})
    if "MYSQL_PWD" in os.environ:
        return os.environ["MYSQL_PWD"]
    file = Parser(strict=False)
    with contextlib.suppress(Exception):  # there is none, or it is for another program
        file.read(Path.home() / ".my.cnf")
        return str(file.get("client", "password"))
    return ""
