"""The endpoints of a lab's RDS Proxies, by number: each has a loopback address of its own."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Mapping

from chaosaws_kms_lab.data_plane.postgres import proxied_address
from chaosaws_kms_lab.data_plane.proxy_endpoint import RdsProxies, RdsProxy

__all__ = ["MOST", "NAMES", "Proxies"]

MOST = 20
"""Aurora User Guide, rds-proxy, "Quotas and limitations": proxies of an account."""

NAMES = tuple(f"127.0.2.{number}" for number in range(1, MOST + 1))
"""Their addresses."""


class Proxies:
    """The endpoints that there are. Calls come one at a time, with the world's lock held."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        """`context`: for TLS, which clients then have to use."""
        self._context = context
        self._there: dict[int, RdsProxy] = {}
        self._all: RdsProxies | None = None

    def address(self, number: int) -> str:
        """Of the proxy with this number, from 1 to MOST."""
        return NAMES[number - 1]

    def serve(
        self,
        number: int,
        port: int,
        writer: str | None,
        logins: Mapping[str, str],
        borrow_timeout: float,
    ) -> None:
        """Lets a proxy be as it should be now: it listens on `port`, at first also opened here.

        `writer`: the address of the database, on the same port; None: it is away. `logins`: user →
        password. `borrow_timeout`: seconds. Nothing happens, until the next time, as long as
        somebody else has the port.
        """
        if number not in self._there:
            self._all = self._all or RdsProxies(self._context)
            made = RdsProxy(self._all, borrow_timeout)
            with contextlib.suppress(OSError):
                made.open(self.address(number), port)
                self._there[number] = made
        if proxy := self._there.get(number):
            proxy.admit(logins)
            behind = proxied_address(writer) if writer and self._context else writer
            proxy.aim((behind, port) if behind else None)

    def end(self, number: int) -> None:
        """It listens no more, and its sessions end; safe to call again."""
        if proxy := self._there.pop(number, None):
            proxy.close()

    def close(self) -> None:
        """Ends all; safe to call again."""
        if self._all:
            self._all.close()
        self._there.clear()
