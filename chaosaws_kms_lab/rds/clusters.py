"""DB clusters: made, described, stopped and started, changed, failed over, deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chaosaws_kms_lab import aurora
from chaosaws_kms_lab.aurora import State
from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.rds import (
    encryption,
    find,
    global_clusters,
    recoverability,
    secondary,
    snapshots,
)
from chaosaws_kms_lab.rds.describe import describe_cluster
from chaosaws_kms_lab.rds.tables import MODIFIABLE, PAGES
from chaosaws_kms_lab.world import Cluster, Encryption, Instance, Region

if TYPE_CHECKING:
    from chaosaws_kms_lab.rds.service import Job, Rds

__all__ = ["ENGINE_VERSION", "OPERATIONS", "check_new", "context", "new_cluster"]

ENGINE_VERSION = "15.15"
DEFAULT_SECURITY_GROUP = "sg-0123456789abcdef0"
"""The default. The lab has no networks: it looks up neither groups nor subnets."""

# API reference, DescribeDBClusters, Filters.
FILTERS: dict[str, Callable[[Any], set[str]]] = {
    "clone-group-id": lambda cluster: set(),
    "db-cluster-id": lambda cluster: {cluster.id, cluster.arn},
    "db-cluster-resource-id": lambda cluster: {cluster.resource_id},
    "domain": lambda cluster: set(),
    "engine": lambda cluster: {find.ENGINE},
}


def create_db_cluster(rds: Rds, call: Call) -> dict[str, Any]:
    region, params = rds.world.region(call.region), call.params
    name = check_new(region, params["DBClusterIdentifier"])
    _check_engine(params)
    secondary.check_password(call)
    wanted = _wants_encryption(rds, call)
    if group := params.get("GlobalClusterIdentifier"):
        global_clusters.check_can_join(rds.world, group, call.region, wanted)
    resource_id = f"cluster-{find.resource_id()}"
    held = None
    if wanted:
        held = encryption.take(rds.world, call, params.get("KmsKeyId"), context(resource_id))
    user = params.get("MasterUsername", "postgres")
    password = params.get("MasterUserPassword") or rds.servers.password
    try:
        secret = secondary.keep_password(rds, call, user, password)
    except AwsError:
        rds.release(held)
        raise
    cluster = new_cluster(
        rds,
        call,
        name,
        resource_id,
        held,
        engine_version=params.get("EngineVersion", ENGINE_VERSION),
        master_username=user,
        master_password=password,
        secret=secret,
        database=params.get("DatabaseName"),
    )
    if group:
        global_clusters.join(rds.world, group, cluster)
    if source := params.get("ReplicationSourceIdentifier"):
        recoverability.replicate(rds.world, cluster, source)
    return {"DBCluster": describe_cluster(rds, cluster)}


def describe_db_clusters(rds: Rds, call: Call) -> dict[str, Any]:
    region = rds.world.region(call.region)
    found = list(region.clusters.values())
    if wanted := call.params.get("DBClusterIdentifier"):
        found = [find.cluster(region, wanted)]
    clusters, marker = PAGES.cut(find.filtered(found, call, FILTERS), call.params)
    return find.paged("DBClusters", [describe_cluster(rds, c) for c in clusters], marker)


def start_db_cluster(rds: Rds, call: Call) -> dict[str, Any]:
    cluster = find.legal_cluster(rds.world.region(call.region), call)
    if cluster.encryption:
        encryption.unwrap(rds.world, cluster.encryption)
    rds.request(cluster, call.operation)
    return {"DBCluster": describe_cluster(rds, cluster)}


def stop_db_cluster(rds: Rds, call: Call) -> dict[str, Any]:
    cluster = find.legal_cluster(rds.world.region(call.region), call)
    recoverability.check_can_stop(rds.world, cluster)
    rds.request(cluster, call.operation)
    return {"DBCluster": describe_cluster(rds, cluster)}


def modify_db_cluster(rds: Rds, call: Call) -> dict[str, Any]:
    region, params = rds.world.region(call.region), call.params
    _refuse(call, "ManageMasterUserPassword", "MasterUserPassword")
    cluster = find.legal_cluster(region, call)
    if new := params.get("NewDBClusterIdentifier"):
        _rename(rds, region, cluster, check_new(region, new))
    for parameter, attribute in MODIFIABLE.items():
        if parameter in params:
            setattr(cluster, attribute, params[parameter])
    return {"DBCluster": describe_cluster(rds, cluster)}


def failover_db_cluster(rds: Rds, call: Call) -> dict[str, Any]:
    cluster = find.legal_cluster(rds.world.region(call.region), call)
    target = _target(rds, cluster, call.params.get("TargetDBInstanceIdentifier"))
    fail_over(rds, cluster, target)
    return {"DBCluster": describe_cluster(rds, cluster)}


def fail_over(rds: Rds, cluster: Cluster, target: Instance) -> None:
    """Makes `target` the writer; the cluster is `failing-over` until it is."""
    rds.servers.fail_over(cluster, target)
    cluster.instances.remove(target)
    cluster.instances.insert(0, target)
    rds.write_event("RDS-EVENT-0072", cluster, other=target.id)
    rds.request(cluster, "FailoverDBCluster")


def delete_db_cluster(rds: Rds, call: Call) -> dict[str, Any]:
    region, params = rds.world.region(call.region), call.params
    cluster = find.legal_cluster(region, call)
    _check_deletable(rds, cluster, params)
    if params.get("SkipFinalSnapshot"):
        _delete(rds, region, cluster)
    else:
        _delete_after(rds, region, cluster, _final_snapshot(rds, call, cluster))
    return {"DBCluster": describe_cluster(rds, cluster) | {"Status": aurora.DELETING}}


def promote_read_replica_db_cluster(rds: Rds, call: Call) -> dict[str, Any]:
    cluster = find.legal_cluster(rds.world.region(call.region), call)
    if cluster.replication_source is None:
        raise AwsError("InvalidDBClusterStateFault", f"DbCluster {cluster.id} is no read replica.")
    recoverability.end_replication(rds.world, cluster)
    return {"DBCluster": describe_cluster(rds, cluster)}


# Also for restores


def context(resource_id: str) -> dict[str, str]:
    """Aurora's encryption context (Aurora User Guide, Overview.Encryption)."""
    return {"aws:rds:dbc-id": resource_id}


def check_new(region: Region, name: str) -> str:
    """The name for a new cluster; raises when it is taken or is no name."""
    name = find.new_identifier(name, "DBClusterIdentifier")
    if name in region.clusters:
        raise AwsError("DBClusterAlreadyExistsFault", "DB Cluster already exists")
    return name


def new_cluster(
    rds: Rds, call: Call, name: str, resource_id: str, held: Encryption | None, **more: Any
) -> Cluster:
    """Makes a cluster that is `creating`, from the parameters that all such calls share."""
    region, params, now = rds.world.region(call.region), call.params, rds.now()
    cluster = Cluster(
        id=name,
        arn=region.arn("rds", f"cluster:{name}"),
        resource_id=resource_id,
        port=rds.servers.choose_port(),
        state=State(aurora.CREATING, since=now, key_since=now),
        created=rds.world.clock.utc(),
        encryption=held,
        engine_mode=params.get("EngineMode", "provisioned"),
        deletion_protection=params.get("DeletionProtection", False),
        backup_retention_days=params.get("BackupRetentionPeriod", 1),
        copy_tags_to_snapshot=params.get("CopyTagsToSnapshot", False),
        serverless_v2=params.get("ServerlessV2ScalingConfiguration"),
        subnet_group=params.get("DBSubnetGroupName", "default").lower(),
        security_groups=params.get("VpcSecurityGroupIds", [DEFAULT_SECURITY_GROUP]),
        tags=find.tags(params.get("Tags", [])),
        **more,
    )
    if window := params.get("PreferredMaintenanceWindow"):
        cluster.maintenance_window = window
    region.clusters[name] = cluster
    rds.write_event("RDS-EVENT-0170", cluster)
    return cluster


# Internals


def _refuse(call: Call, *parameters: str) -> None:
    """Raises InvalidParameterValue for a parameter that the lab does not support."""
    for parameter in parameters:
        if call.params.get(parameter):
            why = f"The lab does not do rds:{call.operation} with {parameter}."
            raise AwsError("InvalidParameterValue", why)


def _check_engine(params: dict[str, Any]) -> None:
    find.check_engine(params["Engine"])
    if params.get("EngineMode", "provisioned") not in ("provisioned", "serverless"):
        why = f"The lab's engine modes are provisioned and serverless, not {params['EngineMode']}"
        raise AwsError("InvalidParameterValue", why)


def _wants_encryption(rds: Rds, call: Call) -> bool:
    """Whether the new cluster is to be encrypted; raises for parameters that contradict it."""
    params = call.params
    encrypted = bool(params.get("StorageEncrypted") or params.get("KmsKeyId"))
    if encrypted and params.get("StorageEncrypted") is False:
        why = "KmsKeyId can be given for an encrypted cluster only."
        raise AwsError("InvalidParameterCombination", why)
    if arn := params.get("ReplicationSourceIdentifier"):
        source = find.cluster_anywhere(rds.world, arn)
        if source.region == call.region:
            why = "The lab replicates clusters of other Regions only."
            raise AwsError("InvalidParameterValue", why)
        if source.encryption and not params.get("KmsKeyId"):
            why = "A replica of an encrypted cluster in another Region needs a KmsKeyId of its own."
            raise AwsError("InvalidParameterCombination", why)
    return encrypted


def _rename(rds: Rds, region: Region, cluster: Cluster, name: str) -> None:
    before = cluster.arn
    del region.clusters[cluster.id]
    cluster.id, cluster.arn = name, region.arn("rds", f"cluster:{name}")
    region.clusters[name] = cluster
    recoverability.rename(rds.world, before, cluster.arn)


def _target(rds: Rds, cluster: Cluster, wanted: str | None) -> Instance:
    """The reader that becomes the writer: the named one, or the first by promotion tier."""
    ready = [i for i in cluster.instances[1:] if i.status(rds.now()) == "available"]
    if wanted is None:
        if not ready:
            why = "DBCluster must have at least two available instances to fail over."
            raise AwsError("InvalidDBClusterStateFault", why)
        return min(ready, key=lambda instance: instance.promotion_tier)
    for instance in ready:
        if wanted.lower() == instance.id:
            return instance
    raise AwsError(
        "InvalidDBInstanceState", f"{wanted} is not an available reader of {cluster.id}."
    )


def _check_deletable(rds: Rds, cluster: Cluster, params: dict[str, Any]) -> None:
    if params.get("SkipFinalSnapshot") and params.get("FinalDBSnapshotIdentifier"):
        raise AwsError(
            "InvalidParameterCombination",
            "You cannot specify both FinalDBSnapshotIdentifier and SkipFinalSnapshot",
        )
    recoverability.check_can_delete(rds.world, cluster)
    if cluster.deletion_protection:
        raise AwsError(
            "InvalidParameterCombination",
            "Cannot delete protected Cluster, please disable deletion protection and try again.",
        )
    if cluster.global_cluster:
        raise AwsError(
            "InvalidDBClusterStateFault",
            "This cluster is a part of a global cluster, please remove it from globalcluster first",
        )
    if cluster.instances:
        raise AwsError(
            "InvalidDBClusterStateFault",
            "Cluster cannot be deleted, it still contains DB instances in non-deleting state.",
        )


def _final_snapshot(rds: Rds, call: Call, cluster: Cluster) -> Job:
    if (cluster.status, call.operation) not in aurora.REQUESTS:
        why = (
            f"Can't create a snapshot because the database cluster {cluster.id} isn't currently in "
            "the available state."
        )
        raise AwsError("InvalidDBClusterStateFault", why)
    return snapshots.take_final(rds, call, cluster)


def _delete_after(rds: Rds, region: Region, cluster: Cluster, job: Job) -> None:
    """Deletes the cluster once its final snapshot has been taken, and not without it."""
    before = cluster.state.phase
    rds.request(cluster, "DeleteDBCluster")

    def finish() -> None:
        if job.error:
            rds.request(cluster, f"no final snapshot, {before}")
        else:
            _delete(rds, region, cluster)

    rds.do_when(lambda: job.done, finish)


def _delete(rds: Rds, region: Region, cluster: Cluster) -> None:
    rds.servers.delete(cluster)
    recoverability.end_replication(rds.world, cluster)
    secondary.forget(rds, cluster)
    rds.release(cluster.encryption)
    del region.clusters[cluster.id]
    rds.write_event("RDS-EVENT-0171", cluster)


OPERATIONS = {
    "CreateDBCluster": create_db_cluster,
    "DeleteDBCluster": delete_db_cluster,
    "DescribeDBClusters": describe_db_clusters,
    "FailoverDBCluster": failover_db_cluster,
    "ModifyDBCluster": modify_db_cluster,
    "PromoteReadReplicaDBCluster": promote_read_replica_db_cluster,
    "StartDBCluster": start_db_cluster,
    "StopDBCluster": stop_db_cluster,
}
