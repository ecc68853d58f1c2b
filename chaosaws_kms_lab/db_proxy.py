"""An RDS Proxy, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chaosaws_kms_lab.world import Cluster

__all__ = ["DBProxy", "Health"]

BORROW_TIMEOUT = 120
"""Seconds: the default (API reference, ConnectionPoolConfiguration)."""


@dataclass(frozen=True)
class Health:
    """What DescribeDBProxyTargets says of a target."""

    state: str
    reason: str = ""
    description: str = ""


AVAILABLE = Health("AVAILABLE")
REGISTERING = Health("REGISTERING")


@dataclass(eq=False)
class DBProxy:
    """One proxy."""

    id: str
    arn: str
    number: int
    """By which the data plane knows it."""
    role: str
    """The ARN of the role that reads its secrets."""
    auth: list[Mapping[str, Any]]
    """As it was asked for: each names a secret."""
    subnets: list[str]
    security_groups: list[str]
    require_tls: bool
    created: datetime
    available_at: float
    """Lab seconds: it is `creating` before."""
    tags: dict[str, str] = field(default_factory=dict)
    target: Cluster | None = None
    """The cluster that it stands before."""
    registered_at: float = 0.0
    """Lab seconds."""
    health: Health = REGISTERING
    logins: Mapping[str, str] = field(default_factory=dict, repr=False)
    """User → password, as the secrets were read last."""
    asked: float | None = None
    """When they were, lab seconds; None: not yet."""
    refused: str = ""
    """Why one of them cannot be read."""
    away_since: float | None = None
    """Since when the database takes no connections, lab seconds; None: it does."""

    @property
    def secrets(self) -> list[str]:
        """The ARNs of its secrets."""
        return [str(each["SecretArn"]) for each in self.auth if each.get("SecretArn")]
