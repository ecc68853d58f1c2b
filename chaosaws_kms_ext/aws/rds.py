"""Databases of RDS' in plain verbs: clusters, and instances that are no cluster's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.cluster import CLUSTER, Cluster, cluster_of, describe_cluster
from chaosaws_kms_ext.aws.database import Database, Kind
from chaosaws_kms_ext.aws.instance import INSTANCE, Instance, instance_of
from chaosaws_kms_ext.connection_strings import (
    POSTGRESQL,
    SPOKEN,
    options_of,
    protocol_of,
    written,
)

__all__ = [
    "CLUSTER",
    "ENGINE",
    "INSTANCE",
    "KINDS",
    "MISSING",
    "Cluster",
    "Database",
    "Instance",
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
    "describe_cluster",
    "describe_instance",
    "describe_snapshot",
    "fail_over",
    "in_words",
    "instance_of",
    "kind_of",
    "restore",
    "start",
    "tags",
]

ENGINE = "aurora-postgresql"

Tags = Mapping[str, str]


KINDS = (INSTANCE, CLUSTER)
"""The one without a prefix last."""

MISSING = frozenset(kind.missing for kind in KINDS)
"""The error codes for a database that is not there."""


def kind_of(reference: str) -> Kind:
    """The kind of database that a reference names (`database.py`)."""
    # An experiment may name anything: what is no text names a cluster, which RDS then refuses.
    text = reference if isinstance(reference, str) else ""
    return next(kind for kind in KINDS if text.startswith(kind.prefix))


def in_words(reference: str) -> str:
    """What it names: `cluster orders`, `instance orders`."""
    kind = kind_of(reference)
    return f"{kind.word} {kind.id_of(reference)}"


def describe(aws: Aws, reference: str) -> Database:
    """The database that it names: a cluster, or an instance that is no cluster's. Raises AwsError.

    One with a colon is an ARN, or begins with what kind it is.
    """
    kind = kind_of(reference)
    _check(kind.id_of(reference))
    return kind.describe(aws, kind.id_of(reference))


def tags(database: Database) -> dict[str, str]:
    """What it is tagged with, as it was described."""
    return {tag["Key"]: tag.get("Value", "") for tag in database.raw.get("TagList", [])}


def start(aws: Aws, reference: str) -> None:
    """StartDBCluster or StartDBInstance: legal in the statuses stopped and recoverable; raises
    AwsError."""
    kind = kind_of(reference)
    aws.call("rds", kind.start_operation, kind.asked(reference))


def conninfo(database: Database, given: str) -> str:
    """The connection string of it: `given`, and its own endpoint for what that leaves out."""
    protocol = SPOKEN.get(database.engine) or protocol_of(given)
    always = {POSTGRESQL: "postgres"}  # the others have no database that every server has
    own = {
        "host": database.address,
        "port": database.port,
        "dbname": database.database_name or always.get(protocol),
        "user": database.raw.get("MasterUsername"),
    }
    named = options_of(given)
    if "hostaddr" in named or "service" in named:
        own.pop("host")
        own.pop("port")
    return written(protocol, {**{k: v for k, v in own.items() if v}, **named})


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
    aws: Aws,
    instance_id: str,
    cluster_id: str,
    instance_class: str,
    tagged: Tags,
    engine: str = ENGINE,
) -> None:
    """Orders an instance of a cluster, which is of this engine; raises AwsError."""
    aws.call(
        "rds",
        "CreateDBInstance",
        {
            "DBInstanceIdentifier": instance_id,
            "DBClusterIdentifier": cluster_id,
            "Engine": engine,
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
    aws: Aws, cluster_id: str, source: Snapshot, key_arn: str, tagged: Tags, **network: Any
) -> None:
    """Orders a cluster from a cluster snapshot, under the snapshot's own key if none is named.

    It is of the engine that the snapshot is of. Raises AwsError.
    """
    aws.call(
        "rds",
        "RestoreDBClusterFromSnapshot",
        {
            "DBClusterIdentifier": cluster_id,
            "SnapshotIdentifier": source.id,
            "Engine": source.raw.get("Engine") or ENGINE,
            "Tags": _tag_list(tagged),
            **({"KmsKeyId": key_arn} if key_arn else {}),
            **network,
        },
    )


def restore_latest(
    aws: Aws, cluster_id: str, source_id: str, key_arn: str, tagged: Tags, **network: Any
) -> None:
    """Orders a cluster with the data of another as of its latest restorable time, under that one's
    key if none is named.

    Raises AwsError.
    """
    aws.call(
        "rds",
        "RestoreDBClusterToPointInTime",
        {
            "DBClusterIdentifier": cluster_id,
            "SourceDBClusterIdentifier": source_id,
            "UseLatestRestorableTime": True,
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
