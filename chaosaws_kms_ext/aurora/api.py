"""The cluster in plain verbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from chaosaws_kms_ext.aurora.statuses import AVAILABLE, meaning
from chaosaws_kms_ext.aws import Aws, AwsError

__all__ = ["Cluster", "conninfo", "describe", "start", "tags"]


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
    said: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def meaning(self) -> str:
        """`accessible`, `recoverable`, `terminal` or `changing`, of cluster and instances."""
        return meaning([self.status, *self.instances.values()])

    @property
    def address(self) -> str:
        """Where the cluster endpoint is."""
        return str(self.said.get("Endpoint", ""))

    @property
    def available(self) -> bool:
        """Whether the cluster and every instance of it are available."""
        return all(status == AVAILABLE for status in (self.status, *self.instances.values()))


def describe(aws: Aws, cluster_id: str) -> Cluster:
    """The cluster with its instances; raises AwsError."""
    answer = aws.call("rds", "DescribeDBClusters", {"DBClusterIdentifier": cluster_id})
    if not answer.get("DBClusters"):
        raise AwsError(f"rds:DescribeDBClusters says nothing of {cluster_id}")
    said = answer["DBClusters"][0]
    only = [{"Name": "db-cluster-id", "Values": [said["DBClusterIdentifier"]]}]
    instances = aws.pages("rds", "DescribeDBInstances", {"Filters": only}, "DBInstances")
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
        said=said,
    )


def tags(cluster: Cluster) -> dict[str, str]:
    """What the cluster is tagged with, as DescribeDBClusters said it."""
    return {tag["Key"]: tag.get("Value", "") for tag in cluster.said.get("TagList", [])}


def start(aws: Aws, cluster_id: str) -> None:
    """StartDBCluster: legal in the statuses stopped and recoverable; raises AwsError."""
    aws.call("rds", "StartDBCluster", {"DBClusterIdentifier": cluster_id})


def conninfo(cluster: Cluster, given: str) -> str:
    """libpq's conninfo of the cluster: `given`, and its own endpoint for what that leaves out."""
    own = {
        "host": cluster.address,
        "port": cluster.said.get("Port"),
        "dbname": cluster.said.get("DatabaseName") or "postgres",
        "user": cluster.said.get("MasterUsername"),
    }
    named = conninfo_to_dict(given)
    if "hostaddr" in named or "service" in named:
        own.pop("host")
        own.pop("port")
    return make_conninfo("", **{**{k: v for k, v in own.items() if v}, **named})
