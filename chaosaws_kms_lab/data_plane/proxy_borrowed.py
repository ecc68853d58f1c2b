"""A connection from the proxy to the database's writer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Mapping, Sequence

from chaosaws_kms_lab.data_plane import scram
from chaosaws_kms_lab.data_plane.pg_messages import (
    SYNC,
    Failure,
    failure_of,
    message,
    startup,
)

__all__ = ["Borrowed", "NotNow", "Rejected"]

CONNECT_WITHIN = 10.0
"""Seconds for one attempt; others follow."""

LONGEST = 1 << 20
"""Bytes of a message of the handshake."""

NOT_NOW = ("53300", "57P01", "57P02", "57P03")
"""The server is full, ends, or is starting up."""

_loop = asyncio.get_running_loop


class NotNow(Exception):
    """The database takes no connection now, and may later."""


class Rejected(Exception):
    """The database says why it does not let this user in."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Borrowed:
    """A database connection that one client has."""

    def __init__(self, end: socket.socket, address: tuple[str, int]) -> None:
        self.socket = end
        self.address = address
        self.greeting = b""
        """What the server says of itself after the login (ParameterStatus), as it was sent."""

    @classmethod
    async def open(
        cls,
        address: tuple[str, int],
        parameters: Mapping[bytes, bytes],
        password: str,
        made: Callable[[socket.socket], None],
    ) -> Borrowed:
        """Connects and logs in; `made` gets the socket first, and may shut it down.

        Raises NotNow or Rejected.
        """
        end = socket.socket()
        try:
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made(end)
            connection = cls(end, address)
            async with asyncio.timeout(CONNECT_WITHIN):
                await _loop().sock_connect(end, address)
                await connection._log_in(parameters, password)
        except (OSError, EOFError, TimeoutError, scram.Refused, ValueError) as problem:
            end.close()
            raise NotNow(str(problem)) from None
        except BaseException:
            end.close()
            raise
        return connection

    def close(self) -> None:
        """Ends it; safe to call again."""
        with contextlib.suppress(OSError):
            self.socket.send(b"X\0\0\0\4")  # so that the server's log does not complain
        self.socket.close()

    async def send(self, data: bytes) -> None:
        """Returns when the kernel has taken all of it; raises OSError."""
        await _loop().sock_sendall(self.socket, data)

    async def prepare(self, statements: Sequence[bytes]) -> None:
        """Prepares what a session had prepared; one that cannot be stays out. Raises NotNow."""
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                for each in statements:
                    await self.send(each + SYNC)
                    while (await self._next())[0] != b"Z":
                        pass
        except (OSError, EOFError, TimeoutError) as problem:
            raise NotNow(str(problem)) from None

    async def _log_in(self, parameters: Mapping[bytes, bytes], password: str) -> None:
        await self.send(startup(parameters))
        client = scram.Client(password)
        while True:
            kind, body = await self._next()
            if kind == b"E":
                failure = failure_of(body)
                raise NotNow(failure.message) if failure.code in NOT_NOW else Rejected(failure)
            if kind == b"R":
                await self._answer(client, body)
            elif kind == b"S":
                self.greeting += message(kind, body)
            elif kind == b"Z":
                return

    async def _answer(self, client: scram.Client, asked: bytes) -> None:
        """Answers one Authentication message: PostgreSQL manual, "Message Formats"."""
        how = int.from_bytes(asked[:4], "big")
        if how == 10:
            said = client.first()
            body = scram.MECHANISM + b"\0" + struct.pack("!I", len(said)) + said
        elif how == 11:
            body = client.final(asked[4:])
        else:
            return
        await self.send(message(b"p", body))

    async def _next(self) -> tuple[bytes, bytes]:
        """The next message of the server; raises EOFError."""
        head = await self._exactly(5)
        length = int.from_bytes(head[1:], "big") - 4
        if not 0 <= length <= LONGEST:
            raise EOFError("the server sent what is no message")
        return head[:1], await self._exactly(length)

    async def _exactly(self, size: int) -> bytes:
        said = b""
        while len(said) < size:
            chunk = await _loop().sock_recv(self.socket, size - len(said))
            if not chunk:
                raise EOFError("the server closed the connection")
            said += chunk
        return said
