"""DB instances: the first of a cluster is its writer, the others are readers.

Those that are no cluster's are in single_instances.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chaosaws_kms_lab.aurora import AVAILABLE, CREATING
from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.rds import clusters, encryption, find, secondary, single_instances
from chaosaws_kms_lab.rds.describe import describe_instance
from chaosaws_kms_lab.rds.tables import PAGES
from chaosaws_kms_lab.world import Cluster, Instance

if TYPE_CHECKING:
    from chaosaws_kms_lab.rds.service import Rds

__all__ = ["OPERATIONS"]

# API reference, DescribeDBInstances, Filters.
FILTERS: dict[str, Callable[[Any], set[str]]] = {
    "db-cluster-id": lambda instance: (
        set() if instance.cluster.single else {instance.cluster.id, instance.cluster.arn}
    ),
    "db-instance-id": lambda instance: {instance.id, instance.arn},
    "dbi-resource-id": lambda instance: {instance.resource_id},
    "domain": lambda instance: set(),
    "engine": lambda instance: {find.SINGLE_ENGINE if instance.cluster.single else find.ENGINE},
}

MOST = 16
"""A writer and 15 Aurora Replicas (Aurora User Guide, Aurora.Overview)."""
SERVERLESS_V2 = "db.serverless"


def create_db_instance(rds: Rds, call: Call) -> dict[str, Any]:
    region, params = rds.world.region(call.region), call.params
    if single_instances.wanted(params):
        return single_instances.create(rds, call)
    find.check_engine(params["Engine"])
    name = find.new_identifier(params["DBInstanceIdentifier"], "DBInstanceIdentifier")
    if "DBClusterIdentifier" not in params:
        raise AwsError("InvalidParameterCombination", "The lab's instances belong to a DB cluster.")
    if name in region.instances:
        raise AwsError("DBInstanceAlreadyExists", "DB instance already exists")
    cluster = find.legal_cluster(region, call)
    _check_room(cluster)
    _check_class(cluster, params["DBInstanceClass"])
    if cluster.encryption:
        encryption.unwrap(rds.world, cluster.encryption)
    resource_id = f"db-{find.resource_id()}"
    instance = Instance(
        id=name,
        arn=region.arn("rds", f"db:{name}"),
        resource_id=resource_id,
        insights=secondary.take_insights(rds, call, resource_id),
        cluster=cluster,
        instance_class=params["DBInstanceClass"],
        available_at=rds.now() + rds.world.profile.creating_instance,
        created=rds.world.clock.utc(),
        promotion_tier=params.get("PromotionTier", 1),
        tags=find.tags(params.get("Tags", [])),
    )
    cluster.instances.append(instance)
    region.instances[name] = instance
    rds.start_when_possible(instance)
    rds.write_event("RDS-EVENT-0005", instance)
    return {"DBInstance": describe_instance(rds, instance)}


def describe_db_instances(rds: Rds, call: Call) -> dict[str, Any]:
    region = rds.world.region(call.region)
    found = list(region.instances.values())
    if wanted := call.params.get("DBInstanceIdentifier"):
        found = [find.instance(region, wanted)]
    instances, marker = PAGES.cut(find.filtered(found, call, FILTERS), call.params)
    return find.paged("DBInstances", [describe_instance(rds, i) for i in instances], marker)


def modify_db_instance(rds: Rds, call: Call) -> dict[str, Any]:
    instance = _legal(rds, call)
    if instance.cluster.single:
        single_instances.modify(instance, call)
    instance.promotion_tier = call.params.get("PromotionTier", instance.promotion_tier)
    instance.instance_class = call.params.get("DBInstanceClass", instance.instance_class)
    return {"DBInstance": describe_instance(rds, instance)}


def reboot_db_instance(rds: Rds, call: Call) -> dict[str, Any]:
    instance = _legal(rds, call)
    if instance.status(rds.now()) != "available":
        raise AwsError(
            "InvalidDBInstanceState",
            "Instance cannot currently reboot due to an in-progress management operation.",
        )
    if instance.cluster.encryption:
        encryption.unwrap(rds.world, instance.cluster.encryption)
    instance.rebooting = True
    instance.available_at = rds.now() + rds.world.profile.rebooting
    rds.servers.restart(instance)
    rds.watch_start(instance)
    return {"DBInstance": describe_instance(rds, instance)}


def delete_db_instance(rds: Rds, call: Call) -> dict[str, Any]:
    instance = _legal(rds, call)
    if instance.cluster.single:
        return single_instances.delete(rds, call, instance)
    described = describe_instance(rds, instance) | {"DBInstanceStatus": "deleting"}
    cluster = instance.cluster
    if instance is not cluster.instances[0] or len(cluster.instances) == 1:
        _remove(rds, instance)
    else:
        _replace_writer(rds, cluster, instance)
    return {"DBInstance": described}


def start_or_stop_db_instance(rds: Rds, call: Call) -> dict[str, Any]:
    instance = find.instance(rds.world.region(call.region), call.params["DBInstanceIdentifier"])
    if instance.cluster.single:
        return single_instances.start_or_stop(rds, call, instance)
    # Aurora User Guide, aurora-cluster-stop-start: "you can't stop individual instances".
    raise AwsError(
        "InvalidParameterCombination",
        f"{find.ENGINE} DB instances are not eligible for stopping and starting.",
    )


# Internals


def _legal(rds: Rds, call: Call) -> Instance:
    instance = find.instance(rds.world.region(call.region), call.params["DBInstanceIdentifier"])
    if instance.cluster.single:
        find.check_single(call.operation, instance.cluster)
        return instance
    try:
        find.check_legal(call.operation, instance.cluster)
    except AwsError as error:
        # The documented error of operations on instances; DeleteDBInstance has the cluster's.
        if call.operation == "DeleteDBInstance":
            raise
        raise AwsError("InvalidDBInstanceState", error.message) from None
    return instance


def _check_room(cluster: Cluster) -> None:
    if cluster.engine_mode == "serverless":
        why = f"{cluster.id} is an Aurora Serverless v1 cluster: it has no instances."
        raise AwsError("InvalidDBClusterStateFault", why)
    if cluster.restored and cluster.status == CREATING:
        # API reference, RestoreDBClusterFromSnapshot and RestoreDBClusterToPointInTime: "only
        # after the … operation has completed and the DB cluster is available".
        why = f"DbCluster {cluster.id} is in {CREATING} state but expected it to be {AVAILABLE}."
        raise AwsError("InvalidDBClusterStateFault", why)
    if len(cluster.instances) >= MOST:
        raise AwsError("InstanceQuotaExceeded", f"{cluster.id} has {MOST} instances already.")


def _check_class(cluster: Cluster, instance_class: str) -> None:
    if instance_class == SERVERLESS_V2 and not cluster.serverless_v2:
        raise AwsError(
            "InvalidDBClusterStateFault",
            "Set the Serverless v2 scaling configuration on the parent DB cluster before creating "
            "a Serverless v2 DB instance.",
        )


def _remove(rds: Rds, instance: Instance) -> None:
    rds.servers.remove(instance)
    rds.release(instance.insights)
    instance.cluster.instances.remove(instance)
    del rds.world.region(instance.cluster.region).instances[instance.id]
    rds.write_event("RDS-EVENT-0003", instance)


def _replace_writer(rds: Rds, cluster: Cluster, writer: Instance) -> None:
    """Removes the writer and makes a reader the writer, whatever state the cluster is in."""
    successor = min(cluster.instances[1:], key=lambda reader: reader.promotion_tier)
    if cluster.status == AVAILABLE:
        clusters.fail_over(rds, cluster, successor)
    else:
        cluster.instances.remove(successor)
        cluster.instances.insert(0, successor)
    _remove(rds, writer)


OPERATIONS = {
    "CreateDBInstance": create_db_instance,
    "DeleteDBInstance": delete_db_instance,
    "DescribeDBInstances": describe_db_instances,
    "ModifyDBInstance": modify_db_instance,
    "RebootDBInstance": reboot_db_instance,
    "StartDBInstance": start_or_stop_db_instance,
    "StopDBInstance": start_or_stop_db_instance,
}
