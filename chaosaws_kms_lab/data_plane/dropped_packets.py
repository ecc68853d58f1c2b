"""A port that neither refuses connections nor answers: as behind a firewall that drops them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable

__all__ = ["DroppedPackets"]


class DroppedPackets:
    """Sockets that listen on some addresses, with a queue that is full.

    Linux then drops whatever asks for a connection, and the client asks again after 1, 3, 7 s.
    """

    def __init__(self, addresses: Iterable[str], port: int) -> None:
        """Raises OSError, and holds nothing, if one of the addresses is taken."""
        self._sockets: dict[str, list[socket.socket]] = {}
        try:
            for address in addresses:
                listener = socket.socket()
                self._sockets[address] = [listener]
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((address, port))
                listener.listen(0)
                first = socket.socket()  # there is room for one
                self._sockets[address].append(first)
                first.setblocking(False)
                first.connect_ex((address, port))
        except OSError:
            self.close()
            raise

    @property
    def over(self) -> bool:
        """Whether no address drops anything any more."""
        return not self._sockets

    def close(self, addresses: Iterable[str] | None = None) -> None:
        """From now on these addresses, or all, refuse connections until something listens there."""
        for address in list(self._sockets if addresses is None else addresses):
            for each in self._sockets.pop(address, ()):
                with contextlib.suppress(OSError):
                    each.close()
