"""Snapshots of the lab: taken, copied, restored."""

from __future__ import annotations

from tests.support.clusters import (
    AVAILABLE,
    NAMES,
    becomes,
    described,
    new_instance,
    snapshot_becomes,
    up,
)


def take(rds, cluster):
    name = f"s-{next(NAMES)}"
    taken = rds.create_db_cluster_snapshot(
        DBClusterSnapshotIdentifier=name, DBClusterIdentifier=cluster["DBClusterIdentifier"]
    )["DBClusterSnapshot"]
    snapshot_becomes(rds, name, "available")
    return taken


def copy(rds, source, **params):
    name = f"s-{next(NAMES)}"
    copied = rds.copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier=source["DBClusterSnapshotIdentifier"],
        TargetDBClusterSnapshotIdentifier=name,
        **params,
    )["DBClusterSnapshot"]
    snapshot_becomes(rds, name, "available")
    return copied


def restore(rds, snapshot, **params):
    restored = rds.restore_db_cluster_from_snapshot(
        DBClusterIdentifier=next(NAMES),
        SnapshotIdentifier=snapshot["DBClusterSnapshotIdentifier"],
        Engine="aurora-postgresql",
        **params,
    )["DBCluster"]
    return with_instance(rds, restored)


def with_instance(rds, cluster):
    """The cluster once it has its data and an instance to ask for them."""
    becomes(rds, cluster, AVAILABLE)
    up(rds, new_instance(rds, cluster))
    return described(rds, cluster)


def restore_request(snapshot):
    return {
        "DBClusterIdentifier": next(NAMES),
        "SnapshotIdentifier": snapshot["DBClusterSnapshotIdentifier"],
        "Engine": "aurora-postgresql",
    }
