"""Which clusters have the recoverable state; the others are lost at once with their key.

The lab only knows of such clusters, so that a guard can be tested: it replicates nothing and
switches nothing over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from chaosaws_kms_lab.calls import AwsError
from chaosaws_kms_lab.rds import find
from chaosaws_kms_lab.world import Cluster, World

__all__ = [
    "IRREVERSIBLE",
    "check_can_delete",
    "check_can_stop",
    "end_replication",
    "recoverable",
    "rename",
    "replicate",
]

Kind = Callable[[World, Cluster], bool]

# AuroraUserGuide, Overview.Encryption: the recoverable state is for clusters that can be stopped,
# and not for those with cross-Region read replicas; aurora-global-database, limitations: a global
# database goes to the terminal state at once; aurora-cluster-stop-start: what cannot be stopped.
IRREVERSIBLE: dict[str, Kind] = {
    "is a member of a global database": lambda world, cluster: cluster.global_cluster is not None,
    "is a cross-Region read replica or the source of one": lambda world, cluster: bool(
        cluster.replication_source or cluster.replicas
    ),
    "is part of a blue/green deployment": lambda world, cluster: any(
        deployment.source == cluster.arn
        for deployment in world.region(cluster.region).deployments.values()
    ),
    "is an Aurora Serverless v1 cluster": lambda world, cluster: (
        cluster.engine_mode == "serverless"
    ),
}


def recoverable(world: World, cluster: Cluster) -> bool:
    """Whether a cluster that loses its key has the recoverable state before the terminal one."""
    return not any(holds(world, cluster) for holds in IRREVERSIBLE.values())


def check_can_stop(world: World, cluster: Cluster) -> None:
    """Raises InvalidDBClusterStateFault for a cluster that StopDBCluster does not take."""
    # The only cluster of a global database can be stopped, though it is not recoverable.
    alone = cluster.global_cluster and world.global_clusters[cluster.global_cluster].members == [
        cluster.arn
    ]
    for what, holds in IRREVERSIBLE.items():
        if holds(world, cluster) and not (alone and "global" in what):
            why = f"DbCluster {cluster.id} {what}: it cannot be stopped."
            raise AwsError("InvalidDBClusterStateFault", why)


# Cross-Region read replicas


def replicate(world: World, replica: Cluster, source_arn: str) -> None:
    """Notes on both sides that `replica` replicates a cluster of another Region."""
    source = find.cluster_anywhere(world, source_arn)
    replica.replication_source = source.arn
    source.replicas.append(replica.arn)


def end_replication(world: World, cluster: Cluster) -> None:
    """Ends what `replicate` began, on both sides."""
    for other in _all(world):
        if cluster.arn in other.replicas:
            other.replicas.remove(cluster.arn)
        if other.replication_source == cluster.arn:
            other.replication_source = None
    cluster.replication_source = None
    cluster.replicas.clear()


# Clusters refer to each other by ARN, which has the name in it


def rename(world: World, before: str, after: str) -> None:
    """Replaces a renamed cluster's ARN wherever it is named."""
    for group in world.global_clusters.values():
        group.members = [after if arn == before else arn for arn in group.members]
    for cluster in _all(world):
        cluster.replicas = [after if arn == before else arn for arn in cluster.replicas]
        if cluster.replication_source == before:
            cluster.replication_source = after
    for region in world.regions():
        for deployment in region.deployments.values():
            if deployment.source == before:
                deployment.source = after


def check_can_delete(world: World, cluster: Cluster) -> None:
    """Raises InvalidDBClusterStateFault for a cluster of a blue/green deployment."""
    deployments = world.region(cluster.region).deployments.values()
    if any(deployment.source == cluster.arn for deployment in deployments):
        why = f"{cluster.id} is part of a blue/green deployment: delete that first."
        raise AwsError("InvalidDBClusterStateFault", why)


def _all(world: World) -> Iterator[Cluster]:
    for region in world.regions():
        yield from region.clusters.values()
