"""Reads the databases of a Region, their keys and their backups, page by page; changes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.cluster import CLUSTER
from chaosaws_kms_ext.aws.database import Kind
from chaosaws_kms_ext.aws.instance import INSTANCE
from chaosaws_kms_ext.guard.backups import taken
from chaosaws_kms_ext.guard.inventory import Described, is_alone, listed
from chaosaws_kms_ext.report.kept import KeptRun

__all__ = ["Exposed", "Rehearsal", "look", "regions", "rehearsals"]

DAY = 86400.0
SHOWN = 5
"""Others under the key that are named."""


@dataclass(frozen=True)
class Rehearsal:
    """The newest run on AWS that was about a cluster."""

    started: str
    experiment: str
    verdict: str


@dataclass(frozen=True)
class Exposed:
    """A cluster, or an instance that is no cluster's, and how it hangs on its key."""

    region: str
    cluster: str
    """Its id; of an instance with `db:` before it."""
    engine: str
    status: str
    key: str
    """ARN; empty if the cluster is not encrypted under a key of KMS."""
    manager: str
    """`CUSTOMER`, `AWS`, or empty where that is not known."""
    key_state: str
    """As DescribeKey has it; empty where that is not known."""
    beside: int
    """Other clusters, single instances and snapshots of others under the same key, in this Region.
    What is not RDS' is not counted."""
    beside_names: tuple[str, ...]
    """The first of them."""
    backup: str
    """The newest snapshot of it under another key; empty if there is none."""
    backup_days: float | None
    """How old what it holds is."""
    rehearsal: Rehearsal | None

    @property
    def concerns(self) -> list[str]:
        """What somebody should look at, each in a few words."""
        if not self.key or self.manager == "AWS":
            return []
        found = []
        if self.key_state and self.key_state != "Enabled":
            found.append(f"the key is {self.key_state}")
        if not self.manager:
            found.append("the key cannot be looked at")
        if not self.backup:
            found.append("no backup under another key")
        if self.beside:
            found.append(f"{self.beside} more under its key")
        if self.rehearsal is None:
            found.append("never rehearsed")
        elif self.rehearsal.verdict != "passed":
            found.append(f"the last rehearsal {self.rehearsal.verdict}")
        return found


class Copy(NamedTuple):
    """A snapshot, and as of when the data in it are."""

    snapshot: Described
    taken: datetime


def regions(aws: Aws) -> list[str]:
    """The Regions that the account has enabled; raises AwsError."""
    found = aws.call("ec2", "DescribeRegions", {})["Regions"]
    return sorted(str(each["RegionName"]) for each in found)


def look(
    aws: Aws, rehearsed: Mapping[tuple[str, str], Rehearsal], now: datetime | None = None
) -> list[Exposed]:
    """The DB clusters of the Region, and the encrypted instances that are none's; raises AwsError.

    A page of a hundred clusters, instances or snapshots is one call, and each key another one.
    """
    found = {
        CLUSTER: listed(aws, "DBClusters"),
        INSTANCE: list(filter(is_alone, listed(aws, "DBInstances"))),
    }
    shown = [
        (kind, each)
        for kind, those in found.items()
        for each in those
        if kind is CLUSTER or _key_of(each)
    ]
    if not shown:
        return []
    snapshots = {
        CLUSTER: listed(aws, "DBClusterSnapshots"),
        INSTANCE: listed(aws, "DBSnapshots"),
    }
    keys = {arn: _key(aws, arn) for arn in {_key_of(each) for _, each in shown} if arn}
    there = _There(aws.region, keys, _users(found, snapshots), _copies(snapshots), rehearsed)
    return [_exposed(there, kind, each, now or datetime.now(UTC)) for kind, each in shown]


def rehearsals(runs: Iterable[KeptRun]) -> dict[tuple[str, str], Rehearsal]:
    """Region and cluster → its newest run on AWS; `runs` with the oldest first."""
    found: dict[tuple[str, str], Rehearsal] = {}
    for run in runs:
        said = run.summary or {}
        if said.get("target") == "aws" and said.get("cluster"):
            found[(str(said.get("region")), str(said["cluster"]))] = Rehearsal(
                str(said.get("started")), str(said.get("experiment")), str(said.get("verdict"))
            )
    return found


# Internals


def _key_of(described: Described) -> str:
    return str(described.get("KmsKeyId") or "")


def _key(aws: Aws, arn: str) -> kms.Key | None:
    """The key, or None where it is gone, another account's, or not ours to look at."""
    try:
        return kms.describe(aws, arn)
    except AwsError as problem:
        if problem.permanent:
            return None
        raise


ByKind = Mapping[Kind, Sequence[Described]]


class _There(NamedTuple):
    """What there is in a Region, by what it is looked up with."""

    region: str
    keys: Mapping[str, kms.Key | None]
    users: Mapping[str, set[tuple[str, str]]]
    copies: Mapping[str, Sequence[Copy]]
    rehearsed: Mapping[tuple[str, str], Rehearsal]


def _owner(kind: Kind, described: Described) -> str:
    """Which database it is, or is a snapshot of, as it is shown."""
    return f"{kind.prefix}{described.get(kind.identifier)}"


def _users(databases: ByKind, snapshots: ByKind) -> dict[str, set[tuple[str, str]]]:
    """Key → what is under it, each as whose it is and its name."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for word, name, kind, those in (
        *((kind.word, kind.identifier, kind, those) for kind, those in databases.items()),
        *(("snapshot", kind.snapshots.id, kind, those) for kind, those in snapshots.items()),
    ):
        for each in those:
            if key := _key_of(each):
                found[key].add((_owner(kind, each), f"{word} {each.get(name)}"))
    return found


def _copies(snapshots: ByKind) -> dict[str, list[Copy]]:
    """Database → its snapshots."""
    found: dict[str, list[Copy]] = defaultdict(list)
    for kind, those in snapshots.items():
        known = {str(each.get(kind.snapshots.arn)): each for each in those}
        for each in those:
            if isinstance(each.get("SnapshotCreateTime"), datetime):  # else it is being made
                found[_owner(kind, each)].append(Copy(each, taken(each, known, kind.snapshots)))
    return found


def _exposed(there: _There, kind: Kind, database: Described, now: datetime) -> Exposed:
    name, arn = _owner(kind, database), _key_of(database)
    key = there.keys.get(arn)
    others = sorted(said for owner, said in there.users.get(arn, ()) if owner != name)
    under_others = [each for each in there.copies.get(name, ()) if _is_backup(each.snapshot, arn)]
    newest = max(under_others, key=lambda each: each.taken, default=None)
    status = "DBInstanceStatus" if kind is INSTANCE else "Status"
    return Exposed(
        region=there.region,
        cluster=name,
        engine=str(database.get("Engine", "")),
        status=str(database.get(status, "")),
        key=arn,
        manager=key.manager if key else "",
        key_state=key.state if key else "",
        beside=len(others),
        beside_names=tuple(others[:SHOWN]),
        backup=str(newest.snapshot[kind.snapshots.id]) if newest else "",
        backup_days=(now - newest.taken).total_seconds() / DAY if newest else None,
        rehearsal=there.rehearsed.get((there.region, name)),
    )


def _is_backup(snapshot: Described, key: str) -> bool:
    usable = snapshot.get("Status") == "available"
    return usable and bool(_key_of(snapshot)) and _key_of(snapshot) != key
