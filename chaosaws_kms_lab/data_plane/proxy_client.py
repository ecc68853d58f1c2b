"""A client of the proxy, until it has said who it is and shown that it knows the password."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from typing import Protocol

from chaosaws_kms_lab.data_plane import scram
from chaosaws_kms_lab.data_plane.pg_messages import error, message, parameters_of
from chaosaws_kms_lab.data_plane.sessions import (
    CANCEL_REQUEST,
    CHUNK,
    GSSENC_REQUEST,
    LONGEST,
    SSL_REQUEST,
    STARTUP,
    TLS_HANDSHAKE,
    Channel,
)

__all__ = ["Client", "Told"]

_loop = asyncio.get_running_loop

PASSWORD = 1 << 14
"""Bytes of a message with a password at most."""

# Aurora User Guide, rds-proxy.troubleshooting: the messages. The SQL states are not documented.
NO_TLS = "This RDS Proxy requires TLS connections."
NO_USER = (
    "A user name is missing from the connection startup packet. Provide a user name for this "
    "connection."
)
OLD_PROTOCOL = (
    "Feature not supported: RDS Proxy supports only version 3.0 of the PostgreSQL messaging "
    "protocol."
)
REPLICATION = (
    "Feature not supported: RDS Proxy currently doesn't support streaming replication mode."
)
OTHER_LOGIN = "RDS supports only IAM, MD5, or SCRAM authentication."
WRONG_PASSWORD = "The password that was provided for the role {user} is wrong."


class Told(Exception):
    """What a client is told before its connection is closed."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.message = error(code, text)


class Wire(Protocol):
    """Bytes in both directions, under TLS or not."""

    async def read(self) -> bytes: ...
    async def write(self, data: bytes) -> None: ...
    async def close_tls(self) -> None: ...


class Plain:
    """A socket as it is."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    async def read(self) -> bytes:
        """None at the end."""
        return await _loop().sock_recv(self._socket, CHUNK)

    async def write(self, data: bytes) -> None:
        """Returns when the kernel has taken all of it."""
        await _loop().sock_sendall(self._socket, data)

    async def close_tls(self) -> None:
        """There is none."""


class Client:
    """One client's connection."""

    def __init__(self, end: socket.socket, context: ssl.SSLContext | None) -> None:
        """`context`: for TLS, which is then required; None: there is no TLS."""
        end.setblocking(False)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = end
        self._context = context
        self._wire: Wire = Plain(end)
        self._held = b""
        self.parameters: dict[bytes, bytes] = {}
        """Of its StartupMessage."""

    @property
    def user(self) -> str:
        """Who it says it is."""
        return self.parameters.get(b"user", b"").decode(errors="replace")

    async def begin(self) -> None:
        """Hears what the client says first; raises Told, EOFError or OSError."""
        secure = self._context is None
        while True:
            head = await self._exactly(8)
            if self._context and not secure and head[0] == TLS_HANDSHAKE:
                await self._under_tls(self._context, head)
                secure = True
                continue
            length, code = struct.unpack("!II", head)
            if not len(head) <= length <= LONGEST:
                raise EOFError("the client sent what is no message")
            body = await self._exactly(length - len(head))
            if code == SSL_REQUEST and self._context and not secure:
                await self._wire.write(b"S")
                await self._under_tls(self._context)
                secure = True
            elif code in (SSL_REQUEST, GSSENC_REQUEST):
                await self._wire.write(b"N")
            elif code == CANCEL_REQUEST:
                # Aurora User Guide, rds-proxy, "Additional limitations for Aurora PostgreSQL".
                raise EOFError("RDS Proxy cancels no statement for a client")
            elif not secure:
                raise Told("28000", NO_TLS)
            else:
                await self._started(code, body)
                return

    async def show_password(self, password: str) -> None:
        """Lets the client show that it knows the password; raises Told, EOFError or OSError."""
        offered = scram.MECHANISM + b"\0\0"
        await self.write(message(b"R", struct.pack("!I", 10) + offered))
        server = scram.Server(password)
        try:
            mechanism, _, rest = (await self._password()).partition(b"\0")
            if mechanism != scram.MECHANISM:
                raise Told("28000", OTHER_LOGIN)
            first = server.first(rest[4:])
            await self.write(message(b"R", struct.pack("!I", 11) + first))
            final = server.final(await self._password())
        except scram.Refused:
            raise Told("28P01", WRONG_PASSWORD.format(user=self.user)) from None
        await self.write(message(b"R", struct.pack("!I", 12) + final))

    async def read(self) -> bytes:
        """Its next bytes; none at the end."""
        held, self._held = self._held, b""
        return held or await self._wire.read()

    async def write(self, data: bytes) -> None:
        """Returns when the kernel has taken all of it; raises OSError."""
        await self._wire.write(data)

    async def end(self) -> None:
        """Says goodbye, under TLS; raises OSError."""
        await self._wire.close_tls()

    async def _started(self, code: int, body: bytes) -> None:
        """Takes a StartupMessage."""
        if code >> 16 != STARTUP:
            raise Told("0A000", OLD_PROTOCOL)
        said = parameters_of(body)
        options = [name for name in said if name.startswith(b"_pq_.")]
        if code & 0xFFFF or options:  # a newer minor version
            names = b"".join(name + b"\0" for name in options)
            await self.write(message(b"v", struct.pack("!II", 0, len(options)) + names))
        self.parameters = {name: its for name, its in said.items() if name not in options}
        if not self.user:
            raise Told("28000", NO_USER)
        if b"replication" in said:
            raise Told("0A000", REPLICATION)

    async def _password(self) -> bytes:
        """The body of its next message, which has to be one of those for logging in."""
        head = await self._exactly(5)
        length = int.from_bytes(head[1:], "big") - 4
        if head[:1] != b"p" or not 0 <= length <= PASSWORD:
            raise EOFError("the client did not go on with the login")
        return await self._exactly(length)

    async def _under_tls(self, context: ssl.SSLContext, said: bytes = b"") -> None:
        said += self._held
        self._held = b""
        channel = Channel(self.socket, context, said)
        await channel.shake_hands()
        self._wire = channel

    async def _exactly(self, size: int) -> bytes:
        while len(self._held) < size:
            chunk = await self._wire.read()
            if not chunk:
                raise EOFError("the client left before its first message was complete")
            self._held += chunk
        said, self._held = self._held[:size], self._held[size:]
        return said
