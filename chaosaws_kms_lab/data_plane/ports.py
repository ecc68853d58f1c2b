"""Ports for clusters: chosen when a cluster is made, held once it has a server."""

from __future__ import annotations

import random
import socket
import sys

from chaosaws_kms_lab.data_plane.binaries import LabCannotStart

__all__ = ["PORTS", "Ports"]

PORTS = range(20000, 30000)
"""Below Linux's ephemeral ports (32768-60999). Among those another process's outgoing connection
can hold the port, and a client that retries can connect to itself."""

HOST = "127.0.0.1"
TRIES = 500


class Ports:
    """The ports of one lab's clusters."""

    def __init__(self) -> None:
        self._chosen: set[int] = set()
        self._held: dict[int, socket.socket] = {}

    def choose(self) -> int:
        """A port that is free now and was not chosen before; it is not reserved until `hold`."""
        port, held = self._bind_any()
        held.close()
        self._chosen.add(port)
        return port

    def hold(self, wanted: int) -> int:
        """Reserves a port: `wanted`, or another one if that is taken."""
        bound = _bind(wanted)
        port, held = (wanted, bound) if bound else self._bind_any()
        # Bound, not listening, and with SO_REUSEADDR set afterwards: so on Linux PostgreSQL, which
        # sets it too, can bind the port, but a process that looks for a free port cannot.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held[port] = held
        if sys.platform != "linux":
            held.close()
        return port

    def release(self, port: int) -> None:
        """Gives a port back."""
        self._chosen.discard(port)
        if held := self._held.pop(port, None):
            held.close()

    def close(self) -> None:
        """Gives all ports back."""
        for port in list(self._held):
            self.release(port)

    def _bind_any(self) -> tuple[int, socket.socket]:
        for _ in range(TRIES):
            port = random.choice(PORTS)
            if port not in self._chosen and (held := _bind(port)):
                return port, held
        raise LabCannotStart("the lab found no free port between 20000 and 29999")


def _bind(port: int) -> socket.socket | None:
    held = socket.socket()
    try:
        held.bind((HOST, port))
    except OSError:
        held.close()
        return None
    return held
