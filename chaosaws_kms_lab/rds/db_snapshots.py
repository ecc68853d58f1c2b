"""Snapshots of DB instances that are no cluster's: as those of clusters (snapshots.py), by other
calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.rds import find, snapshots
from chaosaws_kms_lab.rds.describe import describe_db_snapshot
from chaosaws_kms_lab.rds.tables import PAGES, SNAPSHOT_LEGAL
from chaosaws_kms_lab.world import Region, Snapshot

if TYPE_CHECKING:
    from chaosaws_kms_lab.rds.service import Rds

__all__ = ["OPERATIONS"]

KIND = "manual"
"""The lab takes no automated snapshots."""
LONGEST = 255
"""Letters of a name (API reference, CreateDBSnapshot)."""

# API reference, DescribeDBSnapshots, Filters.
FILTERS: dict[str, Callable[[Any], set[str]]] = {
    "db-instance-id": lambda snapshot: {
        snapshot.origin.cluster_id,
        snapshot.arn.replace(f"snapshot:{snapshot.id}", f"db:{snapshot.origin.cluster_id}"),
    },
    "db-snapshot-id": lambda snapshot: {snapshot.id},
    "dbi-resource-id": lambda snapshot: {snapshot.origin.resource_id},
    "engine": lambda snapshot: {find.SINGLE_ENGINE},
    "snapshot-type": lambda snapshot: {KIND},
}


def create_db_snapshot(rds: Rds, call: Call) -> dict[str, Any]:
    region, params = rds.world.region(call.region), call.params
    name = _check_new(region, params["DBSnapshotIdentifier"])
    instance = find.instance(region, params["DBInstanceIdentifier"])
    kept = instance.cluster
    if not kept.single:
        # API reference, InvalidDBInstanceState; Aurora has cluster snapshots alone.
        why = f"{instance.id} is an instance of {kept.id}: take a snapshot of the DB cluster."
        raise AwsError("InvalidParameterCombination", why)
    find.check_single(call.operation, kept)
    tags = find.tags(params.get("Tags", []))
    if kept.copy_tags_to_snapshot:
        tags = instance.tags | tags
    taken, _ = snapshots.take_snapshot(rds, region, kept, name, tags)
    return {"DBSnapshot": describe_db_snapshot(taken)}


def copy_db_snapshot(rds: Rds, call: Call) -> dict[str, Any]:
    region, params = rds.world.region(call.region), call.params
    name = _check_new(region, params["TargetDBSnapshotIdentifier"])
    source = _legal(region, call, "SourceDBSnapshotIdentifier")
    if source.encryption is None and params.get("KmsKeyId"):
        # On AWS this is how a snapshot becomes an encrypted one.
        raise AwsError(
            "InvalidParameterCombination", "The lab copies what is not encrypted as it is."
        )
    copy = snapshots.take_copy_of(rds, call, name, source)
    return {"DBSnapshot": describe_db_snapshot(copy)}


def delete_db_snapshot(rds: Rds, call: Call) -> dict[str, Any]:
    region = rds.world.region(call.region)
    snapshot = _legal(region, call, "DBSnapshotIdentifier")
    snapshots.delete(rds, region, snapshot)
    return {"DBSnapshot": describe_db_snapshot(snapshot) | {"Status": "deleted"}}


def describe_db_snapshots(rds: Rds, call: Call) -> dict[str, Any]:
    region, params = rds.world.region(call.region), call.params
    found = list(region.db_snapshots.values())
    if wanted := params.get("DBSnapshotIdentifier"):
        found = [find.db_snapshot(region, wanted)]
    if wanted := params.get("DBInstanceIdentifier"):
        found = [s for s in found if s.origin.cluster_id == wanted.rsplit(":", 1)[-1].lower()]
    if wanted := params.get("DbiResourceId"):
        found = [s for s in found if s.origin.resource_id == wanted]
    if wanted := params.get("SnapshotType"):
        found = [s for s in found if wanted == KIND]
    page, marker = PAGES.cut(find.filtered(found, call, FILTERS), params)
    return find.paged("DBSnapshots", [describe_db_snapshot(s) for s in page], marker)


# Internals


def _check_new(region: Region, name: str) -> str:
    name = find.new_identifier(name, "DBSnapshotIdentifier", LONGEST)
    if name in region.db_snapshots:
        raise AwsError(
            "DBSnapshotAlreadyExists",
            f"Cannot create the snapshot because a snapshot with the identifier {name} already "
            "exists.",
        )
    return name


def _legal(region: Region, call: Call, parameter: str) -> Snapshot:
    found = find.db_snapshot(region, call.params[parameter])
    if found.status not in SNAPSHOT_LEGAL[call.operation]:
        why = (
            f"The snapshot {found.id} is {found.status}, not "
            f"{' or '.join(SNAPSHOT_LEGAL[call.operation])}."
        )
        raise AwsError("InvalidDBSnapshotState", why)
    return found


OPERATIONS = {
    "CopyDBSnapshot": copy_db_snapshot,
    "CreateDBSnapshot": create_db_snapshot,
    "DeleteDBSnapshot": delete_db_snapshot,
    "DescribeDBSnapshots": describe_db_snapshots,
}
