"""A writer and its readers over real HTTP: replicas, endpoints, failover, one common fate."""

from __future__ import annotations

import contextlib
import threading

import psycopg
import pytest

from tests.support.clusters import (
    AVAILABLE,
    RECOVERABLE,
    becomes,
    connect,
    described,
    instance_status,
    kept,
    new_instance,
    new_writer,
    query,
    refusal,
    up,
    write,
)
from tests.support.document import deviates, shows
from tests.support.labs import until

pytestmark = pytest.mark.thorough


def with_reader(rds, kms):
    cluster = new_writer(rds, kms)
    up(rds, new_instance(rds, cluster, 2))
    return described(rds, cluster)


def writer_of(rds, cluster):
    members = described(rds, cluster)["DBClusterMembers"]
    return next(m["DBInstanceIdentifier"] for m in members if m["IsClusterWriter"])


def addresses(rds, cluster):
    name = {"Name": "db-cluster-id", "Values": [cluster["DBClusterIdentifier"]]}
    found = rds.describe_db_instances(Filters=[name])["DBInstances"]
    return {i["DBInstanceIdentifier"]: i["Endpoint"]["Address"] for i in found}


def follows(cluster, host, rows):
    """Waits until the server at `host` has got so far."""

    def there():
        with contextlib.suppress(psycopg.errors.UndefinedTable):
            return kept(cluster, host) == rows

    until(there)


def fail_over(rds, cluster, **params):
    rds.failover_db_cluster(DBClusterIdentifier=cluster["DBClusterIdentifier"], **params)
    becomes(rds, cluster, AVAILABLE)


@shows("rds:CreateDBInstance", "rds:DescribeDBClusters")
@deviates(
    "rds:DescribeDBClusters",
    "endpoints are loopback addresses; the reader endpoint leads "
    "to one reader, and without one it is the cluster endpoint's address",
)
def test_a_reader_follows_the_writer_and_takes_no_writes(rds, kms):
    cluster = with_reader(rds, kms)
    assert cluster["Endpoint"] != cluster["ReaderEndpoint"]
    write(cluster, "written")
    reader = cluster["ReaderEndpoint"]
    follows(cluster, reader, ["written"])
    with (
        connect(cluster, reader) as connection,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        connection.execute("INSERT INTO kept (name) VALUES ('no')")
    for address in addresses(rds, cluster).values():
        follows(cluster, address, ["written"])


@shows("rds:FailoverDBCluster")
def test_a_failover_makes_a_reader_the_writer_at_the_same_endpoint(rds, kms):
    cluster = with_reader(rds, kms)
    name = cluster["DBClusterIdentifier"]
    write(cluster, "before")
    assert writer_of(rds, cluster) == f"{name}-1"
    answer = rds.failover_db_cluster(DBClusterIdentifier=name)["DBCluster"]
    assert answer["Status"] == "failing-over"
    becomes(rds, cluster, AVAILABLE)
    assert writer_of(rds, cluster) == f"{name}-2"
    own = addresses(rds, cluster)[f"{name}-2"]
    same = "SELECT pg_postmaster_start_time()"
    assert query(cluster, same) == query(cluster, same, own)
    write(cluster, "after")
    assert kept(cluster) == ["before", "after"]
    reader = described(rds, cluster)["ReaderEndpoint"]
    follows(cluster, reader, ["before", "after"])
    told = [e["Message"] for e in rds.describe_events(SourceType="db-cluster")["Events"]]
    assert f"Completed failover to DB instance: {name}-2." in told


@pytest.mark.soak
def test_a_failover_loses_no_acknowledged_write(rds, kms):
    cluster = with_reader(rds, kms)
    write(cluster)
    acknowledged, stop = [], threading.Event()

    def keep_writing():
        number = 0
        while not stop.is_set():
            try:
                with connect(cluster) as connection:
                    while not stop.is_set():
                        number += 1
                        connection.execute("INSERT INTO kept (name) VALUES (%s)", (str(number),))
                        acknowledged.append(str(number))
            except psycopg.OperationalError:
                continue

    def goes_on():
        before = len(acknowledged)
        until(lambda: len(acknowledged) > before + 20)

    writing = threading.Thread(target=keep_writing)
    writing.start()
    try:
        for _ in range(2):
            goes_on()
            fail_over(rds, cluster)
            up(rds, f"{cluster['DBClusterIdentifier']}-1")
            up(rds, f"{cluster['DBClusterIdentifier']}-2")
        goes_on()
    finally:
        stop.set()
        writing.join(10)
    assert set(acknowledged) <= set(kept(cluster))


@shows("rds:FailoverDBCluster")
def test_a_failover_needs_a_reader_that_can_take_over(rds, kms):
    cluster = new_writer(rds, kms)
    name = {"DBClusterIdentifier": cluster["DBClusterIdentifier"]}
    assert refusal(rds.failover_db_cluster, **name) == "InvalidDBClusterStateFault"
    itself = f"{cluster['DBClusterIdentifier']}-1"
    code = refusal(rds.failover_db_cluster, TargetDBInstanceIdentifier=itself, **name)
    assert code == "InvalidDBInstanceState"
    up(rds, new_instance(rds, cluster, 2, PromotionTier=5))
    up(rds, new_instance(rds, cluster, 3, PromotionTier=0))
    fail_over(rds, cluster)
    assert writer_of(rds, cluster).endswith("-3")  # the lowest promotion tier
    fail_over(rds, cluster, TargetDBInstanceIdentifier=f"{cluster['DBClusterIdentifier']}-2")
    assert writer_of(rds, cluster).endswith("-2")


@pytest.mark.soak
def test_writer_and_readers_freeze_and_come_back_together(rds, kms):
    cluster = with_reader(rds, kms)
    write(cluster, "before")
    follows(cluster, cluster["ReaderEndpoint"], ["before"])
    kms.disable_key(KeyId=cluster["KmsKeyId"])
    becomes(rds, cluster, RECOVERABLE)
    for number in (1, 2):
        assert instance_status(rds, f"{cluster['DBClusterIdentifier']}-{number}") == RECOVERABLE
    for host in (cluster["Endpoint"], cluster["ReaderEndpoint"]):
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            kept(cluster, host)
    kms.enable_key(KeyId=cluster["KmsKeyId"])
    becomes(rds, cluster, AVAILABLE)
    for host in (cluster["Endpoint"], cluster["ReaderEndpoint"]):
        follows(cluster, host, ["before"])


@shows("rds:DeleteDBInstance")
def test_a_deleted_writer_leaves_its_cluster_to_a_reader(rds, kms):
    cluster = with_reader(rds, kms)
    write(cluster, "before")
    name = cluster["DBClusterIdentifier"]
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-1")
    until(lambda: len(described(rds, cluster)["DBClusterMembers"]) == 1)
    becomes(rds, cluster, AVAILABLE)
    assert writer_of(rds, cluster) == f"{name}-2"
    write(cluster, "after")
    assert kept(cluster) == ["before", "after"]


def test_the_data_stay_with_a_cluster_whose_last_instance_was_deleted(rds, kms):
    cluster = new_writer(rds, kms)
    write(cluster, "before")
    rds.delete_db_instance(DBInstanceIdentifier=f"{cluster['DBClusterIdentifier']}-1")
    with pytest.raises(psycopg.OperationalError):
        kept(cluster)
    up(rds, new_instance(rds, cluster, 9))
    assert kept(described(rds, cluster)) == ["before"]


def test_an_inaccessible_clusters_writer_can_be_deleted_too(rds, kms):
    cluster = with_reader(rds, kms)
    name = cluster["DBClusterIdentifier"]
    write(cluster, "before")
    kms.disable_key(KeyId=cluster["KmsKeyId"])
    becomes(rds, cluster, RECOVERABLE)
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-1")
    assert writer_of(rds, cluster) == f"{name}-2"
    kms.enable_key(KeyId=cluster["KmsKeyId"])
    becomes(rds, cluster, AVAILABLE)
    assert writer_of(rds, cluster) == f"{name}-2"
    assert kept(cluster) == ["before"]
