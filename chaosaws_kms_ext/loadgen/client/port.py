"""Whether anybody listens at the database's port: asked often, and for less than a connection."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import gevent
import gevent.socket

from chaosaws_kms_ext.connection_strings import MYSQL, POSTGRESQL, options_of, protocol_of

__all__ = ["listens_at"]

USUAL = {POSTGRESQL: "5432", MYSQL: "3306"}
"""Ports."""

RESOLVED_FOR = 0.025
"""Seconds for which the address of a name is kept: a server that moves is not missed for longer. A
VPC's resolver takes 1,024 questions a second from a network interface (VPC User Guide, "DNS quotas"
)."""


def listens_at(database: str) -> Callable[[float], bool] | None:
    """Asks it of one server that is reached by TCP; None: there are several, or it is a socket."""
    known = options_of(database)
    host = known.get("hostaddr") or known.get("host") or ""
    port = known.get("port") or USUAL[protocol_of(database)]
    if not host or "," in host + port or host.startswith(("/", "@")):
        return None
    return _Port(host, int(port)).listens


class _Port:
    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._address: tuple[int, tuple[str, int]] | None = None
        self._until = 0.0

    def listens(self, seconds: float) -> bool:
        """Whether it accepts a connection within so many seconds."""
        accepted = False
        with gevent.Timeout(max(seconds, 0.001), False), contextlib.suppress(OSError, UnicodeError):
            family, address = self._resolved()
            with gevent.socket.socket(family, gevent.socket.SOCK_STREAM) as tried:
                tried.connect(address)
                accepted = True
        return accepted

    def _resolved(self) -> tuple[int, tuple[str, int]]:
        if self._address is None or time.monotonic() > self._until:
            self._until = time.monotonic() + RESOLVED_FOR
            self._address = None
            kind = gevent.socket.SOCK_STREAM
            found = gevent.socket.getaddrinfo(self._host, self._port, type=kind)[0]
            self._address = (found[0], found[4])
        return self._address
