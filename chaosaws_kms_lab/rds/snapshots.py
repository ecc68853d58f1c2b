"""DB cluster snapshots: the cluster's real data, sealed under a data key of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.data_misbehaviours import COPY_HIDES_KEY, COPY_KEEPS_KEY, ROW_CHANGED
from chaosaws_kms_lab.rds import encryption, find
from chaosaws_kms_lab.rds.describe import describe_snapshot
from chaosaws_kms_lab.rds.tables import PAGES
from chaosaws_kms_lab.world import Cluster, DataMisbehaviour, Encryption, Origin, Region, Snapshot

if TYPE_CHECKING:
    from chaosaws_kms_lab.rds.service import Job, Rds

__all__ = ["OPERATIONS", "delete", "take_copy", "take_copy_of", "take_final", "take_snapshot"]

# API reference, DescribeDBClusterSnapshots, Filters.
FILTERS: dict[str, Callable[[Any], set[str]]] = {
    "db-cluster-id": lambda snapshot: {
        snapshot.origin.cluster_id,
        snapshot.arn.replace(
            f"cluster-snapshot:{snapshot.id}", f"cluster:{snapshot.origin.cluster_id}"
        ),
    },
    "db-cluster-snapshot-id": lambda snapshot: {snapshot.id},
    "engine": lambda snapshot: {find.ENGINE},
    "snapshot-type": lambda snapshot: {KIND},
}

KIND = "manual"
"""The lab takes no automated snapshots."""
LONGEST = {"DeleteDBCluster": 255}
"""API reference: operation → how long the name of a snapshot may be; 63 elsewhere."""


def create_db_cluster_snapshot(rds: Rds, call: Call) -> dict[str, Any]:
    region, params = rds.world.region(call.region), call.params
    name = _check_new(region, call, params["DBClusterSnapshotIdentifier"])
    cluster = find.legal_cluster(region, call)
    tags = find.tags(params.get("Tags", []))
    if cluster.copy_tags_to_snapshot:
        tags = cluster.tags | tags
    return {
        "DBClusterSnapshot": describe_snapshot(take_snapshot(rds, region, cluster, name, tags)[0])
    }


def describe_db_cluster_snapshots(rds: Rds, call: Call) -> dict[str, Any]:
    region, params = rds.world.region(call.region), call.params
    found = list(region.snapshots.values())
    if wanted := params.get("DBClusterSnapshotIdentifier"):
        found = [find.snapshot(region, wanted)]
    if wanted := params.get("DBClusterIdentifier"):
        found = [s for s in found if s.origin.cluster_id == wanted.rsplit(":", 1)[-1].lower()]
    if wanted := params.get("DbClusterResourceId"):
        found = [s for s in found if s.origin.resource_id == wanted]
    if wanted := params.get("SnapshotType"):
        found = [s for s in found if wanted == KIND]
    snapshots, marker = PAGES.cut(find.filtered(found, call, FILTERS), params)
    return find.paged("DBClusterSnapshots", [describe_snapshot(s) for s in snapshots], marker)


def copy_db_cluster_snapshot(rds: Rds, call: Call) -> dict[str, Any]:
    region, params = rds.world.region(call.region), call.params
    name = _check_new(region, call, params["TargetDBClusterSnapshotIdentifier"])
    source = find.legal_snapshot(region, call, "SourceDBClusterSnapshotIdentifier")
    reference = params.get("KmsKeyId")
    if source.encryption is None and reference:
        # API reference: "If you … specify a value for KmsKeyId … an error".
        why = f"{source.id} is not encrypted: a copy of it cannot be."
        raise AwsError("InvalidParameterCombination", why)
    return {"DBClusterSnapshot": describe_snapshot(take_copy_of(rds, call, name, source))}


def delete_db_cluster_snapshot(rds: Rds, call: Call) -> dict[str, Any]:
    region = rds.world.region(call.region)
    snapshot = find.legal_snapshot(region, call, "DBClusterSnapshotIdentifier")
    delete(rds, region, snapshot)
    return {"DBClusterSnapshot": describe_snapshot(snapshot) | {"Status": "deleted"}}


def take_final(rds: Rds, call: Call, cluster: Cluster) -> Job:
    """The snapshot with which a cluster is deleted."""
    region = rds.world.region(call.region)
    wanted = call.params.get("FinalDBSnapshotIdentifier")
    if not wanted:
        raise AwsError(
            "InvalidParameterCombination",
            "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
        )
    name = _check_new(region, call, wanted)
    if cluster.encryption:
        encryption.unwrap(rds.world, cluster.encryption)
    return take_snapshot(rds, region, cluster, name, {})[1]


def take_copy(rds: Rds, call: Call, cluster: Cluster, name: str, key: str) -> Snapshot:
    """Makes a snapshot under another key in one step, as a copy of a snapshot would be."""
    assert cluster.encryption is not None
    region = rds.world.region(call.region)
    held = encryption.take(rds.world, call, key, dict(cluster.encryption.context))
    snapshot = _new(rds, region, name, cluster.origin, held, status="copying")
    path = rds.servers.snapshot_path(snapshot)
    job = rds.servers.snapshot(cluster, path, *encryption.opened(rds.world, held))
    _finish(rds, region, snapshot, job)
    return snapshot


def take_copy_of(rds: Rds, call: Call, name: str, source: Snapshot) -> Snapshot:
    """Makes a copy of a snapshot of either kind, under the key that the call names, or its own."""
    params, region = call.params, rds.world.region(call.region)
    opens = encryption.opened(rds.world, source.encryption, "The source snapshot KMS key")
    held = None
    if source.encryption:
        held = _take_for_copy(rds, call, source, source.encryption, params.get("KmsKeyId"))
    copied = source.tags if params.get("CopyTags") else {}
    copy = _new(
        rds,
        region,
        name,
        source.origin,
        held,
        status="copying",
        source_arn=source.arn,
        original=source.original or source.created,
        tags=copied | find.tags(params.get("Tags", [])),
    )
    paths = rds.servers.snapshot_path(source), rds.servers.snapshot_path(copy)
    seals, change = encryption.opened(rds.world, held), _ordered(rds, source, ROW_CHANGED)
    if change:
        change.over = True
    _finish(rds, region, copy, rds.servers.copy(*paths, opens, seals, change))
    return copy


# Internals


def _check_new(region: Region, call: Call, name: str) -> str:
    longest = LONGEST.get(call.operation, 63)
    name = find.new_identifier(name, "DBClusterSnapshotIdentifier", longest)
    if name in region.snapshots:
        raise AwsError(
            "DBClusterSnapshotAlreadyExistsFault",
            f"Cannot create the cluster snapshot because one with the identifier {name} already "
            "exists.",
        )
    return name


def _take_for_copy(
    rds: Rds, call: Call, source: Snapshot, held: Encryption, reference: str | None
) -> Encryption:
    """The encryption of a copy: under the named key, else under that of the source."""
    misbehaviour = _ordered(rds, source, COPY_KEEPS_KEY, COPY_HIDES_KEY)
    if misbehaviour:
        held = replace(held, keeps=misbehaviour.kind)
    taken = encryption.take_from(rds.world, call, held, reference, dict(held.context))
    if misbehaviour and taken.keeps:
        misbehaviour.over = True
    return taken


def _ordered(rds: Rds, source: Snapshot, *kinds: str) -> DataMisbehaviour | None:
    """The misbehaviour that was ordered for copies of this cluster's snapshots."""
    for misbehaviour in rds.world.active_misbehaviours(*kinds):
        if misbehaviour.about and misbehaviour.about.resource_id == source.origin.resource_id:
            return misbehaviour
    return None


def take_snapshot(
    rds: Rds, region: Region, cluster: Cluster, name: str, tags: dict[str, str]
) -> tuple[Snapshot, Job]:
    try:
        held = encryption.take_again(rds.world, cluster.encryption)
        key, context = encryption.opened(rds.world, held)
    except AwsError as why:
        # CreateDBClusterSnapshot and CreateDBSnapshot know no KMSKeyNotAccessibleFault.
        message = f"The KMS key of {cluster.id} cannot be used: {why.message}"
        code = "InvalidDBInstanceState" if cluster.single else "InvalidDBClusterStateFault"
        raise AwsError(code, message) from why
    snapshot = _new(rds, region, name, cluster.origin, held, status="creating", tags=tags)
    job = rds.servers.snapshot(cluster, rds.servers.snapshot_path(snapshot), key, context)
    rds.write_event("RDS-EVENT-0074", snapshot)
    _finish(rds, region, snapshot, job)
    return snapshot, job


def _new(
    rds: Rds, region: Region, name: str, origin: Origin, held: Encryption | None, **more: Any
) -> Snapshot:
    snapshot = Snapshot(
        id=name,
        arn=region.arn("rds", f"{'snapshot' if origin.single else 'cluster-snapshot'}:{name}"),
        origin=origin,
        created=rds.world.clock.utc(),
        encryption=held,
        available_at=rds.now() + rds.world.profile.snapshot,
        **more,
    )
    _shelf(region, snapshot)[name] = snapshot
    return snapshot


def _shelf(region: Region, snapshot: Snapshot) -> dict[str, Snapshot]:
    """Where snapshots of its kind are."""
    return region.db_snapshots if snapshot.origin.single else region.snapshots


def _finish(rds: Rds, region: Region, snapshot: Snapshot, job: Job) -> None:
    """Makes the snapshot available when its data are there, or failed."""

    def finish() -> None:
        snapshot.status = "failed" if job.error else "available"
        if not job.error and snapshot.source_arn is None:
            rds.write_event("RDS-EVENT-0075", snapshot)

    rds.do_when(
        lambda: job.done and (bool(job.error) or rds.now() >= snapshot.available_at), finish
    )


def delete(rds: Rds, region: Region, snapshot: Snapshot) -> None:
    del _shelf(region, snapshot)[snapshot.id]
    rds.servers.snapshot_path(snapshot).unlink(missing_ok=True)
    rds.release(snapshot.encryption)


OPERATIONS = {
    "CopyDBClusterSnapshot": copy_db_cluster_snapshot,
    "CreateDBClusterSnapshot": create_db_cluster_snapshot,
    "DeleteDBClusterSnapshot": delete_db_cluster_snapshot,
    "DescribeDBClusterSnapshots": describe_db_cluster_snapshots,
}
