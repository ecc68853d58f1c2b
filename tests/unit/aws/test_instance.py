"""A DB instance that is no cluster's, as RDS describes it: what is its own, what could be lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from chaosaws_kms_ext.aws import rds, secondary_keys
from chaosaws_kms_ext.aws.cluster import Cluster
from chaosaws_kms_ext.aws.instance import INSTANCE, Instance, instance_of
from chaosaws_kms_ext.aws.kms import Key
from chaosaws_kms_ext.guard import backups
from chaosaws_kms_ext.undo import store

SAID = {
    "DBInstanceIdentifier": "orders",
    "DBInstanceArn": "arn:aws:rds:eu-west-1:123456789012:db:orders",
    "DbiResourceId": "db-1",
    "DBInstanceStatus": "available",
    "Engine": "postgres",
    "MasterUsername": "app",
    "DBName": "shop",
    "Endpoint": {"Address": "orders.abc.eu-west-1.rds.amazonaws.com", "Port": 5432},
    "BackupRetentionPeriod": 7,
    "StorageEncrypted": True,
    "KmsKeyId": "arn:aws:kms:eu-west-1:123456789012:key/own",
}
NOW = datetime(2026, 11, 29, tzinfo=UTC)


def orders(**more):
    return instance_of({**SAID, **more})


def test_it_is_read_as_rds_describes_it():
    found = orders()
    assert isinstance(found, Instance)
    assert (found.id, found.in_words) == ("db:orders", "the instance orders")
    assert (found.instances, found.available) == ({"orders": "available"}, True)
    assert found.context == ("aws:rds:db-id", "db-1")
    conninfo = rds.conninfo(found, "")
    assert conninfo == (
        "host=orders.abc.eu-west-1.rds.amazonaws.com port=5432 dbname=shop user=app"
    )
    assert rds.conninfo(orders(DBName=None), "user=me").endswith("dbname=postgres user=me")


def test_one_that_is_being_made_has_no_address_yet():
    new = orders(Endpoint=None, DBInstanceStatus="creating")
    assert (new.address, new.port, new.meaning) == ("", None, "changing")


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ("available", "accessible"),
        ("inaccessible-encryption-credentials-recoverable", "recoverable"),
        ("inaccessible-encryption-credentials", "terminal"),
        ("backing-up", "changing"),
        ("stopped", "changing"),
    ],
)
def test_its_status_means_what_a_clusters_does(status, meaning):
    assert orders(DBInstanceStatus=status).meaning == meaning


def test_a_reference_says_which_kind_it_names():
    assert rds.kind_of("db:orders") is INSTANCE
    assert rds.in_words("db:orders") == "instance orders"
    assert rds.in_words("orders") == "cluster orders"
    assert rds.kind_of("arn:aws:rds:eu-west-1:123456789012:cluster:orders") is rds.CLUSTER
    assert INSTANCE.asked("db:orders") == {"DBInstanceIdentifier": "orders"}
    assert rds.CLUSTER.asked("orders") == {"DBClusterIdentifier": "orders"}
    for wrong in ("db:", "db:db:x", "db:-x", "db:x y", "db:" + "x" * 64, "rds:x"):
        assert not store.DATABASE.fullmatch(wrong)
    assert store.DATABASE.fullmatch("db:orders")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, []),
        ({"Engine": "mysql"}, []),
        ({"MultiAZ": True}, []),
        (
            {"DBClusterIdentifier": "carts"},
            ["is an instance of the cluster carts: set CHAOS_CLUSTER_ID=carts"],
        ),
        (
            {"BackupRetentionPeriod": 0},
            ["has no backups (retention 0), which the recoverable state takes"],
        ),
        ({"ReadReplicaSourceDBInstanceIdentifier": "first"}, ["replicates first"]),
        ({"ReadReplicaSourceDBClusterIdentifier": "c"}, ["replicates c"]),
        ({"ReadReplicaDBInstanceIdentifiers": ["a", "b"]}, ["is replicated by a, b"]),
        ({"ReadReplicaDBClusterIdentifiers": ["c"]}, ["is replicated by c"]),
        ({"Engine": "custom-oracle-ee"}, ["is RDS Custom, which StartDBInstance does not start"]),
        (
            {"Engine": "sqlserver-se", "MultiAZ": True},
            ["is RDS for SQL Server in more than one zone, which cannot be stopped"],
        ),
        ({"Engine": "sqlserver-se"}, []),
    ],
)
def test_what_has_no_recoverable_state_says_so(more, why):
    assert orders(**more).why_not_recoverable() == why


def test_it_owns_itself_and_its_snapshots_and_no_namesake():
    own = orders()
    assert own.owns(SAID)
    assert own.owns({"DBSnapshotIdentifier": "s", "DbiResourceId": "db-1"})
    assert own.owns({"DBSnapshotIdentifier": "s", "DBInstanceIdentifier": "orders"})
    assert not own.owns({"DBSnapshotIdentifier": "s", "DbiResourceId": "db-2"})
    assert not own.owns({**SAID, "DbiResourceId": "db-2"})
    assert not own.owns({"DBClusterIdentifier": "orders", "DbClusterResourceId": "cluster-1"})
    assert not own.owns({**SAID, "DBClusterIdentifier": "orders"})
    cluster = Cluster("orders", "", "", {}, True, "", "", {"DbClusterResourceId": "cluster-1"})
    assert not cluster.owns({"DBSnapshotIdentifier": "s", "DBInstanceIdentifier": "orders"})


def copy(**more):
    return {
        "DBSnapshotIdentifier": "copy", "DbiResourceId": "db-1", "Status": "available",
        "KmsKeyId": "arn:aws:kms:eu-west-1:123456789012:key/other",
        "SnapshotCreateTime": NOW - timedelta(days=1),
        "OriginalSnapshotCreateTime": NOW - timedelta(days=1),
    } | more  # fmt: skip


@pytest.fixture
def found(monkeypatch):
    """What the guard says of its backups; keys are all enabled."""
    key = Key("arn:aws:kms:eu-west-1:123456789012:key/other", "Enabled", "CUSTOMER", "1", None)
    monkeypatch.setattr(backups.kms, "describe", lambda aws, arn: key)
    week = timedelta(days=7)

    def backup(*snapshots, **more):
        return backups.backup(None, orders(**more), snapshots, week, go_without=False, now=NOW)

    return backup


def test_a_db_snapshot_under_another_key_is_a_backup(found):
    assert found(copy()).state == "ok"
    why = found().why
    assert "db:orders has no snapshot under another key" in why
    assert "`aws rds copy-db-snapshot --kms-key-id …`" in why
    assert found(copy(KmsKeyId=SAID["KmsKeyId"])).state == "refused"
    assert found(copy(DbiResourceId="db-2")).state == "refused"
    assert found(copy(Status="copying")).state == "refused"
    assert "has no backups (retention 0)" in found(copy(), BackupRetentionPeriod=0).why


def test_a_copy_is_as_old_as_the_snapshot_that_it_began_with(found):
    old = copy(OriginalSnapshotCreateTime=NOW - timedelta(days=8))
    assert found(old).why.startswith(
        "the newest snapshot of db:orders under another key, copy, is 8.0 days old"
    )
    assert found(old, copy(DBSnapshotIdentifier="newer")).state == "ok"


def test_its_keys_beside_that_of_the_storage_are_its_own_and_need_no_other_look():
    said = orders(
        MasterUserSecret={"SecretArn": "arn:secret", "SecretStatus": "active", "KmsKeyId": "key-s"},
        PerformanceInsightsEnabled=True,
        PerformanceInsightsKMSKeyId="key-i",
    )
    found = [secondary_keys.find(None, said, of) for of in secondary_keys.KEYS_OF]
    assert [each and (each.key, each.about) for each in found] == [
        ("key-s", "arn:secret"),
        ("key-i", "db-1"),
        None,
    ]
    assert secondary_keys.of_cluster(None, said, "arn:aws:kms:r:1:key/key-i") == (
        secondary_keys.PERFORMANCE_INSIGHTS
    )
    assert secondary_keys.of_cluster(None, orders(), "arn:aws:kms:r:1:key/key-i") == ""


def test_its_maintenance_window_is_told_like_a_clusters():
    assert orders().maintenance_window == ""
    window = "Sun:05:00-Sun:05:30"
    assert orders(PreferredMaintenanceWindow=window).maintenance_window == window.lower()
