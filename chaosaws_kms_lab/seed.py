"""What a new lab has: one encrypted cluster with the four rows of the article.

The project grew from that article, which has them at the end of its second scenario. Experiments
may attack the cluster: it and its key have the tag that allows it, and it has a backup under
another key.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from chaosaws_kms_lab import kms, rds
from chaosaws_kms_lab.aurora import AVAILABLE, State
from chaosaws_kms_lab.calls import Call, administrator
from chaosaws_kms_lab.data_plane import LabCannotStart
from chaosaws_kms_lab.rds import Rds, snapshots
from chaosaws_kms_lab.world import Instance, Region, Snapshot

__all__ = ["orders"]

CLUSTER, DATABASE, USER = "orders", "shop", "app"

INSTANCE = {
    "DBClusterIdentifier": CLUSTER,
    "DBInstanceClass": "db.r6g.large",
    "Engine": "aurora-postgresql",
}

ROWS = """
CREATE TABLE users (
    id SERIAL PRIMARY KEY, name VARCHAR(100), email VARCHAR(100),
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
INSERT INTO users (name, email) VALUES
    ('Alice', 'alice@example.com'), ('Bob', 'bob@example.com'),
    ('Charlie', 'charlie@example.com'), ('David', 'david@example.com');
"""

START_TIMEOUT = 30.0
"""Seconds, for the server and for each copy of its data."""

TAGS = {"app": "shop", "chaos:allow": "kms"}

BACKUP = f"{CLUSTER}-backup"


def orders(service: Rds, region_name: str, readers: int = 0) -> dict[str, Any]:
    """Makes the cluster `orders` with a writer and so many readers, all available; returns how to
    reach it."""
    world = service.world
    region = world.region(region_name)
    key = kms.create_key(region, world, "encrypts the cluster orders", tags=dict(TAGS))
    region.aliases[f"alias/{CLUSTER}"] = key.id
    call = partial(_call, service, region_name)

    call(
        "CreateDBCluster",
        DBClusterIdentifier=CLUSTER,
        Engine="aurora-postgresql",
        MasterUsername=USER,
        DatabaseName=DATABASE,
        StorageEncrypted=True,
        KmsKeyId=key.arn,
        Tags=[{"Key": name, "Value": value} for name, value in TAGS.items()],
    )
    for number in range(1, 2 + readers):
        call("CreateDBInstance", DBInstanceIdentifier=f"{CLUSTER}-{number}", **INSTANCE)
    cluster = region.clusters[CLUSTER]
    for instance in cluster.instances:
        _wait_for_server(service, instance)
    ca = service.servers.ca
    database = make_conninfo(
        host=service.servers.endpoints(cluster).writer,
        port=cluster.port,
        dbname=DATABASE,
        user=USER,
        passfile=str(service.servers.passfile),
        sslmode="verify-full" if ca else None,
        sslrootcert=str(ca) if ca else None,
    )
    with psycopg.connect(database, autocommit=True, connect_timeout=10) as connection:
        connection.execute(ROWS)
    now = world.clock.now()
    cluster.state = State(AVAILABLE, since=now, key_since=now)
    for instance in cluster.instances:
        instance.available_at = now
    _back_up(service, region)
    return {
        "id": cluster.id,
        "key": key.arn,
        "database": database,
        "password": service.servers.password,
    }


def _back_up(service: Rds, region: Region) -> None:
    """Makes a snapshot of the cluster under another key."""
    other = kms.create_key(region, service.world, f"encrypts the backups of {CLUSTER}")
    region.aliases[f"alias/{BACKUP}"] = other.id
    call = Call("rds", "CopyDBClusterSnapshot", {}, region.name, administrator())
    made = snapshots.take_copy(service, call, region.clusters[CLUSTER], BACKUP, other.arn)
    _wait_for_snapshot(service, made)


def _call(service: Rds, region: str, operation: str, **params: Any) -> None:
    rds.handle(service, Call("rds", operation, params, region, administrator()))


def _wait_for_server(service: Rds, instance: Instance) -> None:
    """Lets the lab's clock go until the server takes connections."""
    end = time.monotonic() + START_TIMEOUT
    while not instance.ready:
        service.tick()
        if instance.failed or time.monotonic() > end:
            why = service.servers.failure(instance) or f"not ready within {START_TIMEOUT:g} s"
            raise LabCannotStart(f"the lab's PostgreSQL did not start: {why}")
        time.sleep(0.005)


def _wait_for_snapshot(service: Rds, snapshot: Snapshot) -> None:
    """Lets the lab's clock go until the snapshot is there, as soon as its data are."""
    snapshot.available_at = service.now()
    end = time.monotonic() + START_TIMEOUT
    while snapshot.status != "available":
        service.tick()
        if snapshot.status == "failed" or time.monotonic() > end:
            raise LabCannotStart(f"the lab's first snapshot is {snapshot.status}")
        time.sleep(0.005)
