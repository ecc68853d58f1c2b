"""Clusters as the tests of the lab make, fill and look at them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from tests.support.labs import until

NAMES = (f"c{number}" for number in itertools.count())

AVAILABLE = "available"
RECOVERABLE = "inaccessible-encryption-credentials-recoverable"
TERMINAL = "inaccessible-encryption-credentials"


def refusal(call: Callable[..., Any], **params: Any) -> str:
    """The code of the error with which `call` has to be refused."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    return str(caught.value.response["Error"]["Code"])


def new_cluster(rds: Any, **params: Any) -> dict[str, Any]:
    params = {"DBClusterIdentifier": next(NAMES), "Engine": "aurora-postgresql"} | params
    return dict(rds.create_db_cluster(**params)["DBCluster"])


def new_instance(rds: Any, cluster: dict[str, Any], number: int = 1, **params: Any) -> str:
    name = f"{cluster['DBClusterIdentifier']}-{number}"
    rds.create_db_instance(
        DBInstanceIdentifier=name,
        DBClusterIdentifier=cluster["DBClusterIdentifier"],
        DBInstanceClass="db.r6g.large",
        Engine="aurora-postgresql",
        **params,
    )
    return name


def new_writer(rds: Any, kms: Any | None = None, **params: Any) -> dict[str, Any]:
    """An available cluster with a writer; with `kms` under a key of its own."""
    if kms is not None:
        key = kms.create_key()["KeyMetadata"]["Arn"]
        params = {"StorageEncrypted": True, "KmsKeyId": key} | params
    cluster = new_cluster(rds, **params)
    up(rds, new_instance(rds, cluster))
    becomes(rds, cluster, AVAILABLE)
    return described(rds, cluster)


def shared_writer(rds: Any, kms: Any, made: list[dict[str, Any]]) -> dict[str, Any]:
    """A cluster that tests share as long as each leaves it whole: available, with a writer and
    perhaps a reader, under a key that is enabled. It is `made`, or a new one is put there.

    It has no table `kept`; `since` is the instant (monotonic ns) from which on it is the test's.
    """
    if not (made and _whole(rds, kms, made[0])):
        made[:] = [new_writer(rds, kms)]
    found = described(rds, made[0])
    with connect(found) as session:
        session.execute("DROP TABLE IF EXISTS kept")
    return found | {"since": time.monotonic_ns()}


def _whole(rds: Any, kms: Any, cluster: dict[str, Any]) -> bool:
    found, name = described(rds, cluster), cluster["DBClusterIdentifier"]
    roles = {m["DBInstanceIdentifier"]: m["IsClusterWriter"] for m in found["DBClusterMembers"]}
    return bool(
        found["Status"] == AVAILABLE
        and roles in ({f"{name}-1": True}, {f"{name}-1": True, f"{name}-2": False})
        and all(instance_status(rds, instance) == AVAILABLE for instance in roles)
        and kms.describe_key(KeyId=cluster["KmsKeyId"])["KeyMetadata"]["Enabled"]
    )


def up(rds: Any, instance: str) -> None:
    """Waits until an instance is available."""
    until(lambda: instance_status(rds, instance) == AVAILABLE)


def instance_status(rds: Any, instance: str) -> str:
    found = rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"][0]
    return str(found["DBInstanceStatus"])


def described(rds: Any, cluster: dict[str, Any]) -> dict[str, Any]:
    name = cluster["DBClusterIdentifier"]
    return dict(rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0])


def becomes(rds: Any, cluster: dict[str, Any], status: str) -> None:
    until(lambda: described(rds, cluster)["Status"] == status)


def snapshot_becomes(rds: Any, name: str, status: str) -> None:
    def now() -> str:
        found = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name)
        return str(found["DBClusterSnapshots"][0]["Status"])

    until(lambda: now() == status)


def connect(cluster: dict[str, Any], host: str | None = None) -> Any:
    return psycopg.connect(
        host=host or cluster["Endpoint"],
        port=cluster["Port"],
        user=cluster["MasterUsername"],
        dbname=cluster.get("DatabaseName", "postgres"),
        connect_timeout=3,
        autocommit=True,
    )


def query(cluster: dict[str, Any], statement: str, host: str | None = None) -> list[Any]:
    """The first column of what a statement answers."""
    with connect(cluster, host) as connection:
        return [row[0] for row in connection.execute(statement).fetchall()]


def write(cluster: dict[str, Any], *rows: str) -> None:
    """Adds rows to the table `kept`."""
    with connect(cluster) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (id serial PRIMARY KEY, name text)")
        for row in rows:
            connection.execute("INSERT INTO kept (name) VALUES (%s)", (row,))


def kept(cluster: dict[str, Any], host: str | None = None) -> list[str]:
    """The rows of the table `kept`."""
    return query(cluster, "SELECT name FROM kept ORDER BY id", host)
