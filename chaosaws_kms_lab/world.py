"""Everything that exists in the lab's AWS, as plain data, with one lock and one clock.

Handlers and the clock's ticks hold the lock while they read or change it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chaosaws_kms_lab.aurora import DEAD_STATUSES, Profile, State
from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call
from chaosaws_kms_lab.clock import Clock
from chaosaws_kms_lab.db_proxy import DBProxy
from chaosaws_kms_lab.key import Grant, Key, Material
from chaosaws_kms_lab.key_store import KeyStore

__all__ = [
    "ActivityStream",
    "BlueGreenDeployment",
    "Cluster",
    "DBProxy",
    "DataMisbehaviour",
    "Encryption",
    "Event",
    "GlobalCluster",
    "Grant",
    "Instance",
    "Key",
    "KeyStore",
    "MasterSecret",
    "Material",
    "Origin",
    "Region",
    "Snapshot",
    "SubnetGroup",
    "World",
]

# RDS


@dataclass(frozen=True)
class Encryption:
    """How something of RDS is encrypted: envelope encryption under a KMS key."""

    key_arn: str
    grant_id: str
    data_key: bytes
    """The data key, as KMS sealed it."""
    context: Mapping[str, str]
    keeps: str | None = None
    """By a misbehaviour: why every copy stays under this key, whichever key is asked for."""
    said: Encryption | None = None
    """By a misbehaviour: the encryption that describe calls show instead."""


@dataclass(frozen=True)
class MasterSecret:
    """The secret in which RDS keeps the password of a cluster's master user."""

    arn: str
    key_arn: str | None
    """None: it is under the AWS managed key, which the lab does not have."""


@dataclass(eq=False)
class ActivityStream:
    """A database activity stream of a cluster."""

    name: str
    """Of its Kinesis stream."""
    mode: str
    held: Encryption
    started_at: float
    """Lab seconds: it is `starting` before."""
    last: float
    """Lab seconds: when its last record was due."""


@dataclass(eq=False)
class Cluster:
    """A DB cluster. One without `encryption` is not encrypted."""

    id: str
    arn: str
    resource_id: str
    engine_version: str
    master_username: str
    master_password: str = field(repr=False)
    """The password of the new master user; restored data have a master user already."""
    database: str | None
    port: int
    state: State
    created: datetime
    encryption: Encryption | None
    engine_mode: str = "provisioned"
    deletion_protection: bool = False
    backup_retention_days: int = 1
    maintenance_window: str = "sun:05:00-sun:05:30"
    """AWS takes 30 minutes of a random day, within hours of the Region (UTC)."""
    copy_tags_to_snapshot: bool = False
    serverless_v2: dict[str, float] | None = None
    global_cluster: str | None = None
    replication_source: str | None = None
    """ARN of the cluster in another Region that it replicates."""
    replicas: list[str] = field(default_factory=list)
    """ARNs of its replicas in other Regions."""
    tags: dict[str, str] = field(default_factory=dict)
    instances: list[Instance] = field(default_factory=list)
    """The writer first."""
    subnet_group: str = "default"
    security_groups: list[str] = field(default_factory=list)
    restored: bool = False
    """Whether it began with the data of a snapshot or of another cluster."""
    single: bool = False
    """Whether it is a DB instance that is no cluster's: kept as a cluster of that one instance,
    of which no call says anything. Id, ARN, resource id and tags are the instance's."""
    maintenance_takes: float = 0.0
    """AWS seconds of the maintenance that is pending; 0: none is."""
    maintenance_opt_in: str = ""
    secret: MasterSecret | None = None
    stream: ActivityStream | None = None
    restorable_from: datetime | None = None
    """The earliest point in time that it can be restored to; None: it holds no data yet."""

    @property
    def region(self) -> str:
        """The Region it lives in."""
        return self.arn.split(":")[3]

    @property
    def status(self) -> str:
        """What DescribeDBClusters says."""
        return self.state.status

    @property
    def origin(self) -> Origin:
        """What its snapshots keep about it."""
        return Origin(
            self.id,
            self.resource_id,
            self.created,
            self.engine_version,
            self.master_username,
            self.database,
            self.port,
            self.single,
        )


@dataclass(eq=False)
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
    ready: bool = False
    """Whether its server has taken connections since it was told to start."""
    rebooting: bool = False
    failed: bool = False
    promotion_tier: int = 1
    insights: Encryption | None = None
    """How its Performance Insights are encrypted; None: it has none."""
    tags: dict[str, str] = field(default_factory=dict)

    def status(self, now: float) -> str:
        """What DescribeDBInstances says: in some states the status of the cluster."""
        if self.cluster.status in DEAD_STATUSES:
            return self.cluster.status
        if self.failed:
            return "failed"
        if not self.ready or now < self.available_at:
            return "rebooting" if self.rebooting else "creating"
        return "available"


@dataclass(frozen=True)
class Origin:
    """What a snapshot says about the cluster that it was taken from."""

    cluster_id: str
    resource_id: str
    created: datetime
    engine_version: str
    master_username: str
    database: str | None
    port: int
    single: bool = False
    """Whether that was an instance that is no cluster's."""


@dataclass(eq=False)
class Snapshot:
    """A DB cluster snapshot, or one of an instance that is no cluster's."""

    id: str
    arn: str
    origin: Origin
    created: datetime
    encryption: Encryption | None
    status: str
    available_at: float
    """Lab seconds: not earlier, however fast the copying was."""
    source_arn: str | None = None
    """The snapshot that it is a copy of."""
    original: datetime | None = None
    """Of a copy, when the snapshot was made that it began with."""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(eq=False)
class GlobalCluster:
    """An Aurora global database."""

    id: str
    resource_id: str
    members: list[str]
    """ARNs of its DB clusters, the writer first."""
    encrypted: bool
    deletion_protection: bool = False
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """Its ARN has no Region."""
        return f"arn:aws:rds::{ACCOUNT}:global-cluster:{self.id}"


@dataclass(frozen=True)
class SubnetGroup:
    """A DB subnet group."""

    name: str
    description: str
    subnets: list[str]


@dataclass(eq=False)
class BlueGreenDeployment:
    """A blue/green deployment of a cluster."""

    id: str
    name: str
    source: str
    """The cluster's ARN."""
    created: datetime
    tags: dict[str, str] = field(default_factory=dict)


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


@dataclass(eq=False)
class DataMisbehaviour:
    """A misbehaviour of the data, as it was ordered (data_misbehaviours.py).

    It happens once, at the next occasion, or is active until it is cleared.
    """

    kind: str
    cluster: str = ""
    """The cluster's name or ARN; "": it is about all keys."""
    about: Cluster | None = None
    """The cluster."""
    writes: int = 1
    """How many rows are lost, or changed."""
    seed: int = 0
    """For the choice of rows: the same data and seed give the same rows."""
    seconds: float = 0.0
    """AWS seconds."""
    share: float = 0.0
    """Of the cluster's sessions: more than 0, at most 1."""
    milliseconds: float = 0.0
    """How long an answer takes, by the wall clock."""
    times: int = 0
    down: float = 0.0
    """AWS seconds."""
    up: float = 0.0
    """AWS seconds."""
    code: str = ""
    """A ConnectionErrorCode of KMS."""
    when: str = ""
    """When an outage begins: `key-lost` or `now`."""
    after: float = 0.0
    """AWS seconds until somebody takes the key away; `seconds` later it is given back."""
    call: str = ""
    """With which operation of KMS."""
    over: bool = False
    """It has happened, or was cleared."""


@dataclass
class Region:
    """What one Region holds."""

    name: str
    keys: dict[str, Key] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    """Alias name → key id."""
    key_stores: dict[str, KeyStore] = field(default_factory=dict)
    clusters: dict[str, Cluster] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    singles: dict[str, Cluster] = field(default_factory=dict)
    """Instances that are no cluster's, by their ids."""
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    """DB cluster snapshots."""
    db_snapshots: dict[str, Snapshot] = field(default_factory=dict)
    """Snapshots of instances that are no cluster's."""
    deployments: dict[str, BlueGreenDeployment] = field(default_factory=dict)
    subnet_groups: dict[str, SubnetGroup] = field(default_factory=dict)
    proxies: dict[str, DBProxy] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def databases(self) -> list[Cluster]:
        """The clusters, and the instances that are no cluster's."""
        return [*self.clusters.values(), *self.singles.values()]

    def arn(self, service: str, resource: str) -> str:
        """The ARN of something in this Region and account."""
        return f"arn:aws:{service}:{self.name}:{ACCOUNT}:{resource}"


Audit = Callable[[Call, Mapping[str, Any] | None, AwsError | None], None]
Publish = Callable[[dict[str, Any]], None]


class World:
    """All Regions, the clock and the profile."""

    def __init__(self, clock: Clock, profile: Profile) -> None:
        self.clock = clock
        self.profile = profile
        self.lock = threading.RLock()
        self.called = threading.Event()
        """Set after every request, which may have changed something."""
        self.global_clusters: dict[str, GlobalCluster] = {}
        self.audit: Audit = lambda call, answer, error: None
        """Called with every call, Aurora's own included."""
        self.publish: Publish = lambda event: None
        """Called with every event for EventBridge (event_bus.py)."""
        self.data_misbehaviours: list[DataMisbehaviour] = []
        """The misbehaviours of clusters and keys that were ordered."""
        self._regions: dict[str, Region] = {}

    def region(self, name: str) -> Region:
        """The Region called `name`, empty if nobody used it yet."""
        return self._regions.setdefault(name, Region(name))

    def regions(self) -> Iterator[Region]:
        """Every Region that somebody used."""
        yield from list(self._regions.values())

    def active_misbehaviours(self, *kinds: str) -> list[DataMisbehaviour]:
        """The misbehaviours of these kinds that were ordered and are not over."""
        return [
            misbehaviour
            for misbehaviour in self.data_misbehaviours
            if misbehaviour.kind in kinds and not misbehaviour.over
        ]
