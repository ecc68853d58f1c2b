"""One client's connection: its first messages, TLS, and the bytes that are passed on.

It waits only on plain sockets, and can be cancelled at every wait: then nothing more is passed on,
and both sockets stay open.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
from collections.abc import Callable
from typing import TypeVar

__all__ = ["Channel", "Session"]

logger = logging.getLogger(__name__)

CHUNK = 65536
"""Bytes that are read at once; no more are held in either direction."""

LONGEST = 10000
"""Bytes of a first message, as in PostgreSQL (MAX_STARTUP_PACKET_LENGTH)."""

# PostgreSQL manual, "Message Formats": codes in place of a StartupMessage's version.
SSL_REQUEST, GSSENC_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
STARTUP = 3
"""The major version of the protocol."""
TLS_HANDSHAKE = 0x16
"""The first byte of TLS if a client does not ask first (sslnegotiation=direct)."""

T = TypeVar("T")

_loop = asyncio.get_running_loop


class Session:
    """A `client` on its way to the server at `address`."""

    def __init__(self, client: socket.socket, address: tuple[str, int]) -> None:
        self.client = client
        self._address = address
        self._server = socket.socket()
        for end in (client, self._server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def run(self, context: ssl.SSLContext, authentication_timeout: float) -> None:
        """Runs until the client or the server has gone; both sockets stay open."""
        try:
            async with asyncio.timeout(authentication_timeout):
                # Before any answer: without a server nothing may answer.
                await _loop().sock_connect(self._server, self._address)
                channel = await self._negotiate(context)
            if channel:
                await self._relay(channel)
        except (OSError, EOFError) as end:
            logger.debug("a session ended: %r", end)

    def close(self) -> None:
        """Closes both sockets; safe to call again."""
        self.client.close()
        self._server.close()

    # What a client says first

    async def _negotiate(self, context: ssl.SSLContext) -> Channel | None:
        """The client's channel under TLS; None: its request was answered without TLS."""
        while True:
            head = await self._exactly(8)
            if head[0] == TLS_HANDSHAKE:
                channel = await self._under_tls(context, head)
                return channel if channel.for_postgresql else None
            length, code = struct.unpack("!II", head)
            if not len(head) <= length <= LONGEST:
                return None
            message = head + await self._exactly(length - len(head))
            if code == SSL_REQUEST:
                await self._answer(b"S")
                return await self._under_tls(context)
            if code == GSSENC_REQUEST:
                await self._answer(b"N")
                continue
            if code == CANCEL_REQUEST:
                await self._cancel(message)
            elif code >> 16 == STARTUP:
                await self._answer(_refusal(self.client.getpeername()[0], message[8:]))
            return None

    async def _under_tls(self, context: ssl.SSLContext, said: bytes = b"") -> Channel:
        channel = Channel(self.client, context, said)
        await channel.shake_hands()
        return channel

    async def _cancel(self, request: bytes) -> None:
        """Passes a CancelRequest on; the server closes the connection when it has acted on it."""
        await _loop().sock_sendall(self._server, request)
        await _loop().sock_recv(self._server, 1)

    async def _exactly(self, size: int) -> bytes:
        said = b""
        while len(said) < size:
            chunk = await _loop().sock_recv(self.client, size - len(said))
            if not chunk:
                raise EOFError("the client left before its first message was complete")
            said += chunk
        return said

    async def _answer(self, answer: bytes) -> None:
        await _loop().sock_sendall(self.client, answer)

    # What is passed on

    async def _relay(self, channel: Channel) -> None:
        """Ends when the server closes its side, or when the client has gone."""
        try:
            async with asyncio.TaskGroup() as both:
                up = both.create_task(self._up(channel))
                await self._down(channel)
                up.cancel()
        except* OSError as ends:
            logger.debug("a session ended: %r", ends.exceptions)

    async def _up(self, channel: Channel) -> None:
        while data := await channel.read():
            await _loop().sock_sendall(self._server, data)
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_WR)

    async def _down(self, channel: Channel) -> None:
        while data := await _loop().sock_recv(self._server, CHUNK):
            await channel.write(data)
        await channel.close_tls()


class Channel:
    """A socket under TLS, for one task that reads and one that writes.

    asyncio's own start_tls loses what has been read already (CPython issue 142352), and its
    transports go on sending what they have buffered, which nothing but closing them can stop.
    """

    def __init__(self, client: socket.socket, context: ssl.SSLContext, said: bytes) -> None:
        self._socket = client
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._incoming.write(said)
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._sending = asyncio.Lock()

    @property
    def for_postgresql(self) -> bool:
        """Whether the client named the protocol, as PostgreSQL requires it for direct TLS."""
        return self._tls.selected_alpn_protocol() is not None

    async def shake_hands(self) -> None:
        """Raises EOFError or ssl.SSLError if it fails; the client has been told why."""
        await self._with_input(self._tls.do_handshake)

    async def read(self) -> bytes:
        """The client's next bytes, at most `CHUNK`; none at the end."""
        try:
            return await self._with_input(lambda: self._tls.read(CHUNK))
        except (ssl.SSLZeroReturnError, EOFError):
            return b""

    async def write(self, data: bytes) -> None:
        """Returns when the kernel has taken all of it."""
        self._tls.write(data)
        await self._send()

    async def close_tls(self) -> None:
        """Ends TLS, so that the client knows that nothing is missing."""
        with contextlib.suppress(ssl.SSLError):  # it would wait for the client to end TLS as well
            self._tls.unwrap()
        await self._send()

    async def _with_input(self, step: Callable[[], T]) -> T:
        """The result of `step`, after as much input as it needs."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                pass
            finally:
                await self._send()  # a handshake's next message, or why it failed
            said = await _loop().sock_recv(self._socket, CHUNK)
            if not said:  # OpenSSL must not be told: it would send nothing more either
                raise EOFError("the client left")
            self._incoming.write(said)

    async def _send(self) -> None:
        if not self._outgoing.pending:
            return
        async with self._sending:
            await _loop().sock_sendall(self._socket, self._outgoing.read())


def _refusal(host: str, parameters: bytes) -> bytes:
    """PostgreSQL's answer to a StartupMessage without TLS if `rds.force_ssl` is 1.

    Aurora User Guide, "Securing Aurora PostgreSQL data with SSL/TLS"; PostgreSQL 14 and later say
    `no encryption` where that page has the older `SSL off`.
    """
    parts = parameters.split(b"\0")
    given = dict(zip(parts[::2], parts[1::2], strict=False))
    user = given.get(b"user", b"")
    database = given.get(b"database", user)
    why = b'no pg_hba.conf entry for host "%b", user "%b", database "%b", no encryption'
    fields = (b"SFATAL", b"VFATAL", b"C28000", b"M" + why % (host.encode(), user, database), b"")
    body = b"".join(field + b"\0" for field in fields)
    return b"E" + struct.pack("!I", 4 + len(body)) + body
