"""Removing what a ledger names: half-made things, things never made, and things of others."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.resources import delete
from chaosaws_kms_ext.resources.delete import remove
from chaosaws_kms_ext.resources.ledger import Ledger, Resource
from chaosaws_kms_ext.undo import store
from chaosaws_kms_ext.undo.store import Origin
from tests.support.labs import client, until

pytestmark = pytest.mark.no_servers

RUN = "20261124T120000Z-abcdef"
OTHER = "20261124T120000Z-fedcba"
LONG_AGO = "2026-11-24T12:00:00+00:00"
ORDERS = "orders"


@pytest.fixture
def door(lab):
    return Aws(lab.region, lab.endpoint, lab=lab.credentials)


@pytest.fixture
def rds(lab):
    found = client(lab, "rds")
    until(lambda: status(found, ORDERS) == "available")
    return found


def status(rds, name):
    return rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]["Status"]


def ledger(*resources, run=RUN, account="123456789012"):
    """As a run left it that was killed."""
    said = {
        "owner": "somebody", "target": "aws", "region": "eu-west-1", "endpoint": "", "lab": "",
        "credentials": "",
    }  # fmt: skip
    path = store.directory() / "made" / f"{run}.json"
    made = Ledger(Origin(run=run, **said), account, path)
    for resource in resources:
        made.record(resource.kind, resource.name)
    made._write(list(resources))
    made.release()
    return Ledger.read(made.path)


def asked(kind, name, arn="", state="asked", at=LONG_AGO):
    return Resource(kind, name, state, arn, at)


def tags(run):
    return [{"Key": "chaos:run", "Value": run}]


def key_of(kms, run):
    tagged = [{"TagKey": "chaos:run", "TagValue": run}]
    return kms.create_key(Tags=tagged)["KeyMetadata"]["Arn"]


def key_state(kms, key):
    return kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]


def cluster_of(rds, name, run, instance=""):
    rds.create_db_cluster(
        DBClusterIdentifier=name,
        Engine="aurora-postgresql",
        MasterUsername="chaos",
        MasterUserPassword="not-so-secret",
        Tags=tags(run),
    )
    if instance:
        rds.create_db_instance(
            DBInstanceIdentifier=instance,
            DBClusterIdentifier=name,
            Engine="aurora-postgresql",
            DBInstanceClass="db.t4g.medium",
            Tags=tags(run),
        )


def snapshot_of(rds, name, run):
    rds.create_db_cluster_snapshot(
        DBClusterSnapshotIdentifier=name, DBClusterIdentifier=ORDERS, Tags=tags(run)
    )


def there(rds):
    return {each["DBClusterIdentifier"] for each in rds.describe_db_clusters()["DBClusters"]}


def quick(door, made, said=None):
    return remove(door, made, (said if said is not None else []).append, within=30, interval=0.1)


def test_what_was_asked_for_a_moment_ago_may_still_come(door, rds, monkeypatch):
    monkeypatch.setattr(delete, "APPEARS", 2.0)
    now = datetime.now(UTC).isoformat()
    made = ledger(asked("cluster", "chaos-late", at=now))
    look = delete.LOOKS["cluster"]
    looks = []

    def late(aws, name):
        looks.append(name)
        if len(looks) == 3:
            cluster_of(rds, "chaos-late", RUN)
        return look(aws, name)

    monkeypatch.setitem(delete.LOOKS, "cluster", late)
    assert quick(door, made) == []
    assert len(looks) > 3
    assert "chaos-late" not in there(rds)


def test_a_clock_that_is_wrong_makes_nobody_wait_for_ever(door, monkeypatch):
    monkeypatch.setattr(delete, "SETTLED", 1.0)
    monkeypatch.setattr(delete, "APPEARS", 1.0)
    made = ledger(
        asked("key", "chaos-k", at="2100-01-01T00:00:00+00:00"),
        asked("cluster", "chaos-c", at=""),
    )
    assert quick(door, made) == []


def test_a_key_under_which_somebody_put_a_cluster_stays(door, kms, rds):
    key = key_of(kms, RUN)
    rds.create_db_cluster(
        DBClusterIdentifier="strangers",
        Engine="aurora-postgresql",
        MasterUsername="chaos",
        MasterUserPassword="not-so-secret",
        StorageEncrypted=True,
        KmsKeyId=key,
    )
    made = ledger(asked("key", "chaos-k", arn=key, state="made"))
    (why,) = quick(door, made)
    assert "cluster strangers would be lost" in why
    assert key_state(kms, key) == "Enabled"
    until(lambda: status(rds, "strangers") == "available")
    rds.delete_db_cluster(DBClusterIdentifier="strangers", SkipFinalSnapshot=True)
    assert quick(door, Ledger.read(made.path)) == []
    assert key_state(kms, key) == "PendingDeletion"


def test_what_was_never_made_is_no_error(door, rds, kms):
    said = []
    made = ledger(
        asked("key", "chaos-never"),
        asked("cluster", "chaos-never"),
        asked("instance", "chaos-never-1"),
        asked("snapshot", "chaos-never"),
    )
    assert quick(door, made, said) == []
    assert said == []
    assert not made.path.exists()
    assert quick(door, made) == []


@pytest.mark.parametrize("instance", ["", "chaos-half-1"])
def test_what_is_still_being_made_is_removed_too(door, rds, instance):
    cluster_of(rds, "chaos-half", RUN, instance)
    snapshot_of(rds, "chaos-half-s", RUN)
    said = []
    made = ledger(
        asked("snapshot", "chaos-half-s"),
        asked("cluster", "chaos-half"),
        asked("instance", "chaos-half-1"),
    )
    assert quick(door, made, said) == []
    assert there(rds) == {ORDERS}
    assert "cluster chaos-half is deleted" in said
    assert ("instance chaos-half-1 is deleted" in said) is bool(instance)


def test_a_key_that_nobody_heard_of_is_found_by_its_tag(door, kms):
    key, others = key_of(kms, RUN), key_of(kms, OTHER)
    kms.create_alias(AliasName="alias/chaos-k", TargetKeyId=key)
    said = []
    assert quick(door, ledger(asked("key", "chaos-k")), said) == []
    assert said == ["alias/chaos-k is deleted", f"key {key} will be deleted in 7 days"]
    assert (key_state(kms, key), key_state(kms, others)) == ("PendingDeletion", "Enabled")
    assert quick(door, ledger(asked("key", "chaos-k", key, "made"))) == []


def test_a_tag_is_waited_for_that_may_not_show_yet(door, kms, monkeypatch):
    monkeypatch.setattr("chaosaws_kms_ext.resources.delete.SETTLED", 3.0)
    now = datetime.now(UTC)
    made = ledger(asked("key", "chaos-k", at=now.isoformat()), run="without-any-key")
    assert quick(door, made) == []
    assert 3.0 < (datetime.now(UTC) - now).total_seconds() < 60


def test_what_is_not_of_the_run_is_not_touched_whoever_names_it(door, rds, kms):
    foreign = kms.create_key()["KeyMetadata"]["Arn"]
    other = key_of(kms, OTHER)
    kms.create_alias(AliasName="alias/chaos-theirs", TargetKeyId=other)
    snapshot_of(rds, "chaos-theirs", OTHER)
    snapshot_of(rds, "chaos-ours", RUN)
    until(
        lambda: all(
            each["Status"] == "available"
            for each in rds.describe_db_cluster_snapshots()["DBClusterSnapshots"]
        )
    )
    made = ledger(
        asked("cluster", ORDERS),
        asked("instance", "orders-1"),
        asked("snapshot", "chaos-theirs"),
        asked("snapshot", "chaos-ours"),
    )
    said = []
    left = quick(door, made, said)
    assert said == ["snapshot chaos-ours is deleted"]
    for what in ("cluster orders", "instance orders-1", "snapshot chaos-theirs"):
        assert any(f"the {what} does not carry the tag chaos:run={RUN}" in why for why in left)
    assert status(rds, ORDERS) == "available"
    assert [resource.name for resource in Ledger.read(made.path).things] == [
        ORDERS,
        "orders-1",
        "chaos-theirs",
    ]
    made.close()
    made = ledger(asked("key", "chaos-theirs", foreign, "made"))
    left = quick(door, made)
    assert len(left) == 2
    assert f"the key {other} of alias/chaos-theirs does not carry the tag" in left[0]
    assert f"the key {foreign} does not carry the tag" in left[1]
    assert str(made.path) in left[1]
    assert (key_state(kms, foreign), key_state(kms, other)) == ("Enabled", "Enabled")
    assert kms.describe_key(KeyId="alias/chaos-theirs")["KeyMetadata"]["Arn"] == other
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="chaos-theirs")


def test_a_cluster_with_an_instance_of_somebody_else_stays_and_its_key_with_it(door, rds, kms):
    cluster_of(rds, "chaos-shared", RUN)
    cluster = {"DBClusterIdentifier": "chaos-shared", "Engine": "aurora-postgresql"}
    rds.create_db_instance(
        DBInstanceIdentifier="theirs", DBInstanceClass="db.t4g.medium", **cluster
    )
    key = key_of(kms, RUN)
    made = ledger(asked("cluster", "chaos-shared"), asked("key", "chaos-k", key, "made"))
    left = quick(door, made)
    assert left[0].startswith("the cluster chaos-shared is not deleted: it has theirs, which is")
    assert left[1] == f"the keys of run {RUN} stay until that is gone"
    assert key_state(kms, key) == "Enabled"
    rds.delete_db_instance(DBInstanceIdentifier="theirs")
    assert quick(door, Ledger.read(made.path)) == []
    assert there(rds) == {ORDERS}
    assert key_state(kms, key) == "PendingDeletion"


def test_a_cluster_that_is_protected_is_named(door, rds):
    cluster_of(rds, "chaos-kept", RUN)
    until(lambda: status(rds, "chaos-kept") == "available")
    rds.modify_db_cluster(DBClusterIdentifier="chaos-kept", DeletionProtection=True)
    made = ledger(asked("cluster", "chaos-kept"))
    (left,) = quick(door, made)
    assert left.startswith("the cluster chaos-kept is not deleted: rds:DeleteDBCluster failed")
    rds.modify_db_cluster(DBClusterIdentifier="chaos-kept", DeletionProtection=False)
    assert quick(door, made) == []


def test_another_account_is_not_looked_into(door):
    made = ledger(asked("cluster", "chaos-there"), account="210987654321")
    assert quick(door, made) == [
        f"what run {RUN} made is in account 210987654321, and these credentials are of 123456789012"
    ]
    assert made.path.exists()


def test_what_somebody_else_is_removing_is_left_to_them(door):
    made = ledger(asked("cluster", "chaos-there"))
    with Ledger.read(made.path).held():
        (why,) = quick(door, made)
    assert why.startswith(f"another process holds what run {RUN} made")


def test_what_does_not_go_in_time_is_said_with_its_reason(door, rds, misbehaviours):
    snapshot_of(rds, "chaos-slow", RUN)
    until(
        lambda: (
            rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier="chaos-slow")[
                "DBClusterSnapshots"
            ][0]["Status"]
            == "available"
        )
    )
    misbehaviours.order(kind="throttling", service="rds", operation="DeleteDBClusterSnapshot")
    made = ledger(asked("snapshot", "chaos-slow"))
    (why,) = remove(door, made, print, within=0, interval=0.1)
    assert why.startswith("the snapshot chaos-slow is still there after 0 s: rds:DeleteDBCluster")
    assert "Throttling" in why
    misbehaviours.clear()
    assert quick(door, made) == []
