"""The server of one instance of a cluster, and what all clusters of a lab share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from chaosaws_kms_lab.data_plane.postgres import Postgres, ServerFailed
from chaosaws_kms_lab.data_plane.tls_proxy import TlsProxies
from chaosaws_kms_lab.world import Instance

__all__ = ["READER", "UNSEEN", "WRITER", "WRITERS", "Common", "Interrupted", "Member", "Power"]

WRITER, READER = "127.0.0.1", "127.0.0.2"
"""Where the cluster endpoint and the reader endpoint point, on the cluster's port."""

WRITERS = (WRITER, "127.0.0.3")
"""The cluster endpoint changes between these, by a misbehaviour."""

UNSEEN = "127.255.0.1"
"""The address of a server that no client may find."""


class Power(Enum):
    """The wanted state of all servers of a cluster."""

    ON = auto()
    OFF = auto()
    FROZEN = auto()
    GONE = auto()
    """The cluster is deleted."""


class Interrupted(ServerFailed):
    """The cluster was frozen, killed, stopped or deleted during some work."""

    def __init__(self) -> None:
        super().__init__("the cluster's servers were stopped in the meantime")


@dataclass(frozen=True)
class Common:
    """What all clusters of a lab have in common."""

    template: Postgres
    """The data directory that a new cluster's data are a copy of."""
    real: Callable[[float], float]
    """Converts AWS seconds to real seconds."""
    tls_proxies: TlsProxies | None
    """None: without TLS."""


@dataclass(eq=False)
class Member:
    """The server of one instance."""

    instance: Instance
    address: str
    clone: Path | None
    """A reader's own data directory, whole if it exists; None: the writer, on the volume's."""
    server: Postgres | None = None
    up: bool = False
    """It takes connections; a reader also follows the writer."""
    joined: bool = False
    """It has followed a writer."""
    restart: bool = False
    failure: str | None = None

    @property
    def running(self) -> bool:
        """Whether its server's processes are there."""
        return self.server is not None and self.server.running

    @property
    def ready(self) -> bool:
        """Whether it takes connections and was not told to restart."""
        return self.up and self.running and not self.restart
