"""A lab whose databases take TLS only: the same clusters, readers, outages and restores."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import subprocess
import time

import psycopg
import pytest

from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from tests.support.clusters import (
    AVAILABLE,
    RECOVERABLE,
    becomes,
    connect,
    described,
    new_instance,
    new_writer,
    snapshot_becomes,
    up,
)
from tests.support.forked_labs import new_lab
from tests.support.labs import FAST, program, until

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def lab():
    running = new_lab(FAST, "documented", tls=True)
    yield running
    running.stop()


@pytest.fixture
def ask(lab, monkeypatch):
    """A query by a client that verifies the server, as the lab's environment has it."""
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)

    def ask(cluster, statement="SELECT 1", host=None):
        with connect(cluster, host) as connection:
            assert connection.pgconn.ssl_in_use
            cursor = connection.execute(statement)
            return [row[0] for row in cursor] if cursor.description else []

    return ask


def answers(connection):
    """Whether a session answers within half a second."""
    connection.pgconn.send_query(b"SELECT 1")
    readable, _, _ = select.select([connection.pgconn.socket], [], [], 0.5)
    while readable and connection.pgconn.get_result():
        pass
    return bool(readable)


def test_outages_of_other_shapes_are_behind_tls_too(rds, kms, lab, ask):
    cluster = new_writer(rds, kms)
    ordering = Misbehaviours.of(lab)
    for order in (
        {"kind": "freeze-share", "share": 0.5, "seconds": 600 * FAST},
        {"kind": "drop-packets"},
        {"kind": "slow-recovery", "seconds": FAST},
    ):
        ordering.order(cluster=cluster["DBClusterIdentifier"], **order)
    kms.disable_key(KeyId=cluster["KmsKeyId"])
    becomes(rds, cluster, RECOVERABLE)
    # Both sessions stay open: the lab may not see one that ends at once.
    with connect(cluster) as works, contextlib.ExitStack() as stack:
        with contextlib.suppress(psycopg.errors.ConnectionTimeout):
            hangs = stack.enter_context(contextlib.closing(connect(cluster)))
            until(lambda: not answers(hangs))
        assert works.execute("SELECT 1").fetchone() == (1,)
    kms.enable_key(KeyId=cluster["KmsKeyId"])
    rds.start_db_cluster(DBClusterIdentifier=cluster["DBClusterIdentifier"])
    with socket.socket() as trying:
        trying.settimeout(0.3)
        with pytest.raises(TimeoutError):
            trying.connect((cluster["Endpoint"], cluster["Port"]))
    becomes(rds, cluster, AVAILABLE)
    assert ask(cluster) == [1]
    assert ordering.holding() == []


def test_writer_and_readers_are_verified_under_every_address_of_theirs(rds, kms, ask):
    cluster = new_writer(rds, kms)
    up(rds, new_instance(rds, cluster, 2))
    cluster = described(rds, cluster)
    ask(cluster, "CREATE TABLE kept AS SELECT 7 AS n")
    until(lambda: ask(cluster, "SELECT to_regclass('kept')::text", cluster["ReaderEndpoint"])[0])
    assert ask(cluster, "SELECT n FROM kept", cluster["ReaderEndpoint"]) == [7]
    for number in (1, 2):
        name = f"{cluster['DBClusterIdentifier']}-{number}"
        found = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
        assert ask(cluster, host=found["Endpoint"]["Address"]) == [1]
    rds.failover_db_cluster(DBClusterIdentifier=cluster["DBClusterIdentifier"])
    becomes(rds, cluster, AVAILABLE)
    assert ask(cluster, "SELECT n FROM kept") == [7]


def test_without_its_key_sessions_and_new_connections_hang_and_come_back(lab, rds, kms, ask):
    cluster = new_writer(rds, kms)
    session = psycopg.connect(
        host=cluster["Endpoint"],
        port=cluster["Port"],
        user=cluster["MasterUsername"],
        dbname="postgres",
        autocommit=True,
    )
    kms.disable_key(KeyId=cluster["KmsKeyId"])
    becomes(rds, cluster, RECOVERABLE)
    session.pgconn.send_query(b"SELECT 1")
    time.sleep(0.3)
    session.pgconn.consume_input()
    assert session.pgconn.is_busy()
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        ask(cluster)
    kms.enable_key(KeyId=cluster["KmsKeyId"])
    rds.start_db_cluster(DBClusterIdentifier=cluster["DBClusterIdentifier"])
    with pytest.raises(psycopg.OperationalError):
        session.pgconn.get_result()
        session.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        ask(cluster)
    becomes(rds, cluster, AVAILABLE)
    assert ask(cluster) == [1]


def test_snapshots_are_taken_and_restored_and_a_clusters_end_leaves_no_listener(rds, kms, ask):
    cluster = new_writer(rds, kms)
    ask(cluster, "CREATE TABLE kept AS SELECT 7 AS n")
    name = cluster["DBClusterIdentifier"]
    snapshot = f"s-{name}"
    rds.create_db_cluster_snapshot(DBClusterIdentifier=name, DBClusterSnapshotIdentifier=snapshot)
    snapshot_becomes(rds, snapshot, AVAILABLE)
    restored = rds.restore_db_cluster_from_snapshot(
        DBClusterIdentifier=f"r-{name}", SnapshotIdentifier=snapshot, Engine="aurora-postgresql"
    )["DBCluster"]
    becomes(rds, restored, AVAILABLE)
    up(rds, new_instance(rds, restored))
    assert ask(described(rds, restored), "SELECT n FROM kept") == [7]
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-1")
    rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)

    def refused():
        try:
            ask(cluster)
        except psycopg.OperationalError as problem:
            return "refused" in str(problem)

    until(refused)


def test_what_the_lab_prints_verifies_it_and_without_tls_nobody_gets_in(lab):
    database = lab.clusters[0]["database"]
    assert "sslmode=verify-full" in database
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (4,)
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        psycopg.connect(database, sslmode="disable")
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        psycopg.connect(database, sslrootcert="system")
    shown = subprocess.Popen(
        [program("chaos"), "--no-version-check", "kms", "lab", "--tls", "--speed", "300"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        lines = list(iter(shown.stdout.readline, "# Ctrl-C ends the lab.\n"))
        assert any("export PGSSLMODE=verify-full" in line for line in lines)
        assert any("a psql with TLS" in line for line in lines)
    finally:
        shown.send_signal(signal.SIGINT)
        assert shown.wait(10) == 0
