"""A TLS proxy for a server that was built without TLS; it freezes and ends with the server."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import struct
import threading
from collections.abc import Coroutine, Iterable
from typing import Any

from chaosaws_kms_lab.data_plane.sessions import Session

__all__ = ["TlsProxies", "TlsProxy"]

logger = logging.getLogger(__name__)

AUTHENTICATION_TIMEOUT = 60.0
"""Seconds for a client's handshake (PostgreSQL manual, authentication_timeout)."""
BACKLOG = 200
"""Connections that wait to be accepted: as in PostgreSQL, twice its max_connections."""
ACCEPT_AGAIN_AFTER = 0.1
"""Seconds without accepting when there are no descriptors left; as in PostgreSQL."""
ANSWER_WITHIN = 10.0
"""Seconds for whatever is asked of the loop; some ms are usual."""

RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: unsent bytes are dropped, and the peer gets a reset."""


class TlsProxies:
    """One lab's proxies: they share a thread with its loop, and a certificate."""

    def __init__(
        self, context: ssl.SSLContext, authentication_timeout: float = AUTHENTICATION_TIMEOUT
    ) -> None:
        self.context = context
        self.authentication_timeout = authentication_timeout
        self.loop = asyncio.new_event_loop()
        self.opened: set[TlsProxy] = set()
        self._thread = threading.Thread(
            target=self.loop.run_forever, daemon=True, name="tls proxies"
        )
        self._thread.start()

    def new_proxy(self) -> TlsProxy:
        """A new proxy, which is still closed."""
        return TlsProxy(self)

    def do(self, work: Coroutine[Any, Any, None], within: float = ANSWER_WITHIN) -> None:
        """Runs `work` in the loop; raises TimeoutError if it takes longer than `within` seconds."""
        asyncio.run_coroutine_threadsafe(work, self.loop).result(within)

    def close(self) -> None:
        """Closes all proxies and ends the thread; safe to call again."""
        for proxy in list(self.opened):
            proxy.close()
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(ANSWER_WITHIN)
            self.loop.close()


class TlsProxy:
    """The proxy on a server's public addresses.

    A client cannot tell it from the server: frozen it hangs, closed it is not there. Calls come one
    at a time, from any thread but the proxies' own.
    """

    def __init__(self, proxies: TlsProxies) -> None:
        self._proxies = proxies
        self._loop = proxies.loop
        self._server = ("", 0)
        self._listeners: list[socket.socket] = []
        self._sessions: dict[asyncio.Task[None], Session] = {}
        self._accepting = False

    def open(self, addresses: Iterable[str], port: int, server: str) -> None:
        """Listens on `addresses`, for the server that has the same `port` at `server`.

        Raises OSError, and listens nowhere, if one of them is taken.
        """
        assert not self._listeners, "it is open"
        self._server = (server, port)
        try:
            for address in addresses:
                listener = socket.create_server((address, port), backlog=BACKLOG)
                self._listeners.append(listener)
                listener.setblocking(False)
        except OSError:
            self._close_listeners()
            raise
        self._proxies.opened.add(self)
        self._proxies.do(self._start_accepting())

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

    async def _start_accepting(self) -> None:
        self._accepting = True
        for listener in self._listeners:
            self._watch(listener)

    async def _freeze(self) -> None:
        self._stop_accepting()
        await self._cancel_sessions()

    async def _close(self, grace: float) -> None:
        self._stop_accepting()
        self._close_listeners()
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

    def _watch(self, listener: socket.socket) -> None:
        if self._accepting and listener in self._listeners:
            self._loop.add_reader(listener, self._accept, listener)

    def _stop_accepting(self) -> None:
        self._accepting = False
        for listener in self._listeners:
            self._loop.remove_reader(listener)

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners = []

    def _accept(self, listener: socket.socket) -> None:
        """Accepts a client; without an await, so that a freeze finds it waiting or accepted."""
        try:
            client, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as problem:  # as a rule there is no descriptor left
            self._pause(listener, problem)
            return
        try:
            session = Session(client, self._server)
        except OSError as problem:
            client.close()
            self._pause(listener, problem)
            return
        proxies = self._proxies
        task = self._loop.create_task(session.run(proxies.context, proxies.authentication_timeout))
        self._sessions[task] = session
        task.add_done_callback(self._ended)

    def _pause(self, listener: socket.socket, problem: OSError) -> None:
        logger.warning("a proxy cannot take a connection: %s", problem)
        self._loop.remove_reader(listener)
        self._loop.call_later(ACCEPT_AGAIN_AFTER, self._watch, listener)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():  # its sockets stay open until the proxy is closed
            return
        if mistake := task.exception():
            logger.error("a session failed", exc_info=mistake)
        if session := self._sessions.pop(task, None):
            session.close()
