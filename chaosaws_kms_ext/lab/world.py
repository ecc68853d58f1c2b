"""Everything that exists in the lab's AWS, as plain data: one lock, one clock.

Handlers and the ticker hold the lock while they read or change it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chaosaws_kms_ext.lab.aurora import DEAD_STATUSES, Profile, State

__all__ = [
    "ACCOUNT",
    "Call",
    "Clock",
    "Cluster",
    "Event",
    "Fault",
    "Instance",
    "Key",
    "Paging",
    "Region",
    "World",
]

ACCOUNT = "123456789012"


@dataclass(frozen=True)
class Call:
    """One request to the lab's AWS."""

    service: str
    operation: str
    params: dict[str, Any]
    region: str
    caller: str
    """The access key it was signed with."""


class Fault(Exception):
    """An error as AWS would answer it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Clock:
    """Lab time: seconds since the start, `speed` times as fast as ours."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._start = time.monotonic()

    def now(self) -> float:
        """AWS seconds since the lab's start."""
        return (time.monotonic() - self._start) * self.speed

    @staticmethod
    def utc() -> datetime:
        """The wall clock: what has happened is reported in real time."""
        return datetime.now(UTC)


@dataclass
class Key:
    """A KMS key; `material` never leaves the lab."""

    id: str
    arn: str
    state: str
    manager: str
    created: datetime
    material: bytes
    description: str = ""
    origin: str = "AWS_KMS"
    multi_region: bool = False
    deletion_date: datetime | None = None
    pending_window_days: int | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether it encrypts and decrypts."""
        return self.state == "Enabled"


@dataclass
class Cluster:
    """A DB cluster. One without `key` is not encrypted."""

    id: str
    arn: str
    resource_id: str
    engine: str
    engine_version: str
    master_username: str
    database: str | None
    port: int
    state: State
    created: datetime
    key: str | None
    deletion_protection: bool = False
    backup_retention_days: int = 1
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """What DescribeDBClusters says."""
        return self.state.status


@dataclass
class Instance:
    """A DB instance of a cluster."""

    id: str
    arn: str
    resource_id: str
    cluster: Cluster
    instance_class: str
    available_at: float
    """Lab seconds."""
    created: datetime
    promotion_tier: int = 1
    tags: dict[str, str] = field(default_factory=dict)

    def status(self, now: float) -> str:
        """What DescribeDBInstances says: the cluster's own fate first."""
        if self.cluster.status in DEAD_STATUSES:
            return self.cluster.status
        return "available" if now >= self.available_at else "creating"


@dataclass(frozen=True)
class Event:
    """An RDS event."""

    id: str
    source_type: str
    source_id: str
    source_arn: str
    categories: tuple[str, ...]
    message: str
    date: datetime


@dataclass
class Region:
    """What one Region holds."""

    name: str
    keys: dict[str, Key] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    """Alias name → key id."""
    clusters: dict[str, Cluster] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def arn(self, service: str, resource: str) -> str:
        """The ARN of something in this Region and account."""
        return f"arn:aws:{service}:{self.name}:{ACCOUNT}:{resource}"

    def instances_of(self, cluster: Cluster) -> list[Instance]:
        """The cluster's instances, the writer first."""
        return [i for i in self.instances.values() if i.cluster is cluster]

    def key_usable_by(self, cluster: Cluster) -> bool:
        """Whether Aurora can use the cluster's key: the one place where this is asked."""
        return cluster.key is None or (cluster.key in self.keys and self.keys[cluster.key].usable)


class World:
    """All Regions, the clock and the profile."""

    def __init__(self, clock: Clock, profile: Profile) -> None:
        self.clock = clock
        self.profile = profile
        self.lock = threading.RLock()
        self._regions: dict[str, Region] = {}

    def region(self, name: str) -> Region:
        """The Region called `name`, empty if nobody used it yet."""
        return self._regions.setdefault(name, Region(name))

    def regions(self) -> Iterator[Region]:
        """Every Region that somebody used."""
        yield from list(self._regions.values())


@dataclass(frozen=True)
class Paging:
    """How a service cuts a list into pages."""

    size: str
    """The parameter that says how many."""
    default: int
    smallest: int
    largest: int
    bad_size: str
    bad_marker: str

    def cut(self, items: Iterable[Any], params: dict[str, Any]) -> tuple[list[Any], str | None]:
        """The page that `params` asks for, and the marker of the next one."""
        everything = list(items)
        size = params.get(self.size, self.default)
        if not self.smallest <= size <= self.largest:
            raise Fault(
                self.bad_size, f"{self.size} must be between {self.smallest} and {self.largest}"
            )
        try:
            start = int(params.get("Marker") or 0)
        except ValueError:
            raise Fault(self.bad_marker, "The marker is not one that was given out") from None
        end = start + size
        return everything[start:end], str(end) if end < len(everything) else None
