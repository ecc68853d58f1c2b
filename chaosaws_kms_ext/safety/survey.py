"""What a Region holds that a key encrypts: read once, page by page, for every check that asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chaosaws_kms_ext.aurora.api import Cluster
from chaosaws_kms_ext.aws import Aws

__all__ = ["Survey", "User", "survey"]

Described = Mapping[str, Any]

MOST = 100
"""Records a page, of RDS and of KMS."""

CLUSTER_CONTEXT, INSTANCE_CONTEXT = "aws:rds:dbc-id", "aws:rds:db-id"
"""Aurora User Guide, Overview.Encryption.Keys: the encryption context of what RDS encrypts."""


@dataclass(frozen=True)
class User:
    """Something that uses a key."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Survey:
    """Everything of RDS in the Region, and the grants on one key."""

    clusters: list[Described]
    instances: list[Described]
    cluster_snapshots: list[Described]
    snapshots: list[Described]
    grants: list[Described]

    def users(self, key_arn: str) -> list[tuple[User, str]]:
        """Whatever uses the key, and the id of the cluster that it belongs to (or nothing)."""
        found = [
            (User(kind, str(each[name])), str(each.get("DBClusterIdentifier", "")))
            for kind, name, all_of_them in (
                ("cluster", "DBClusterIdentifier", self.clusters),
                ("instance", "DBInstanceIdentifier", self.instances),
                ("cluster snapshot", "DBClusterSnapshotIdentifier", self.cluster_snapshots),
                ("snapshot", "DBSnapshotIdentifier", self.snapshots),
            )
            for each in all_of_them
            if key_arn in _keys_of(each)
        ]
        return found + [(User("grant to", _of_grant(grant)), "") for grant in self._unexplained()]

    def others(self, key_arn: str, cluster: Cluster) -> list[User]:
        """Who else would lose the key with the cluster: not its own instances and snapshots."""
        return [user for user, owner in self.users(key_arn) if owner != cluster.id]

    def _unexplained(self) -> Iterator[Described]:
        """The grants that are for nothing that is listed."""
        clusters = {c.get("DbClusterResourceId") for c in (*self.clusters, *self.cluster_snapshots)}
        instances = {i.get("DbiResourceId") for i in (*self.instances, *self.snapshots)}
        for grant in self.grants:
            context = _context(grant)
            if context.get(CLUSTER_CONTEXT) in clusters - {None}:
                continue
            if context.get(INSTANCE_CONTEXT) in instances - {None}:
                continue
            yield grant


def survey(aws: Aws, key_arn: str) -> Survey:
    """Reads it: as many calls as there are pages; raises AwsError."""

    def rds(operation: str, items: str) -> list[Described]:
        return [*aws.pages("rds", operation, {"MaxRecords": MOST}, items)]

    return Survey(
        clusters=rds("DescribeDBClusters", "DBClusters"),
        instances=rds("DescribeDBInstances", "DBInstances"),
        cluster_snapshots=rds("DescribeDBClusterSnapshots", "DBClusterSnapshots"),
        snapshots=rds("DescribeDBSnapshots", "DBSnapshots"),
        grants=[*aws.pages("kms", "ListGrants", {"KeyId": key_arn, "Limit": MOST}, "Grants")],
    )


# Internals


def _keys_of(described: Described) -> set[str]:
    """Every key that something of RDS is encrypted under, in whole or in part."""
    secret = described.get("MasterUserSecret") or {}
    named = (
        described.get("KmsKeyId"),
        described.get("PerformanceInsightsKMSKeyId"),
        described.get("ActivityStreamKmsKeyId"),
        secret.get("KmsKeyId"),
    )
    return {key for key in named if key}


def _context(grant: Described) -> dict[str, str]:
    constraints = grant.get("Constraints") or {}
    return {
        **(constraints.get("EncryptionContextSubset") or {}),
        **(constraints.get("EncryptionContextEquals") or {}),
    }


def _of_grant(grant: Described) -> str:
    named = grant.get("Name") or grant.get("GrantId", "")
    return f"{grant.get('GranteePrincipal', 'nobody')} ({named})"
