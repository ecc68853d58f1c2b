"""A DB cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.database import Database, Described, Kind, Snapshots

__all__ = ["CLUSTER", "Cluster", "cluster_of", "describe_cluster"]

PROVISIONED = "provisioned"
"""The one engine mode of clusters that can be stopped, Serverless v2 included (Systems Manager
runbook reference, AWS-StartStopAuroraCluster)."""

TERMINAL_AT_ONCE = {
    "neptune": "is a Neptune cluster, which has no recoverable state (Neptune User Guide, encrypt)",
    "docdb": "is a DocumentDB cluster, of which no document says that it has a recoverable state",
}
MULTI_AZ = frozenset({"mysql", "postgres"})
"""The engines of Multi-AZ DB clusters."""


class Cluster(Database):
    """What DescribeDBClusters and DescribeDBInstances say."""

    @property
    def address(self) -> str:
        """Where the cluster endpoint is."""
        return str(self.raw.get("Endpoint", ""))

    @property
    def port(self) -> int | None:
        """Of every endpoint."""
        return self.raw.get("Port")

    @property
    def database_name(self) -> str:
        """As CreateDBCluster was told."""
        return str(self.raw.get("DatabaseName") or "")

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
    def context(self) -> tuple[str, str]:
        """By the cluster's resource id."""
        return "aws:rds:dbc-id", str(self.raw.get("DbClusterResourceId", ""))

    def owns(self, described: Described) -> bool:
        """Whether it is the cluster, or an instance or a snapshot of it.

        By the resource id, which stays the same when a cluster is renamed, and which an earlier
        cluster of the same name does not have.
        """
        if resource := described.get("DbClusterResourceId"):
            return bool(resource == self.raw.get("DbClusterResourceId"))
        return bool(described.get("DBClusterIdentifier") == self.id)

    def own_snapshots(
        self, clusters: Iterable[Described], others: Iterable[Described]
    ) -> list[Described]:
        """Cluster snapshots."""
        return list(clusters)

    def why_not_recoverable(self) -> list[str]:
        """Aurora User Guide, Overview.Encryption and aurora-cluster-stop-start; RDS User Guide,
        multi-az-db-clusters-concepts.Limitations."""
        said, engine = self.raw, self.engine
        mode, why = said.get("EngineMode") or PROVISIONED, []
        if engine in MULTI_AZ:
            why.append("is a Multi-AZ DB cluster, which cannot be stopped and started")
        elif not engine.startswith("aurora"):
            unknown = f"is no Aurora cluster, but {engine or 'of an unknown engine'}"
            why.append(TERMINAL_AT_ONCE.get(engine, unknown))
        if mode == "serverless":
            why.append("is Aurora Serverless v1")
        elif mode != PROVISIONED:
            why.append(f"has the engine mode {mode}, which cannot be stopped")
        if source := said.get("ReplicationSourceIdentifier"):
            why.append(f"replicates {source}")
        if replicas := said.get("ReadReplicaIdentifiers"):
            why.append(f"is replicated by {', '.join(replicas)}")
        return why


def describe_cluster(aws: Aws, cluster_id: str) -> Cluster:
    """The cluster with its instances; raises AwsError."""
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


CLUSTER = Cluster.kind = Kind(
    word="cluster",
    prefix="",
    arn="cluster",
    identifier="DBClusterIdentifier",
    describe_operation="DescribeDBClusters",
    start_operation="StartDBCluster",
    setting="CHAOS_CLUSTER_ID",
    missing="DBClusterNotFoundFault",
    wrong_state="InvalidDBClusterStateFault",
    snapshots=Snapshots(
        id="DBClusterSnapshotIdentifier",
        arn="DBClusterSnapshotArn",
        source="SourceDBClusterSnapshotArn",
        copied_by="copy-db-cluster-snapshot",
    ),
    describe=describe_cluster,
)
