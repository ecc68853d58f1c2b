"""A thread with an asyncio loop, and sockets that it listens on: for what stands before servers."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

__all__ = ["Listeners", "LoopThread"]

logger = logging.getLogger(__name__)

BACKLOG = 200
"""Connections that wait to be accepted: as in PostgreSQL, twice its max_connections."""
ACCEPT_AGAIN_AFTER = 0.1
"""Seconds without accepting when there are no descriptors left; as in PostgreSQL."""
ANSWER_WITHIN = 10.0
"""Seconds for whatever is asked of the loop; some ms are usual."""


class LoopThread:
    """An asyncio loop in a thread of its own, which ends with the process."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True, name=name)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, None], within: float = ANSWER_WITHIN) -> None:
        """Runs `work` in the loop; raises TimeoutError if it takes longer than `within` seconds."""
        asyncio.run_coroutine_threadsafe(work, self.loop).result(within)

    def close(self) -> None:
        """Ends the thread; safe to call again."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(ANSWER_WITHIN)
            self.loop.close()


class Listeners:
    """The sockets on which clients are accepted. `open` is for any thread, the rest for the loop's
    own."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, take: Callable[[socket.socket], None]
    ) -> None:
        """`take` gets each client; it raises OSError if it has no descriptor for it."""
        self._loop, self._take = loop, take
        self._sockets: list[socket.socket] = []
        self._accepting = False

    def __bool__(self) -> bool:
        return bool(self._sockets)

    def open(self, addresses: Iterable[str], port: int) -> None:
        """Listens, and accepts nobody yet; raises OSError, and listens nowhere, if one of the
        addresses is taken."""
        assert not self._sockets, "it is open"
        try:
            for address in addresses:
                listener = socket.create_server((address, port), backlog=BACKLOG)
                self._sockets.append(listener)
                listener.setblocking(False)
        except OSError:
            self._close()
            raise

    async def accept(self) -> None:
        """From now on clients are accepted."""
        self._accepting = True
        for listener in self._sockets:
            self._watch(listener)

    def stop_accepting(self) -> None:
        """TCP still connects, and nobody answers."""
        self._accepting = False
        for listener in self._sockets:
            self._loop.remove_reader(listener)

    def close(self) -> None:
        """Listens no more."""
        self.stop_accepting()
        self._close()

    def _close(self) -> None:
        for listener in self._sockets:
            listener.close()
        self._sockets = []

    def _watch(self, listener: socket.socket) -> None:
        if self._accepting and listener in self._sockets:
            self._loop.add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        """Accepts a client; without an await, so that who stops it finds it waiting or accepted."""
        try:
            client, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as problem:  # as a rule there is no descriptor left
            self._pause(listener, problem)
            return
        try:
            self._take(client)
        except OSError as problem:
            client.close()
            self._pause(listener, problem)

    def _pause(self, listener: socket.socket, problem: OSError) -> None:
        logger.warning("a proxy cannot take a connection: %s", problem)
        self._loop.remove_reader(listener)
        self._loop.call_later(ACCEPT_AGAIN_AFTER, self._watch, listener)
