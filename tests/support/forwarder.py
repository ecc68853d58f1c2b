"""A network between the load and its server that can be slow, or swallow everything."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType


class Forwarder:
    """Forwards TCP connections to `port`; every byte takes `latency` seconds each way.

    While it swallows, connections are accepted and nothing comes through. Those stay dead when it
    heals, as connections to a host that is gone do.
    """

    def __init__(self, port: int, latency: float = 0.0) -> None:
        self._target = port
        self._latency = latency
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._alive = asyncio.Event()
        self._generation = 0
        self._swallowing = False
        self.port = 0

    def __enter__(self) -> Forwarder:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def swallow(self) -> None:
        """From now on nothing comes through."""
        self._swallowing = True
        self._generation += 1

    def heal(self) -> None:
        """New connections work again."""
        self._swallowing = False
        self._generation += 1

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=500)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = self._generation
        try:
            if self._swallowing:
                await asyncio.sleep(3600)
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
            await asyncio.gather(
                self._pump(reader, there_writer, mine), self._pump(there_reader, writer, mine)
            )
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mine: int
    ) -> None:
        while data := await reader.read(65536):
            await asyncio.sleep(self._latency)
            if mine != self._generation:
                await asyncio.sleep(3600)
            writer.write(data)
        writer.close()
