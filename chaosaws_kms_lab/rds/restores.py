"""New clusters from snapshots, and from another cluster as it was at a point in time."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from chaosaws_kms_lab.aurora import AVAILABLE
from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.rds import clusters, encryption, find
from chaosaws_kms_lab.rds.describe import describe_cluster
from chaosaws_kms_lab.world import Cluster, Encryption, Origin, Region

if TYPE_CHECKING:
    from chaosaws_kms_lab.rds.service import Rds

__all__ = ["OPERATIONS"]


def restore_db_cluster_from_snapshot(rds: Rds, call: Call) -> dict[str, Any]:
    region, params = rds.world.region(call.region), call.params
    name = clusters.check_new(region, params["DBClusterIdentifier"])
    find.check_engine(params["Engine"])
    snapshot = find.legal_snapshot(region, call, "SnapshotIdentifier")
    key, context = encryption.opened(rds.world, snapshot.encryption)
    cluster = _new(rds, call, name, snapshot.origin, snapshot.encryption)
    path = rds.servers.snapshot_path(snapshot)
    rds.restoring(cluster, rds.servers.restore(cluster, path, key, context))
    return {"DBCluster": describe_cluster(rds, cluster)}


def restore_db_cluster_to_point_in_time(rds: Rds, call: Call) -> dict[str, Any]:
    region = rds.world.region(call.region)
    name = clusters.check_new(region, call.params["DBClusterIdentifier"])
    source = _source(region, call)
    find.check_legal(call.operation, source)
    when = _instant(rds, call, source)
    if source.encryption:
        encryption.unwrap(rds.world, source.encryption)
    elif call.params.get("KmsKeyId"):
        # API reference, KmsKeyId: "If the DB cluster isn't encrypted, then the restore request is
        # rejected."
        why = f"{source.id} is not encrypted: a point in time of it cannot be."
        raise AwsError("InvalidParameterCombination", why)
    cluster = _new(rds, call, name, source.origin, source.encryption)
    rds.restoring(cluster, rds.servers.restore_to(cluster, source, when))
    return {"DBCluster": describe_cluster(rds, cluster)}


# Internals


def _new(rds: Rds, call: Call, name: str, origin: Origin, encrypted: Encryption | None) -> Cluster:
    """The new cluster, encrypted under the named key, else under that of its source."""
    resource_id = f"cluster-{find.resource_id()}"
    reference, context = call.params.get("KmsKeyId"), clusters.context(resource_id)
    held: Encryption | None = None
    if encrypted:
        held = encryption.take_from(rds.world, call, encrypted, reference, context)
    elif reference:
        held = encryption.take(rds.world, call, reference, context)
    return clusters.new_cluster(
        rds,
        call,
        name,
        resource_id,
        held,
        engine_version=origin.engine_version,
        master_username=origin.master_username,
        master_password=rds.servers.password,
        database=call.params.get("DatabaseName", origin.database),
        restored=True,
    )


def _source(region: Region, call: Call) -> Cluster:
    if reference := call.params.get("SourceDBClusterIdentifier"):
        return find.cluster(region, reference)
    wanted = call.params.get("SourceDbClusterResourceId")
    for cluster in region.clusters.values():
        if cluster.resource_id == wanted:
            return cluster
    raise AwsError("DBClusterNotFoundFault", f"DBCluster {wanted} not found.")


def _instant(rds: Rds, call: Call, source: Cluster) -> datetime | None:
    """The point in time that is asked for; None: the latest there is."""
    latest = bool(call.params.get("UseLatestRestorableTime"))
    when = call.params.get("RestoreToTime")
    if latest == (when is not None):
        raise AwsError(
            "InvalidParameterCombination",
            "Either RestoreToTime or UseLatestRestorableTime has to be given.",
        )
    if source.restorable_from is None:
        raise AwsError("InvalidRestoreFault", f"{source.id} holds no data yet.")
    clock = rds.world.clock
    newest = clock.utc() if source.status == AVAILABLE else clock.date(source.state.since)
    if when is not None and not source.restorable_from <= when <= newest:
        raise AwsError(
            "InvalidParameterValue",
            f"The restore time {when.isoformat()} is not within the restorable window "
            f"{source.restorable_from.isoformat()} to {newest.isoformat()}.",
        )
    return when


OPERATIONS = {
    "RestoreDBClusterFromSnapshot": restore_db_cluster_from_snapshot,
    "RestoreDBClusterToPointInTime": restore_db_cluster_to_point_in_time,
}
