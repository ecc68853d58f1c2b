"""The cluster in plain verbs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.statuses import AVAILABLE, meaning

__all__ = [
    "ENGINE",
    "Cluster",
    "Snapshot",
    "cluster_of",
    "conninfo",
    "copy_snapshot",
    "create_cluster",
    "create_instance",
    "create_snapshot",
    "delete_cluster",
    "delete_instance",
    "delete_snapshot",
    "describe",
    "describe_instance",
    "describe_snapshot",
    "fail_over",
    "restore",
    "start",
    "tags",
]

ENGINE = "aurora-postgresql"

Tags = Mapping[str, str]


@dataclass(frozen=True)
class Cluster:
    """What DescribeDBClusters and DescribeDBInstances say."""

    id: str
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

    @property
    def meaning(self) -> str:
        """`accessible`, `recoverable`, `terminal` or `changing`, of cluster and instances."""
        return meaning([self.status, *self.instances.values()])

    @property
    def address(self) -> str:
        """Where the cluster endpoint is."""
        return str(self.raw.get("Endpoint", ""))

    @property
    def reader_address(self) -> str:
        """Where the reader endpoint is; without a reader it leads to the writer (Aurora User Guide,
        "Reader endpoints for Amazon Aurora")."""
        return str(self.raw.get("ReaderEndpoint", ""))

    @property
    def readers(self) -> list[str]:
        """The ids of the instances that are not the writer."""
        members = self.raw.get("DBClusterMembers", [])
        return [m["DBInstanceIdentifier"] for m in members if m.get("IsClusterWriter") is False]

    @property
    def writer(self) -> str:
        """The id of the instance that is the writer; empty where RDS names none."""
        members = self.raw.get("DBClusterMembers", [])
        found = (m["DBInstanceIdentifier"] for m in members if m.get("IsClusterWriter"))
        return str(next(found, ""))

    @property
    def maintenance_window(self) -> str:
        """When AWS may change it, in UTC, as sun:05:00-sun:05:30; empty where RDS does not say."""
        return str(self.raw.get("PreferredMaintenanceWindow", "")).lower()

    @property
    def available(self) -> bool:
        """Whether the cluster and every instance of it are available."""
        return all(status == AVAILABLE for status in (self.status, *self.instances.values()))


def describe(aws: Aws, cluster_id: str) -> Cluster:
    """The cluster with its instances; raises AwsError."""
    _check(cluster_id)
    answer = aws.call("rds", "DescribeDBClusters", {"DBClusterIdentifier": cluster_id})
    if not answer.get("DBClusters"):
        raise AwsError(f"rds:DescribeDBClusters says nothing of {cluster_id}")
    said = answer["DBClusters"][0]
    only = [{"Name": "db-cluster-id", "Values": [said["DBClusterIdentifier"]]}]
    return cluster_of(
        said, aws.pages("rds", "DescribeDBInstances", {"Filters": only}, "DBInstances")
    )


def cluster_of(said: Mapping[str, Any], instances: Iterable[Mapping[str, Any]]) -> Cluster:
    """The cluster that DescribeDBClusters tells of, with its instances."""
    return Cluster(
        id=said["DBClusterIdentifier"],
        arn=said.get("DBClusterArn", ""),
        status=said.get("Status", "unknown"),
        instances={
            i["DBInstanceIdentifier"]: i.get("DBInstanceStatus", "unknown") for i in instances
        },
        encrypted=bool(said.get("StorageEncrypted")),
        key=said.get("KmsKeyId", ""),
        encryption_type=said.get("StorageEncryptionType", ""),
        raw=said,
    )


def tags(cluster: Cluster) -> dict[str, str]:
    """What the cluster is tagged with, as DescribeDBClusters said it."""
    return {tag["Key"]: tag.get("Value", "") for tag in cluster.raw.get("TagList", [])}


def start(aws: Aws, cluster_id: str) -> None:
    """StartDBCluster: legal in the statuses stopped and recoverable; raises AwsError."""
    aws.call("rds", "StartDBCluster", {"DBClusterIdentifier": cluster_id})


def conninfo(cluster: Cluster, given: str) -> str:
    """libpq's conninfo of the cluster: `given`, and its own endpoint for what that leaves out."""
    # Imported late: a watchdog, which has no use for it, is there in two thirds of the time.
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    own = {
        "host": cluster.address,
        "port": cluster.raw.get("Port"),
        "dbname": cluster.raw.get("DatabaseName") or "postgres",
        "user": cluster.raw.get("MasterUsername"),
    }
    named = conninfo_to_dict(given)
    if "hostaddr" in named or "service" in named:
        own.pop("host")
        own.pop("port")
    return make_conninfo("", **{**{k: v for k, v in own.items() if v}, **named})


def fail_over(aws: Aws, cluster_id: str, instance_id: str) -> None:
    """FailoverDBCluster: this reader becomes the writer; raises AwsError."""
    named = {"DBClusterIdentifier": cluster_id, "TargetDBInstanceIdentifier": instance_id}
    aws.call("rds", "FailoverDBCluster", named)


# Snapshots, and what makes and removes


@dataclass(frozen=True)
class Snapshot:
    """What DescribeDBClusterSnapshots says."""

    id: str
    arn: str
    status: str
    cluster: str
    """The id of the cluster that it was taken of; a copy has that of its source."""
    key: str
    """The ARN of its KMS key; empty if it has none."""
    raw: Mapping[str, Any] = field(repr=False, compare=False)


def describe_snapshot(aws: Aws, snapshot_id: str) -> Snapshot:
    """The cluster snapshot; raises AwsError."""
    _check(snapshot_id)
    asked = {"DBClusterSnapshotIdentifier": snapshot_id}
    answer = aws.call("rds", "DescribeDBClusterSnapshots", asked)
    if not answer.get("DBClusterSnapshots"):
        raise AwsError(f"rds:DescribeDBClusterSnapshots says nothing of {snapshot_id}")
    said = answer["DBClusterSnapshots"][0]
    return Snapshot(
        id=said["DBClusterSnapshotIdentifier"],
        arn=said.get("DBClusterSnapshotArn", ""),
        status=said.get("Status", "unknown"),
        cluster=said.get("DBClusterIdentifier", ""),
        key=said.get("KmsKeyId", ""),
        raw=said,
    )


def describe_instance(aws: Aws, instance_id: str) -> Mapping[str, Any]:
    """What DescribeDBInstances says of one; raises AwsError."""
    _check(instance_id)
    answer = aws.call("rds", "DescribeDBInstances", {"DBInstanceIdentifier": instance_id})
    if not answer.get("DBInstances"):
        raise AwsError(f"rds:DescribeDBInstances says nothing of {instance_id}")
    said: Mapping[str, Any] = answer["DBInstances"][0]
    return said


def create_cluster(
    aws: Aws, cluster_id: str, key_arn: str, master: tuple[str, str], tagged: Tags, **network: Any
) -> None:
    """Orders an encrypted cluster, whose master user has this name and password; raises AwsError.

    It has a database `postgres`, as every one (API reference, CreateDBCluster, DatabaseName).
    """
    user, password = master
    aws.call(
        "rds",
        "CreateDBCluster",
        {
            "DBClusterIdentifier": cluster_id,
            "Engine": ENGINE,
            "StorageEncrypted": True,
            "KmsKeyId": key_arn,
            "MasterUsername": user,
            "MasterUserPassword": password,
            "Tags": _tag_list(tagged),
            **network,
        },
    )


def create_instance(
    aws: Aws, instance_id: str, cluster_id: str, instance_class: str, tagged: Tags
) -> None:
    """Orders an instance of a cluster; raises AwsError."""
    aws.call(
        "rds",
        "CreateDBInstance",
        {
            "DBInstanceIdentifier": instance_id,
            "DBClusterIdentifier": cluster_id,
            "Engine": ENGINE,
            "DBInstanceClass": instance_class,
            "Tags": _tag_list(tagged),
        },
    )


def create_snapshot(aws: Aws, snapshot_id: str, cluster_id: str, tagged: Tags) -> None:
    """Orders a snapshot of a cluster, which has the cluster's key; raises AwsError."""
    aws.call(
        "rds",
        "CreateDBClusterSnapshot",
        {
            "DBClusterSnapshotIdentifier": snapshot_id,
            "DBClusterIdentifier": cluster_id,
            "Tags": _tag_list(tagged),
        },
    )


def copy_snapshot(aws: Aws, snapshot_id: str, source_id: str, key_arn: str, tagged: Tags) -> None:
    """Orders a copy of a cluster snapshot under another key; raises AwsError."""
    aws.call(
        "rds",
        "CopyDBClusterSnapshot",
        {
            "SourceDBClusterSnapshotIdentifier": source_id,
            "TargetDBClusterSnapshotIdentifier": snapshot_id,
            "KmsKeyId": key_arn,
            "Tags": _tag_list(tagged),
        },
    )


def restore(
    aws: Aws, cluster_id: str, snapshot_id: str, key_arn: str, tagged: Tags, **network: Any
) -> None:
    """Orders a cluster from a cluster snapshot, under the snapshot's own key if none is named.

    Raises AwsError.
    """
    aws.call(
        "rds",
        "RestoreDBClusterFromSnapshot",
        {
            "DBClusterIdentifier": cluster_id,
            "SnapshotIdentifier": snapshot_id,
            "Engine": ENGINE,
            "Tags": _tag_list(tagged),
            **({"KmsKeyId": key_arn} if key_arn else {}),
            **network,
        },
    )


def delete_cluster(aws: Aws, cluster_id: str) -> None:
    """Orders a cluster without instances to be deleted, with its backups; raises AwsError."""
    aws.call(
        "rds",
        "DeleteDBCluster",
        {
            "DBClusterIdentifier": cluster_id,
            "SkipFinalSnapshot": True,
            "DeleteAutomatedBackups": True,
        },
    )


def delete_instance(aws: Aws, instance_id: str) -> None:
    """Orders an instance of a cluster to be deleted; raises AwsError.

    API reference, DeleteDBInstance: one that has failed is deleted only without a snapshot.
    """
    asked = {"DBInstanceIdentifier": instance_id, "SkipFinalSnapshot": True}
    aws.call("rds", "DeleteDBInstance", asked)


def delete_snapshot(aws: Aws, snapshot_id: str) -> None:
    """Deletes a cluster snapshot; raises AwsError."""
    asked = {"DBClusterSnapshotIdentifier": snapshot_id}
    aws.call("rds", "DeleteDBClusterSnapshot", asked)


def _check(name: str) -> None:
    """Without a name RDS describes whatever there is, and the first of that would be taken."""
    if name == "":
        raise AwsError("RDS was not asked: the name is empty", "InvalidParameterValue")


def _tag_list(tagged: Tags) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tagged.items()]
