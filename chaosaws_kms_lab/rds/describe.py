"""How RDS describes clusters, instances and snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chaosaws_kms_lab.aurora import AVAILABLE
from chaosaws_kms_lab.rds.find import ENGINE, SINGLE_ENGINE, tag_list
from chaosaws_kms_lab.world import Cluster, Encryption, Instance, Snapshot

if TYPE_CHECKING:
    from chaosaws_kms_lab.rds.service import Rds

__all__ = ["describe_cluster", "describe_db_snapshot", "describe_instance", "describe_snapshot"]


def describe_cluster(rds: Rds, cluster: Cluster) -> dict[str, Any]:
    """The cluster as DescribeDBClusters has it."""
    endpoints = rds.servers.endpoints(cluster)
    return _without_none(
        {
            "DBClusterIdentifier": cluster.id,
            "DBClusterArn": cluster.arn,
            "DbClusterResourceId": cluster.resource_id,
            "Status": cluster.status,
            "AllocatedStorage": 1,
            "Engine": ENGINE,
            "EngineVersion": cluster.engine_version,
            "EngineMode": cluster.engine_mode,
            "MasterUsername": cluster.master_username,
            "DatabaseName": cluster.database,
            "Endpoint": endpoints.writer,
            "ReaderEndpoint": endpoints.reader,
            "Port": cluster.port,
            "ClusterCreateTime": cluster.created,
            "BackupRetentionPeriod": cluster.backup_retention_days,
            "PreferredMaintenanceWindow": cluster.maintenance_window,
            "EarliestRestorableTime": cluster.restorable_from,
            "LatestRestorableTime": _latest_restorable(rds, cluster),
            "CopyTagsToSnapshot": cluster.copy_tags_to_snapshot,
            "DeletionProtection": cluster.deletion_protection,
            "ServerlessV2ScalingConfiguration": cluster.serverless_v2,
            "GlobalClusterIdentifier": cluster.global_cluster,
            "ReplicationSourceIdentifier": cluster.replication_source,
            "ReadReplicaIdentifiers": list(cluster.replicas),
            "DBSubnetGroup": cluster.subnet_group,
            "VpcSecurityGroups": [
                {"VpcSecurityGroupId": group, "Status": "active"}
                for group in cluster.security_groups
            ],
            "MultiAZ": False,
            "DBClusterMembers": [
                {
                    "DBInstanceIdentifier": instance.id,
                    "IsClusterWriter": number == 0,
                    "DBClusterParameterGroupStatus": "in-sync",
                    "PromotionTier": instance.promotion_tier,
                }
                for number, instance in enumerate(cluster.instances)
            ],
            "TagList": tag_list(cluster.tags),
        }
        | _encryption(cluster.encryption)
        | _secret(cluster)
        | _stream(rds, cluster)
    )


def describe_instance(rds: Rds, instance: Instance) -> dict[str, Any]:
    """The instance as DescribeDBInstances has it."""
    cluster = instance.cluster
    if cluster.single:
        return _describe_single(rds, instance)
    return {
        "DBInstanceIdentifier": instance.id,
        "DBInstanceArn": instance.arn,
        "DbiResourceId": instance.resource_id,
        "DBInstanceStatus": instance.status(rds.now()),
        "DBInstanceClass": instance.instance_class,
        "DBClusterIdentifier": cluster.id,
        "Engine": ENGINE,
        "EngineVersion": cluster.engine_version,
        "MasterUsername": cluster.master_username,
        "Endpoint": {"Address": rds.servers.address(instance), "Port": cluster.port},
        "InstanceCreateTime": instance.created,
        "AvailabilityZone": f"{cluster.region}a",
        "PromotionTier": instance.promotion_tier,
        "TagList": tag_list(instance.tags),
        **_insights(instance),
    } | _encryption(cluster.encryption)


def _describe_single(rds: Rds, instance: Instance) -> dict[str, Any]:
    """One that is no cluster's."""
    kept = instance.cluster
    return _without_none(
        {
            "DBInstanceIdentifier": instance.id,
            "DBInstanceArn": instance.arn,
            "DbiResourceId": instance.resource_id,
            "DBInstanceStatus": instance.status(rds.now()),
            "DBInstanceClass": instance.instance_class,
            "Engine": SINGLE_ENGINE,
            "EngineVersion": kept.engine_version,
            "MasterUsername": kept.master_username,
            "DBName": kept.database,
            "Endpoint": {"Address": rds.servers.endpoints(kept).writer, "Port": kept.port},
            "AllocatedStorage": 20,
            "InstanceCreateTime": instance.created,
            "AvailabilityZone": f"{kept.region}a",
            "MultiAZ": False,
            "BackupRetentionPeriod": kept.backup_retention_days,
            "PreferredMaintenanceWindow": kept.maintenance_window,
            "LatestRestorableTime": _latest_restorable(rds, kept),
            "ReadReplicaDBInstanceIdentifiers": [],
            "CopyTagsToSnapshot": kept.copy_tags_to_snapshot,
            "DeletionProtection": kept.deletion_protection,
            "DBSubnetGroup": {"DBSubnetGroupName": kept.subnet_group},
            "VpcSecurityGroups": [
                {"VpcSecurityGroupId": group, "Status": "active"} for group in kept.security_groups
            ],
            "TagList": tag_list(instance.tags),
        }
        | _encryption(kept.encryption)
    )


def describe_db_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot of an instance as DescribeDBSnapshots has it."""
    origin, held = snapshot.origin, _encryption(snapshot.encryption)
    return _without_none({
        "DBSnapshotIdentifier": snapshot.id,
        "DBSnapshotArn": snapshot.arn,
        "DBInstanceIdentifier": origin.cluster_id,
        "DbiResourceId": origin.resource_id,
        "SourceDBSnapshotIdentifier": snapshot.source_arn,
        "SnapshotType": "manual",
        "SnapshotCreateTime": snapshot.created,
        "OriginalSnapshotCreateTime": snapshot.original or snapshot.created,
        "InstanceCreateTime": origin.created,
        "Status": snapshot.status,
        "PercentProgress": 100 if snapshot.status == "available" else 0,
        "AllocatedStorage": 20,
        "Engine": SINGLE_ENGINE,
        "EngineVersion": origin.engine_version,
        "MasterUsername": origin.master_username,
        "Port": origin.port,
        "TagList": tag_list(snapshot.tags),
        "Encrypted": held["StorageEncrypted"],
        "StorageEncryptionType": held["StorageEncryptionType"],
        "KmsKeyId": held.get("KmsKeyId"),
    })  # fmt: skip


def describe_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot as DescribeDBClusterSnapshots has it."""
    origin = snapshot.origin
    return _without_none(
        {
            "DBClusterSnapshotIdentifier": snapshot.id,
            "DBClusterSnapshotArn": snapshot.arn,
            "DBClusterIdentifier": origin.cluster_id,
            "DbClusterResourceId": origin.resource_id,
            "SourceDBClusterSnapshotArn": snapshot.source_arn,
            "SnapshotType": "manual",
            "SnapshotCreateTime": snapshot.created,
            "ClusterCreateTime": origin.created,
            "Status": snapshot.status,
            "PercentProgress": 100 if snapshot.status == "available" else 0,
            "AllocatedStorage": 1,
            "Engine": ENGINE,
            "EngineMode": "provisioned",
            "EngineVersion": origin.engine_version,
            "MasterUsername": origin.master_username,
            "Port": origin.port,
            "TagList": tag_list(snapshot.tags),
        }
        | _encryption(snapshot.encryption)
    )


# Internals

INSIGHTS_DAYS = 7
"""API reference, CreateDBInstance: the default, which is free."""


def _encryption(held: Encryption | None) -> dict[str, Any]:
    """RDS always reports the key's ARN, however the key was named."""
    if held is None:
        return {"StorageEncrypted": False, "StorageEncryptionType": "none"}
    return {
        "StorageEncrypted": True,
        "StorageEncryptionType": "sse-kms",
        "KmsKeyId": (held.said or held).key_arn,
    }


def _secret(cluster: Cluster) -> dict[str, Any]:
    """API reference, MasterUserSecret. Assumed: that its key is lost RDS finds out when it rotates
    the secret the next time, 7 days later at the latest; the secret is `impaired` only then."""
    if cluster.secret is None:
        return {}
    its = cluster.secret
    key = {"KmsKeyId": its.key_arn} if its.key_arn else {}
    return {"MasterUserSecret": {"SecretArn": its.arn, "SecretStatus": "active", **key}}


def _stream(rds: Rds, cluster: Cluster) -> dict[str, Any]:
    """Assumed: a stream whose key is lost is still called `started`."""
    if cluster.stream is None:
        return {}
    its = cluster.stream
    return {
        "ActivityStreamStatus": "started" if rds.now() >= its.started_at else "starting",
        "ActivityStreamMode": its.mode,
        "ActivityStreamKmsKeyId": its.held.key_arn,
        "ActivityStreamKinesisStreamName": its.name,
    }


def _insights(instance: Instance) -> dict[str, Any]:
    if instance.insights is None:
        return {}
    return {
        "PerformanceInsightsEnabled": True,
        "PerformanceInsightsKMSKeyId": instance.insights.key_arn,
        "PerformanceInsightsRetentionPeriod": INSIGHTS_DAYS,
    }


def _latest_restorable(rds: Rds, cluster: Cluster) -> Any:
    """Now, while the cluster is available; otherwise when it ceased to be."""
    if cluster.restorable_from is None:
        return None
    clock = rds.world.clock
    return clock.utc() if cluster.status == AVAILABLE else clock.date(cluster.state.since)


def _without_none(described: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in described.items() if value is not None}
