"""What a run is about: a database of RDS' whose storage a key encrypts, of whatever kind.

A kind is one file beside this: a DB cluster (`cluster.py`), a DB instance that is no cluster's
(`instance.py`). A reference names one of either, as the last part of RDS' ARNs does: an instance is
`db:orders`; a cluster is `orders`, without what an ARN has before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.statuses import AVAILABLE, meaning

__all__ = ["Database", "Kind", "Snapshots"]

Described = Mapping[str, Any]


@dataclass(frozen=True)
class Snapshots:
    """How RDS tells of the snapshots of one kind."""

    id: str
    arn: str
    source: str
    """The members that have its id, its ARN, and the snapshot that it is a copy of."""
    copied_by: str
    """The AWS CLI's command that makes a copy."""


@dataclass(frozen=True)
class Kind:
    """What differs between the kinds in what RDS is asked."""

    word: str
    """What people call one."""
    prefix: str
    """With which its references begin."""
    arn: str
    """The resource type in its ARN."""
    identifier: str
    """The parameter that names one."""
    describe_operation: str
    start_operation: str
    setting: str
    """The setting that names one."""
    missing: str
    """The error code for one that is not there."""
    wrong_state: str
    """The error code for one that is in no state for the call."""
    snapshots: Snapshots
    describe: Callable[[Aws, str], Database]
    """By its id; raises AwsError."""

    def id_of(self, reference: str) -> str:
        """The id, without what makes it a reference."""
        return reference[len(self.prefix) :] if self.prefix else reference

    def asked(self, reference: str) -> dict[str, str]:
        """The parameters that name it."""
        return {self.identifier: self.id_of(reference)}

    def resource(self, reference: str) -> str:
        """The last part of its ARN; a reference may hold wildcards."""
        return f"{self.arn}:{self.id_of(reference)}"


@dataclass(frozen=True)
class Database:
    """What RDS says of one."""

    id: str
    """Its reference."""
    arn: str
    status: str
    instances: Mapping[str, str]
    """Instance id → status."""
    encrypted: bool
    key: str
    """The ARN of its KMS key; empty if it has none."""
    encryption_type: str
    """`none`, `sse-kms`, `sse-rds`; empty where the Region does not report it."""
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    kind: ClassVar[Kind]

    @property
    def in_words(self) -> str:
        """What it is, with its id."""
        return f"the {self.kind.word} {self.kind.id_of(self.id)}"

    @property
    def meaning(self) -> str:
        """`accessible`, `recoverable`, `terminal` or `changing`: the worst of all statuses."""
        return meaning([self.status, *self.instances.values()])

    @property
    def available(self) -> bool:
        """Whether it and every instance of it are available."""
        return all(status == AVAILABLE for status in (self.status, *self.instances.values()))

    @property
    def maintenance_window(self) -> str:
        """When AWS may change it, in UTC, as sun:05:00-sun:05:30; empty where RDS does not say."""
        return str(self.raw.get("PreferredMaintenanceWindow", "")).lower()

    @property
    def engine(self) -> str:
        """As RDS calls it: `aurora-postgresql`, `postgres`; empty where it is not told."""
        return str(self.raw.get("Engine", ""))

    @property
    def address(self) -> str:
        """Where its endpoint is; empty while it has none."""
        raise NotImplementedError

    @property
    def port(self) -> int | None:
        """The endpoint's port."""
        raise NotImplementedError

    @property
    def database_name(self) -> str:
        """The database that it was made with; empty where RDS does not say."""
        raise NotImplementedError

    @property
    def reader_address(self) -> str:
        """Where the reader endpoint is; empty where there is none."""
        return ""

    @property
    def readers(self) -> Sequence[str]:
        """The ids of the instances that are not the writer."""
        return ()

    @property
    def context(self) -> tuple[str, str]:
        """The encryption context of what RDS encrypts for it: the name and the value, its resource
        id (Aurora User Guide and RDS User Guide, Overview.Encryption.Keys)."""
        raise NotImplementedError

    def owns(self, described: Described) -> bool:
        """Whether what RDS describes is it, or an instance or a snapshot of it."""
        raise NotImplementedError

    def own_snapshots(self, clusters: Iterable[Described], others: Iterable[Described]) -> Any:
        """Those of the two kinds of snapshots, of clusters and of instances, that can be its."""
        raise NotImplementedError

    def why_not_recoverable(self) -> list[str]:
        """Why it would be lost for good with its key, as far as it says so itself."""
        raise NotImplementedError
