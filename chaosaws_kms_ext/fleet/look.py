"""Reads the clusters of a Region, their keys and their backups, page by page; changes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.cluster import CLUSTER
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
    """A cluster, and how it hangs on its key."""

    region: str
    cluster: str
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
    """The DB clusters of the Region; raises AwsError.

    A page of a hundred clusters, instances or snapshots is one call, and each key another one.
    """
    clusters = listed(aws, "DBClusters")
    if not clusters:
        return []
    snapshots = listed(aws, "DBClusterSnapshots")
    keys = {
        arn: _key(aws, arn) for arn in {str(each["KmsKeyId"]) for each in clusters if _key_of(each)}
    }
    users = _users(clusters, listed(aws, "DBInstances"), snapshots, listed(aws, "DBSnapshots"))
    known = {str(each.get("DBClusterSnapshotArn")): each for each in snapshots}
    copies: dict[str, list[Copy]] = defaultdict(list)
    for each in snapshots:
        copy = Copy(each, taken(each, known, CLUSTER.snapshots))
        copies[str(each.get("DBClusterIdentifier"))].append(copy)
    return [
        _exposed(aws.region, each, keys, users, copies, rehearsed, now or datetime.now(UTC))
        for each in clusters
    ]


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


def _users(
    clusters: Sequence[Described],
    instances: Sequence[Described],
    snapshots: Sequence[Described],
    of_instances: Sequence[Described],
) -> dict[str, set[tuple[str, str]]]:
    """Key → what is under it, each as whose it is and its name."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for kind, owner, name, those in (
        ("cluster", "DBClusterIdentifier", "DBClusterIdentifier", clusters),
        ("instance", "DBInstanceIdentifier", "DBInstanceIdentifier", filter(is_alone, instances)),
        ("snapshot", "DBClusterIdentifier", "DBClusterSnapshotIdentifier", snapshots),
        ("snapshot", "DBInstanceIdentifier", "DBSnapshotIdentifier", of_instances),
    ):
        for each in those:
            if key := _key_of(each):
                found[key].add((str(each.get(owner)), f"{kind} {each.get(name)}"))
    return found


def _exposed(
    region: str,
    cluster: Described,
    keys: Mapping[str, kms.Key | None],
    users: Mapping[str, set[tuple[str, str]]],
    copies: Mapping[str, Sequence[Copy]],
    rehearsed: Mapping[tuple[str, str], Rehearsal],
    now: datetime,
) -> Exposed:
    name = str(cluster["DBClusterIdentifier"])
    arn = _key_of(cluster)
    key = keys.get(arn)
    others = sorted(said for owner, said in users.get(arn, ()) if owner != name)
    under_others = [each for each in copies.get(name, ()) if _is_backup(each.snapshot, arn)]
    newest = max(under_others, key=lambda each: each.taken, default=None)
    return Exposed(
        region=region,
        cluster=name,
        engine=str(cluster.get("Engine", "")),
        status=str(cluster.get("Status", "")),
        key=arn,
        manager=key.manager if key else "",
        key_state=key.state if key else "",
        beside=len(others),
        beside_names=tuple(others[:SHOWN]),
        backup=str(newest.snapshot["DBClusterSnapshotIdentifier"]) if newest else "",
        backup_days=(now - newest.taken).total_seconds() / DAY if newest else None,
        rehearsal=rehearsed.get((region, name)),
    )


def _is_backup(snapshot: Described, key: str) -> bool:
    usable = snapshot.get("Status") == "available"
    return usable and bool(_key_of(snapshot)) and _key_of(snapshot) != key
