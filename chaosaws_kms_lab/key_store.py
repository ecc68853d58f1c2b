"""A custom key store of KMS as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

__all__ = [
    "CLOUDHSM",
    "CONNECTED",
    "CONNECTING",
    "DISCONNECTED",
    "DISCONNECTING",
    "EXTERNAL",
    "FAILED",
    "KeyStore",
]

CLOUDHSM, EXTERNAL = "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"
"""The types of key stores, and the origins of the keys in them."""

CONNECTED, CONNECTING, FAILED = "CONNECTED", "CONNECTING", "FAILED"
DISCONNECTED, DISCONNECTING = "DISCONNECTED", "DISCONNECTING"


@dataclass(eq=False)
class KeyStore:
    """A custom key store."""

    id: str
    name: str
    type: str
    created: datetime
    properties: Mapping[str, str]
    """Member of DescribeCustomKeyStores' answer → what it says; of an external key store those of
    XksProxyConfiguration."""
    state: str = DISCONNECTED
    """Its ConnectionState."""
    done_at: float | None = None
    """When it is connected or disconnected, in lab seconds; None: neither is under way."""
    error: str | None = None
    """Why it is FAILED: a ConnectionErrorCode."""

    @property
    def connected(self) -> bool:
        """Whether its keys can be used."""
        return self.state == CONNECTED
