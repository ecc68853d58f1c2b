"""A DB instance that is no cluster's: RDS for PostgreSQL, for MySQL and the others.

Its one instance is itself: whatever holds for every instance of a database holds for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.database import Database, Described, Kind, Snapshots

__all__ = ["INSTANCE", "PREFIX", "Instance", "describe_instance", "instance_of"]

PREFIX = "db:"


class Instance(Database):
    """What DescribeDBInstances says."""

    @property
    def address(self) -> str:
        """Where its endpoint is."""
        return str((self.raw.get("Endpoint") or {}).get("Address", ""))

    @property
    def port(self) -> int | None:
        """The endpoint's port."""
        return (self.raw.get("Endpoint") or {}).get("Port")

    @property
    def database_name(self) -> str:
        """As CreateDBInstance was told."""
        return str(self.raw.get("DBName") or "")

    @property
    def context(self) -> tuple[str, str]:
        """By the instance's resource id."""
        return "aws:rds:db-id", str(self.raw.get("DbiResourceId", ""))

    def owns(self, described: Described) -> bool:
        """Whether it is the instance or a snapshot of it, by the resource id, as for a cluster."""
        if described.get("DBClusterIdentifier") or described.get("DbClusterResourceId"):
            return False
        if resource := described.get("DbiResourceId"):
            return bool(resource == self.raw.get("DbiResourceId"))
        return bool(described.get("DBInstanceIdentifier") == INSTANCE.id_of(self.id))

    def own_snapshots(
        self, clusters: Iterable[Described], others: Iterable[Described]
    ) -> list[Described]:
        """DB snapshots."""
        return list(others)

    def why_not_recoverable(self) -> list[str]:
        """RDS User Guide, Overview.Encryption: the recoverable state is for instances with backups,
        and not for read replicas, nor for those that have some; USER_StopInstance: what cannot be
        stopped."""
        said, why = self.raw, []
        if cluster := said.get("DBClusterIdentifier"):
            why.append(f"is an instance of the cluster {cluster}: set CHAOS_CLUSTER_ID={cluster}")
        if self.engine.startswith("custom-"):
            why.append("is RDS Custom, which StartDBInstance does not start")
        if self.engine.startswith("sqlserver") and said.get("MultiAZ"):
            why.append("is RDS for SQL Server in more than one zone, which cannot be stopped")
        if not said.get("BackupRetentionPeriod"):
            why.append("has no backups (retention 0), which the recoverable state takes")
        for each in ("Instance", "Cluster"):
            if source := said.get(f"ReadReplicaSourceDB{each}Identifier"):
                why.append(f"replicates {source}")
            if replicas := said.get(f"ReadReplicaDB{each}Identifiers"):
                why.append(f"is replicated by {', '.join(replicas)}")
        return why


def describe_instance(aws: Aws, instance_id: str) -> Instance:
    """The instance; raises AwsError."""
    answer = aws.call("rds", "DescribeDBInstances", {"DBInstanceIdentifier": instance_id})
    if not answer.get("DBInstances"):
        raise AwsError(f"rds:DescribeDBInstances says nothing of {instance_id}")
    return instance_of(answer["DBInstances"][0])


def instance_of(said: Mapping[str, Any]) -> Instance:
    """The instance that DescribeDBInstances tells of."""
    name, status = said["DBInstanceIdentifier"], said.get("DBInstanceStatus", "unknown")
    return Instance(
        id=f"{PREFIX}{name}",
        arn=said.get("DBInstanceArn", ""),
        status=status,
        instances={name: status},
        encrypted=bool(said.get("StorageEncrypted")),
        key=said.get("KmsKeyId", ""),
        encryption_type=said.get("StorageEncryptionType", ""),
        raw=said,
    )


INSTANCE = Instance.kind = Kind(
    word="instance",
    prefix=PREFIX,
    arn="db",
    identifier="DBInstanceIdentifier",
    describe_operation="DescribeDBInstances",
    start_operation="StartDBInstance",
    setting="CHAOS_INSTANCE_ID",
    missing="DBInstanceNotFound",
    wrong_state="InvalidDBInstanceState",
    snapshots=Snapshots(
        id="DBSnapshotIdentifier",
        arn="DBSnapshotArn",
        source="SourceDBSnapshotIdentifier",
        copied_by="copy-db-snapshot",
    ),
    describe=describe_instance,
)
