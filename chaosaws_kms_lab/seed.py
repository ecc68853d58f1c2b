"""What a new lab has: encrypted databases under one key, each with the four rows of the article.

The project grew from that article, which has them at the end of its second scenario. Experiments
may attack them: they and their key have the tag that allows it, and the first has a backup under
another key.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from chaosaws_kms_lab import kms, rds
from chaosaws_kms_lab.aurora import AVAILABLE, State
from chaosaws_kms_lab.calls import Call, administrator
from chaosaws_kms_lab.data_plane import LabCannotStart
from chaosaws_kms_lab.key_store import CLOUDHSM, CONNECTED, EXTERNAL
from chaosaws_kms_lab.rds import Rds, snapshots
from chaosaws_kms_lab.world import Cluster, Instance, Region, Snapshot, World

__all__ = ["KEY_STORES", "databases"]

NAMES = ("orders", "carts", "invoices", "payments")
"""Of the clusters, the first of which has a backup."""

CLUSTER, DATABASE, USER = NAMES[0], "shop", "app"

ENGINE, SINGLE_ENGINE = "aurora-postgresql", "postgres"

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

KEY_STORES = ("no", "cloudhsm", "external")
"""Where the key of the clusters is: in KMS itself, or in a custom key store of this type."""

STORE = "shop"
"""The name of that store."""

SECRET, INSIGHTS, STREAM = "secret", "insights", "stream"
"""What a cluster's secondary keys are for."""


def databases(
    service: Rds,
    region_name: str,
    readers: int = 0,
    number: int = 1,
    first: str = "cluster",
    key_store: str = "no",
    secondary_keys: bool = False,
) -> list[dict[str, Any]]:
    """Makes so many clusters under one key, the first with so many readers, all available; returns
    how to reach each. The first is an instance that is no cluster's if it is to be an `instance`.

    `key_store`: one of KEY_STORES. `secondary_keys`: the first keeps its master user's password in
    a secret, has Performance Insights and an activity stream, each under a key of its own.
    """
    if first == "instance" and readers:
        raise LabCannotStart("an instance that is no cluster's has no readers")
    if first == "instance" and secondary_keys:
        raise LabCannotStart("an instance that is no cluster's has no secondary keys in this lab")
    if not 1 <= number <= len(NAMES):
        raise LabCannotStart(f"the lab has 1 to {len(NAMES)} clusters, not {number}")
    world = service.world
    region = world.region(region_name)
    named = NAMES[:number]
    what = "cluster" if number == 1 else "clusters"
    more = _in_store(world, region, key_store) if key_store != "no" else {}
    said = f"encrypts the {what} {', '.join(named)}"
    key = kms.create_key(region, world, said, tags=dict(TAGS), **more)
    region.aliases[f"alias/{CLUSTER}"] = key.id
    keys = _secondary_keys(service, region) if secondary_keys else {}
    for name in named:
        if name != CLUSTER:
            _ask_for(service, region_name, name, key.arn, 0, {})
        elif first == "instance":
            _ask_for_instance(service, region_name, name, key.arn)
        else:
            _ask_for(service, region_name, name, key.arn, readers, keys)
    if keys:
        service.do_when(
            lambda: region.clusters[CLUSTER].status == AVAILABLE,
            lambda: _start_stream(service, region, keys[STREAM]),
        )
    return [_when_up(service, region, name) | {"key": key.arn} for name in named]


def _in_store(world: World, region: Region, key_store: str) -> dict[str, Any]:
    """Makes a connected custom key store; what a key in it has of that."""
    if key_store == "cloudhsm":
        backing = {"CloudHsmClusterId": "cluster-a2b3c4defgh", "TrustAnchorCertificate": "none"}
        store, external = kms.make_key_store(world, region, STORE, CLOUDHSM, backing), None
    else:
        proxy = {
            "Connectivity": "PUBLIC_ENDPOINT",
            "AccessKeyId": "ABCDE234567EXAMPLEKEY",
            "UriEndpoint": "https://keys.example.com",
            "UriPath": "/kms/xks/v1",
        }
        store, external = kms.make_key_store(world, region, STORE, EXTERNAL, proxy), CLUSTER
    store.state = CONNECTED
    return {"origin": store.type, "store": store, "external_key": external}


def _secondary_keys(service: Rds, region: Region) -> dict[str, str]:
    """A key for each thing beside the storage; what it is for → its ARN."""
    made = {}
    for what in (SECRET, INSIGHTS, STREAM):
        said = f"encrypts the {what} of {CLUSTER}"
        key = kms.create_key(region, service.world, said, tags=dict(TAGS))
        region.aliases[f"alias/{CLUSTER}-{what}"] = key.id
        made[what] = key.arn
    return made


def _start_stream(service: Rds, region: Region, key: str) -> None:
    """It has its records at once."""
    arn = region.clusters[CLUSTER].arn
    _call(service, region.name, "StartActivityStream", ResourceArn=arn, Mode="async", KmsKeyId=key)
    stream = region.clusters[CLUSTER].stream
    assert stream is not None
    stream.started_at = service.now()


def _ask_for_instance(service: Rds, region: str, name: str, key: str) -> None:
    """Orders an instance that is no cluster's."""
    _call(
        service,
        region,
        "CreateDBInstance",
        DBInstanceIdentifier=name,
        DBInstanceClass="db.m6g.large",
        Engine=SINGLE_ENGINE,
        AllocatedStorage=20,
        MasterUsername=USER,
        DBName=DATABASE,
        StorageEncrypted=True,
        KmsKeyId=key,
        Tags=_tags(),
    )


def _tags() -> list[dict[str, str]]:
    return [{"Key": tag, "Value": value} for tag, value in TAGS.items()]


def _ask_for(
    service: Rds, region: str, name: str, key: str, readers: int, keys: Mapping[str, str]
) -> None:
    """Orders a cluster with a writer and so many readers; `keys`: its secondary ones."""
    call = partial(_call, service, region)
    secret, insights = dict[str, Any](), dict[str, Any]()
    if keys:
        secret = {"ManageMasterUserPassword": True, "MasterUserSecretKmsKeyId": keys[SECRET]}
        insights |= {"EnablePerformanceInsights": True}
        insights |= {"PerformanceInsightsKMSKeyId": keys[INSIGHTS]}
    call(
        "CreateDBCluster",
        DBClusterIdentifier=name,
        Engine=ENGINE,
        MasterUsername=USER,
        DatabaseName=DATABASE,
        StorageEncrypted=True,
        KmsKeyId=key,
        Tags=_tags(),
        **secret,
    )
    for number in range(1, 2 + readers):
        call(
            "CreateDBInstance",
            DBClusterIdentifier=name,
            DBInstanceClass="db.r6g.large",
            DBInstanceIdentifier=f"{name}-{number}",
            Engine=ENGINE,
            **insights,
        )


def _when_up(service: Rds, region: Region, name: str) -> dict[str, Any]:
    """Waits for a cluster, and gives it its rows; how to reach it."""
    world = service.world
    cluster = region.singles.get(name) or region.clusters[name]
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
    if name == CLUSTER:
        _back_up(service, region, cluster)
    return {
        # As the last part of RDS' ARNs has it; a cluster without what it has before it.
        "id": f"db:{cluster.id}" if cluster.single else cluster.id,
        "database": database,
        "password": service.servers.password,
    }


def _back_up(service: Rds, region: Region, cluster: Cluster) -> None:
    """Makes a snapshot of it under another key."""
    other = kms.create_key(region, service.world, f"encrypts the backups of {CLUSTER}")
    region.aliases[f"alias/{BACKUP}"] = other.id
    call = Call("rds", "CopyDBClusterSnapshot", {}, region.name, administrator())
    made = snapshots.take_copy(service, call, cluster, BACKUP, other.arn)
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
