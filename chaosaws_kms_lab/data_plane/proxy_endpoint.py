"""The endpoint of an RDS Proxy: it listens, and knows where the writer is and who may log in.

Simplified: a client has a database connection of its own until it leaves, so there is no pool that
could be used up (MaxConnectionsPercent), nothing is multiplexed, and an idle client is never
disconnected (IdleClientTimeout).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping

from chaosaws_kms_lab.data_plane.listening import Listeners, LoopThread
from chaosaws_kms_lab.data_plane.pg_messages import error
from chaosaws_kms_lab.data_plane.proxy_session import Session

__all__ = ["RdsProxies", "RdsProxy"]

logger = logging.getLogger(__name__)

MOST = 400
"""Clients of one proxy: the lab's databases have fewer connections."""

FULL = error("53300", f"The maximum number of client connections to the proxy exceeded {MOST}.")
"""The message: Aurora User Guide, rds-proxy.troubleshooting."""


class RdsProxies(LoopThread):
    """One lab's: they share a thread with its loop."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        """`context`: for TLS, which is then required; None: there is no TLS."""
        self.context = context
        self.opened: set[RdsProxy] = set()
        super().__init__("rds proxies")

    def close(self) -> None:
        """Closes all and ends the thread; safe to call again."""
        for proxy in list(self.opened):
            proxy.close()
        super().close()


class RdsProxy:
    """One proxy. Calls of `open`, `aim`, `admit` and `close` come one at a time, from any thread
    but the loop's; the rest is for its sessions."""

    def __init__(self, proxies: RdsProxies, borrow_timeout: float) -> None:
        """`borrow_timeout`: seconds that a client waits for a database connection."""
        self.context = proxies.context
        self.borrow_timeout = borrow_timeout
        self.logins: Mapping[str, str] = {}
        """User → password."""
        self._proxies = proxies
        self._listeners = Listeners(proxies.loop, self._take)
        self._sessions: dict[asyncio.Task[None], Session] = {}
        self._sockets: set[socket.socket] = set()
        """Of database connections, those too that are being made."""
        self._wanted: tuple[str, int] | None = None
        self._writer: tuple[str, int] | None = None
        """The same, as far as the loop knows it."""
        self._up = asyncio.Event()

    def open(self, address: str, port: int) -> None:
        """Listens there; raises OSError if it is taken."""
        self._listeners.open([address], port)
        self._proxies.opened.add(self)
        self._proxies.do(self._listeners.accept())

    def aim(self, writer: tuple[str, int] | None) -> None:
        """Where the database takes connections; None: it does not, and those that there are go."""
        if writer != self._wanted:
            self._wanted = writer
            self._proxies.loop.call_soon_threadsafe(self._aimed, writer)

    def admit(self, logins: Mapping[str, str]) -> None:
        """Who may log in from now on."""
        self.logins = logins

    def close(self) -> None:
        """Ends listening and all sessions; safe to call again."""
        if self._listeners:
            self._proxies.do(self._close())
        self._proxies.opened.discard(self)

    # In the loop

    async def writer(self) -> tuple[str, int]:
        """Where the database is, as soon as it is up."""
        while self._writer is None:
            await self._up.wait()
        return self._writer

    @contextlib.contextmanager
    def open_sockets(self) -> Iterator[Callable[[socket.socket], None]]:
        """In the block, sockets that were passed to the function are shut down if the database goes
        away."""
        opened: set[socket.socket] = set()

        def made(end: socket.socket) -> None:
            opened.add(end)
            self._sockets.add(end)
            if self._writer is None:
                _shut_down(end)

        try:
            yield made
        finally:
            self._sockets -= opened

    def _aimed(self, writer: tuple[str, int] | None) -> None:
        self._writer = writer
        if writer is not None:
            self._up.set()
            return
        self._up.clear()
        for each in self._sockets:
            _shut_down(each)

    async def _close(self) -> None:
        self._listeners.close()
        for task in self._sessions:
            task.cancel()
        if self._sessions:
            await asyncio.wait(self._sessions)
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def _take(self, end: socket.socket) -> None:
        """Begins a client's session."""
        if len(self._sessions) >= MOST:
            end.setblocking(False)
            with contextlib.suppress(OSError):
                end.send(FULL)
            end.close()
            return
        session = Session(self, end)
        task = self._proxies.loop.create_task(session.run())
        self._sessions[task] = session
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if session := self._sessions.pop(task, None):
            session.close()
        if not task.cancelled() and (mistake := task.exception()):
            logger.error("a session of a proxy failed", exc_info=mistake)


def _shut_down(end: socket.socket) -> None:
    """Whoever waits for it gets an end of file."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
