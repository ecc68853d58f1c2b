"""A TLS proxy for a server that was built without TLS; it freezes and ends with the server."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import struct
from collections.abc import Iterable

from chaosaws_kms_lab.data_plane.listening import ANSWER_WITHIN, Listeners, LoopThread
from chaosaws_kms_lab.data_plane.sessions import Session

__all__ = ["TlsProxies", "TlsProxy"]

logger = logging.getLogger(__name__)

AUTHENTICATION_TIMEOUT = 60.0
"""Seconds for a client's handshake (PostgreSQL manual, authentication_timeout)."""

RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: unsent bytes are dropped, and the peer gets a reset."""


class TlsProxies(LoopThread):
    """One lab's proxies: they share a thread with its loop, and a certificate."""

    def __init__(
        self, context: ssl.SSLContext, authentication_timeout: float = AUTHENTICATION_TIMEOUT
    ) -> None:
        self.context = context
        self.authentication_timeout = authentication_timeout
        self.opened: set[TlsProxy] = set()
        super().__init__("tls proxies")

    def new_proxy(self) -> TlsProxy:
        """A new proxy, which is still closed."""
        return TlsProxy(self)

    def close(self) -> None:
        """Closes all proxies and ends the thread; safe to call again."""
        for proxy in list(self.opened):
            proxy.close()
        super().close()


class TlsProxy:
    """The proxy on a server's public addresses.

    A client cannot tell it from the server: frozen it hangs, closed it is not there. Calls come one
    at a time, from any thread but the proxies' own.
    """

    def __init__(self, proxies: TlsProxies) -> None:
        self._proxies = proxies
        self._server = ("", 0)
        self._listeners = Listeners(proxies.loop, self._take)
        self._sessions: dict[asyncio.Task[None], Session] = {}

    def open(self, addresses: Iterable[str], port: int, server: str) -> None:
        """Listens on `addresses`, for the server that has the same `port` at `server`.

        Raises OSError, and listens nowhere, if one of them is taken.
        """
        self._server = (server, port)
        self._listeners.open(addresses, port)
        self._proxies.opened.add(self)
        self._proxies.do(self._listeners.accept())

    def freeze(self) -> None:
        """Answers and passes on nothing more, though TCP still connects; `close` ends that."""
        if self._listeners:
            self._proxies.do(self._freeze())

    def close(self, grace: float = 0.0) -> None:
        """Ends listening and resets all connections; safe to call again.

        For at most `grace` seconds, sessions may first end as their server ends them.
        """
        if self._listeners:
            self._proxies.do(self._close(grace), ANSWER_WITHIN + grace)
        self._proxies.opened.discard(self)

    # In the proxies' thread

    async def _freeze(self) -> None:
        self._listeners.stop_accepting()
        await self._cancel_sessions()

    async def _close(self, grace: float) -> None:
        self._listeners.close()
        if grace and self._sessions:
            await asyncio.wait(self._sessions, timeout=grace)
        await self._cancel_sessions()
        for session in self._sessions.values():
            session.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            session.close()
        self._sessions.clear()

    async def _cancel_sessions(self) -> None:
        for task in self._sessions:
            task.cancel()
        if self._sessions:
            await asyncio.wait(self._sessions)

    def _take(self, client: socket.socket) -> None:
        """Begins a client's session."""
        session = Session(client, self._server)
        proxies = self._proxies
        task = proxies.loop.create_task(
            session.run(proxies.context, proxies.authentication_timeout)
        )
        self._sessions[task] = session
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():  # its sockets stay open until the proxy is closed
            return
        if mistake := task.exception():
            logger.error("a session failed", exc_info=mistake)
        if session := self._sessions.pop(task, None):
            session.close()
