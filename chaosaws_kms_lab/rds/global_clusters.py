"""Global databases: which clusters belong together; nothing is replicated between them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.rds import find
from chaosaws_kms_lab.rds.tables import PAGES
from chaosaws_kms_lab.world import Cluster, GlobalCluster, World

if TYPE_CHECKING:
    from chaosaws_kms_lab.rds.service import Rds

__all__ = ["OPERATIONS", "check_can_join", "join"]

# API reference, DescribeGlobalClusters, Filters.
FILTERS: dict[str, Callable[[Any], set[str]]] = {
    "region": lambda group: {arn.split(":")[3] for arn in group.members},
}


def create_global_cluster(rds: Rds, call: Call) -> dict[str, Any]:
    world, params = rds.world, call.params
    name = find.new_identifier(params.get("GlobalClusterIdentifier", ""))
    if name in world.global_clusters:
        raise AwsError("GlobalClusterAlreadyExistsFault", f"Global cluster {name} already exists")
    source = None
    if reference := params.get("SourceDBClusterIdentifier"):
        source = find.cluster(world.region(call.region), reference)
        find.check_legal(call.operation, source)
        if source.global_cluster:
            why = f"{source.id} is a member of {source.global_cluster} already."
            raise AwsError("InvalidDBClusterStateFault", why)
    made = GlobalCluster(
        id=name,
        resource_id=f"cluster-{secrets.token_hex(8)}",
        members=[source.arn] if source else [],
        encrypted=source.encryption is not None if source else bool(params.get("StorageEncrypted")),
        deletion_protection=params.get("DeletionProtection", False),
        tags=find.tags(params.get("Tags", [])),
    )
    world.global_clusters[name] = made
    if source:
        source.global_cluster = name
    return {"GlobalCluster": _describe_global(made)}


def describe_global_clusters(rds: Rds, call: Call) -> dict[str, Any]:
    found = list(rds.world.global_clusters.values())
    if wanted := call.params.get("GlobalClusterIdentifier"):
        found = [_global(rds.world, wanted)]
    found = find.filtered(found, call, FILTERS)
    page, marker = PAGES.cut(found, call.params)
    return find.paged("GlobalClusters", [_describe_global(each) for each in page], marker)


def remove_from_global_cluster(rds: Rds, call: Call) -> dict[str, Any]:
    world, params = rds.world, call.params
    found = _global(world, params.get("GlobalClusterIdentifier", ""))
    arn = params.get("DbClusterIdentifier", "")
    if arn not in found.members:
        raise AwsError("DBClusterNotFoundFault", f"DBCluster {arn} not found.")
    member = find.cluster_anywhere(world, arn)
    if arn == found.members[0] and len(found.members) > 1:
        raise AwsError(
            "InvalidGlobalClusterStateFault",
            f"The writer of {found.id} is removed after its secondary clusters.",
        )
    found.members.remove(arn)
    member.global_cluster = None
    return {"GlobalCluster": _describe_global(found)}


def delete_global_cluster(rds: Rds, call: Call) -> dict[str, Any]:
    found = _global(rds.world, call.params["GlobalClusterIdentifier"])
    if found.members or found.deletion_protection:
        why = "has members" if found.members else "is protected against deletion"
        raise AwsError("InvalidGlobalClusterStateFault", f"Global cluster {found.id} {why}.")
    del rds.world.global_clusters[found.id]
    return {"GlobalCluster": _describe_global(found) | {"Status": "deleting"}}


def check_can_join(world: World, name: str, region: str, encrypted: bool) -> None:
    """Raises unless a new cluster in `region` can become a member of the global database."""
    found = _global(world, name)
    if any(arn.split(":")[3] == region for arn in found.members):
        why = f"{found.id} has a cluster in {region} already."
        raise AwsError("InvalidGlobalClusterStateFault", why)
    if found.encrypted != encrypted:
        raise AwsError(
            "InvalidParameterCombination",
            f"{found.id} is {'' if found.encrypted else 'not '}encrypted: so must its members be.",
        )


def join(world: World, name: str, cluster: Cluster) -> None:
    """Makes the cluster a member of the global database."""
    found = _global(world, name)
    found.members.append(cluster.arn)
    cluster.global_cluster = found.id


def _global(world: World, reference: str) -> GlobalCluster:
    name = reference.rsplit(":", 1)[-1].lower()
    if name not in world.global_clusters:
        raise AwsError("GlobalClusterNotFoundFault", f"Global cluster {reference} not found.")
    return world.global_clusters[name]


def _describe_global(found: GlobalCluster) -> dict[str, Any]:
    return {
        "GlobalClusterIdentifier": found.id,
        "GlobalClusterResourceId": found.resource_id,
        "GlobalClusterArn": found.arn,
        "Status": "available",
        "Engine": find.ENGINE,
        "StorageEncrypted": found.encrypted,
        "DeletionProtection": found.deletion_protection,
        "GlobalClusterMembers": [
            {
                "DBClusterArn": arn,
                "Readers": found.members[1:] if number == 0 else [],
                "IsWriter": number == 0,
                "SynchronizationStatus": "connected",
            }
            for number, arn in enumerate(found.members)
        ],
        "TagList": find.tag_list(found.tags),
    }


OPERATIONS = {
    "CreateGlobalCluster": create_global_cluster,
    "DeleteGlobalCluster": delete_global_cluster,
    "DescribeGlobalClusters": describe_global_clusters,
    "RemoveFromGlobalCluster": remove_from_global_cluster,
}
