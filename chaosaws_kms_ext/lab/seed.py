"""What the lab holds when it starts: one encrypted cluster with the rows of the article.

The article that the project grew from has them at the end of its second scenario.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg

from chaosaws_kms_ext.lab import kms, rds
from chaosaws_kms_ext.lab.aurora import AVAILABLE, State
from chaosaws_kms_ext.lab.rds import Rds
from chaosaws_kms_ext.lab.servers import LabCannotStart
from chaosaws_kms_ext.lab.world import Call, Instance, administrator

__all__ = ["orders"]

CLUSTER, DATABASE, USER = "orders", "shop", "app"

ROWS = """
CREATE TABLE users (
    id SERIAL PRIMARY KEY, name VARCHAR(100), email VARCHAR(100),
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
INSERT INTO users (name, email) VALUES
    ('Alice', 'alice@example.com'), ('Bob', 'bob@example.com'),
    ('Charlie', 'charlie@example.com'), ('David', 'david@example.com');
"""

START_TIMEOUT = 30.0


def orders(service: Rds, region_name: str) -> dict[str, Any]:
    """The cluster `orders` with one instance, available from the start; says how to reach it."""
    world = service.world
    region = world.region(region_name)
    key = kms.create_key(region, world, "encrypts the cluster orders", tags={"app": "shop"})
    region.aliases[f"alias/{CLUSTER}"] = key.id

    def call(operation: str, **params: Any) -> None:
        rds.handle(service, Call("rds", operation, params, region_name, administrator()))

    call(
        "CreateDBCluster",
        DBClusterIdentifier=CLUSTER,
        Engine="aurora-postgresql",
        MasterUsername=USER,
        DatabaseName=DATABASE,
        StorageEncrypted=True,
        KmsKeyId=key.arn,
        Tags=[{"Key": "app", "Value": "shop"}],
    )
    call(
        "CreateDBInstance",
        DBInstanceIdentifier=f"{CLUSTER}-1",
        DBClusterIdentifier=CLUSTER,
        DBInstanceClass="db.r6g.large",
        Engine="aurora-postgresql",
    )
    cluster, instance = region.clusters[CLUSTER], region.instances[f"{CLUSTER}-1"]
    _wait(service, instance)
    database = (
        f"host={service.servers.endpoints(cluster).writer} port={cluster.port} "
        f"dbname={DATABASE} user={USER}"
    )
    with psycopg.connect(database, autocommit=True, connect_timeout=10) as connection:
        connection.execute(ROWS)
    now = world.clock.now()
    cluster.state = State(AVAILABLE, since=now, key_since=now)
    instance.available_at = now
    return {"id": cluster.id, "key": key.arn, "database": database}


def _wait(service: Rds, instance: Instance) -> None:
    """Lets the lab's clock go until the server takes connections."""
    end = time.monotonic() + START_TIMEOUT
    while not instance.ready:
        service.tick()
        if instance.failed or time.monotonic() > end:
            why = service.servers.failure(instance) or f"not ready within {START_TIMEOUT:g} s"
            raise LabCannotStart(f"the lab's PostgreSQL did not start: {why}")
        time.sleep(0.005)
