"""What stands before a server that was built without TLS: takes it off, and lives as it does."""

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
"""Seconds for a client to be under TLS (PostgreSQL manual, authentication_timeout)."""
BACKLOG = 200
"""Connections that wait to be taken: as PostgreSQL, twice as many as its max_connections."""
TAKE_AGAIN_AFTER = 0.1
"""Seconds for which nobody is taken when descriptors have run out; PostgreSQL's too."""
ANSWER_WITHIN = 10.0
"""Seconds for whatever is asked of the loop; some ms are usual."""

RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: what is unsent is thrown away, and the peer is told so."""


class TlsProxies:
    """One lab's fronts: they share a thread, its loop, and the certificate that they show."""

    def __init__(
        self, context: ssl.SSLContext, authentication_timeout: float = AUTHENTICATION_TIMEOUT
    ) -> None:
        self.context = context
        self.authentication_timeout = authentication_timeout
        self.loop = asyncio.new_event_loop()
        self.opened: set[TlsProxy] = set()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True, name="fronts")
        self._thread.start()

    def front(self) -> TlsProxy:
        """A new front, closed."""
        return TlsProxy(self)

    def do(self, work: Coroutine[Any, Any, None], within: float = ANSWER_WITHIN) -> None:
        """Lets the loop do it; raises TimeoutError if that takes longer than so many seconds."""
        asyncio.run_coroutine_threadsafe(work, self.loop).result(within)

    def close(self) -> None:
        """Closes all fronts and ends the thread; safe to call again."""
        for front in list(self.opened):
            front.close()
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(ANSWER_WITHIN)
            self.loop.close()


class TlsProxy:
    """A server's public addresses; calls come one at a time, from any thread but the fronts' own.

    A client cannot tell it from the server: frozen it hangs, closed it is not there.
    """

    def __init__(self, fronts: TlsProxies) -> None:
        self._fronts = fronts
        self._loop = fronts.loop
        self._server = ("", 0)
        self._listeners: list[socket.socket] = []
        self._sessions: dict[asyncio.Task[None], Session] = {}
        self._taking = False

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
            self._unlisten()
            raise
        self._fronts.opened.add(self)
        self._fronts.do(self._take())

    def freeze(self) -> None:
        """From its return on nothing is answered or passed on, while TCP still says 'up'.

        Only `close` ends that.
        """
        if self._listeners:
            self._fronts.do(self._freeze())

    def close(self, grace: float = 0.0) -> None:
        """Nobody listens any more, and whoever was connected gets a reset; safe to call again.

        For at most `grace` seconds sessions may first end as their server ends them.
        """
        if self._listeners:
            self._fronts.do(self._close(grace), ANSWER_WITHIN + grace)
        self._fronts.opened.discard(self)

    # In the fronts' thread

    async def _take(self) -> None:
        self._taking = True
        for listener in self._listeners:
            self._watch(listener)

    async def _freeze(self) -> None:
        self._stop_taking()
        await self._cancel_sessions()

    async def _close(self, grace: float) -> None:
        self._stop_taking()
        self._unlisten()
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
        if self._taking and listener in self._listeners:
            self._loop.add_reader(listener, self._accept, listener)

    def _stop_taking(self) -> None:
        self._taking = False
        for listener in self._listeners:
            self._loop.remove_reader(listener)

    def _unlisten(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners = []

    def _accept(self, listener: socket.socket) -> None:
        """Takes a client: at once, so that a freeze finds it waiting or taken, never between."""
        try:
            client, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as problem:  # as a rule there is no descriptor left
            self._wait_a_little(listener, problem)
            return
        try:
            session = Session(client, self._server)
        except OSError as problem:
            client.close()
            self._wait_a_little(listener, problem)
            return
        fronts = self._fronts
        task = self._loop.create_task(session.run(fronts.context, fronts.authentication_timeout))
        self._sessions[task] = session
        task.add_done_callback(self._ended)

    def _wait_a_little(self, listener: socket.socket, problem: OSError) -> None:
        logger.warning("a front cannot take a connection: %s", problem)
        self._loop.remove_reader(listener)
        self._loop.call_later(TAKE_AGAIN_AFTER, self._watch, listener)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():  # its sockets stay open until the front is closed
            return
        if mistake := task.exception():
            logger.error("a session failed", exc_info=mistake)
        if session := self._sessions.pop(task, None):
            session.close()
