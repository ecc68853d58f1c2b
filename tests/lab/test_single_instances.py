"""DB instances that are no cluster's: their life, their states without the key, their snapshots."""

from __future__ import annotations

import psycopg
import pytest

from chaosaws_kms_ext.lab_client.local_lab import LabDidNotStart
from tests.support.clusters import AVAILABLE, RECOVERABLE, TERMINAL, refusal, up
from tests.support.document import deviates, shows
from tests.support.forked_labs import new_lab
from tests.support.labs import client, until

pytestmark = pytest.mark.thorough

DAY = 86400.0
ORDERS = {"DBInstanceIdentifier": "orders"}


@pytest.fixture
def rds(own_lab):
    return own_lab.client("rds")


@pytest.fixture
def kms(own_lab):
    return own_lab.client("kms")


def made(own_lab, rds, kms, **more):
    """An available instance under a key of its own, and the key's ARN."""
    key = kms.create_key()["KeyMetadata"]["Arn"]
    wanted = {
        "DBInstanceIdentifier": "orders", "DBInstanceClass": "db.m6g.large", "Engine": "postgres",
        "AllocatedStorage": 20, "DBName": "shop", "StorageEncrypted": True, "KmsKeyId": key,
    } | more  # fmt: skip
    rds.create_db_instance(**wanted)
    own_lab.pass_time(600)
    return key


def described(rds, name="orders"):
    return rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]


def status(rds):
    return described(rds)["DBInstanceStatus"]


def events(rds):
    found = rds.describe_events(Duration=20160)["Events"]
    return [each["Message"].partition(" for database")[0] for each in found]


@shows("rds:CreateDBInstance", "rds:DescribeDBInstances")
def test_one_is_made_without_a_cluster_and_none_is_listed(own_lab, rds, kms):
    key = made(own_lab, rds, kms, Tags=[{"Key": "app", "Value": "shop"}])
    found = described(rds)
    assert (found["DBInstanceStatus"], found["Engine"], found["DBName"]) == (
        AVAILABLE, "postgres", "shop",
    )  # fmt: skip
    assert (found["StorageEncrypted"], found["KmsKeyId"]) == (True, key)
    assert found["TagList"] == [{"Key": "app", "Value": "shop"}]
    assert found["BackupRetentionPeriod"] == 1
    assert found["Endpoint"]["Address"]
    assert "DBClusterIdentifier" not in found
    assert rds.describe_db_clusters()["DBClusters"] == []
    by_cluster = [{"Name": "db-cluster-id", "Values": ["orders"]}]
    assert rds.describe_db_instances(Filters=by_cluster)["DBInstances"] == []
    by_engine = [{"Name": "engine", "Values": ["postgres"]}]
    assert len(rds.describe_db_instances(Filters=by_engine)["DBInstances"]) == 1
    (grant,) = kms.list_grants(KeyId=key)["Grants"]
    context = {"aws:rds:db-id": found["DbiResourceId"]}
    assert grant["Constraints"]["EncryptionContextSubset"] == context


@shows("rds:CreateDBInstance")
@deviates("rds:CreateDBInstance", "an instance that is no cluster's is PostgreSQL in one zone")
def test_what_the_lab_does_not_make_is_refused(own_lab, rds, kms):
    made(own_lab, rds, kms)
    wanted = {"DBInstanceIdentifier": "carts", "DBInstanceClass": "db.m6g.large"}
    for more, code in (
        ({"Engine": "mysql"}, "InvalidParameterValue"),
        ({"Engine": "aurora-postgresql"}, "InvalidParameterCombination"),
        ({"Engine": "postgres", "MultiAZ": True}, "InvalidParameterValue"),
        ({"Engine": "postgres", "EnablePerformanceInsights": True}, "InvalidParameterValue"),
        (
            {"Engine": "postgres", "KmsKeyId": "alias/x", "StorageEncrypted": False},
            "InvalidParameterCombination",
        ),
        ({"Engine": "postgres", "KmsKeyId": "alias/x"}, "KMSKeyNotAccessibleFault"),
        ({"Engine": "postgres", **ORDERS}, "DBInstanceAlreadyExists"),
    ):
        assert refusal(rds.create_db_instance, **(wanted | more)) == code
    assert [
        each["DBInstanceIdentifier"] for each in rds.describe_db_instances()["DBInstances"]
    ] == ["orders"]


@shows("rds:StartDBInstance", "rds:DescribeEvents")
def test_without_its_key_it_is_inaccessible_after_two_hours_and_has_to_be_started(
    own_lab, rds, kms
):
    key = made(own_lab, rds, kms)
    kms.disable_key(KeyId=key)
    own_lab.pass_time(0)  # it sees that
    own_lab.pass_time(7190)
    assert status(rds) == AVAILABLE
    own_lab.pass_time(20)
    assert status(rds) == RECOVERABLE
    assert refusal(rds.start_db_instance, **ORDERS) == "KMSKeyNotAccessibleFault"
    assert refusal(rds.stop_db_instance, **ORDERS) == "InvalidDBInstanceState"
    kms.enable_key(KeyId=key)
    own_lab.pass_time(DAY)  # nobody has started it, and it does not come back by itself
    assert status(rds) == RECOVERABLE
    assert rds.start_db_instance(**ORDERS)["DBInstance"]["DBInstanceStatus"] == "starting"
    own_lab.pass_time(200)
    own_lab.pass_time(1)
    assert status(rds) == AVAILABLE
    assert events(rds) == [
        "DB instance created.",
        "Amazon RDS is unable to access the KMS encryption key",
        "Amazon RDS has been unable to access the KMS encryption key",
        "Amazon RDS can now successfully access the KMS encryption key",
        "DB instance started.",
    ]


@shows("rds:StartDBInstance")
def test_after_seven_days_without_its_key_it_is_lost(own_lab, rds, kms):
    key = made(own_lab, rds, kms)
    kms.disable_key(KeyId=key)
    own_lab.pass_time(0)  # it sees that
    own_lab.pass_time(7200)
    own_lab.pass_time(7 * DAY - 60)
    assert status(rds) == RECOVERABLE
    own_lab.pass_time(60)
    assert status(rds) == TERMINAL
    kms.enable_key(KeyId=key)
    with pytest.raises(Exception, match="cannot be started as it is not in one of the following"):
        rds.start_db_instance(**ORDERS)


@shows("rds:StopDBInstance", "rds:StartDBInstance", "rds:ModifyDBInstance", "rds:RebootDBInstance")
def test_it_is_stopped_started_rebooted_changed(own_lab, rds, kms):
    made(own_lab, rds, kms)
    assert rds.stop_db_instance(**ORDERS)["DBInstance"]["DBInstanceStatus"] == "stopping"
    own_lab.pass_time(60)
    assert status(rds) == "stopped"
    assert refusal(rds.reboot_db_instance, **ORDERS) == "InvalidDBInstanceState"
    assert refusal(rds.modify_db_instance, **ORDERS) == "InvalidDBInstanceState"
    rds.start_db_instance(**ORDERS)
    own_lab.pass_time(200)
    own_lab.pass_time(1)
    changed = rds.modify_db_instance(**ORDERS, BackupRetentionPeriod=7)["DBInstance"]
    assert changed["BackupRetentionPeriod"] == 7
    rebooting = rds.reboot_db_instance(**ORDERS)["DBInstance"]
    assert rebooting["DBInstanceStatus"] == "rebooting"
    own_lab.pass_time(60)
    assert status(rds) == AVAILABLE
    assert "DB instance stopped." in events(rds)


@shows("rds:DeleteDBInstance")
@deviates("rds:DeleteDBInstance", "one that is no cluster's goes without a final snapshot only")
def test_it_goes_with_its_grant_and_is_protected_until_then(own_lab, rds, kms):
    key = made(own_lab, rds, kms, DeletionProtection=True)
    gone = {**ORDERS, "SkipFinalSnapshot": True}
    assert refusal(rds.delete_db_instance, **gone) == "InvalidParameterCombination"
    rds.modify_db_instance(**ORDERS, DeletionProtection=False)
    assert refusal(rds.delete_db_instance, **ORDERS) == "InvalidParameterCombination"
    assert rds.delete_db_instance(**gone)["DBInstance"]["DBInstanceStatus"] == "deleting"
    assert rds.describe_db_instances()["DBInstances"] == []
    assert kms.list_grants(KeyId=key)["Grants"] == []
    own_lab.pass_time(DAY)


@shows(
    "rds:CreateDBSnapshot", "rds:CopyDBSnapshot", "rds:DescribeDBSnapshots", "rds:DeleteDBSnapshot"
)  # fmt: skip
@deviates("rds:CopyDBSnapshot", "a snapshot that is not encrypted stays so; within a Region only")
@deviates("rds:DescribeDBSnapshots", "there are no automated snapshots")
def test_its_snapshots_are_made_copied_under_another_key_and_removed(own_lab, rds, kms):
    key = made(own_lab, rds, kms)
    other = kms.create_key()["KeyMetadata"]["Arn"]
    first = rds.create_db_snapshot(DBSnapshotIdentifier="first", **ORDERS)["DBSnapshot"]
    assert (first["Status"], first["Encrypted"], first["KmsKeyId"]) == ("creating", True, key)
    own_lab.pass_time(120)
    own_lab.pass_time(DAY)
    copy = {"SourceDBSnapshotIdentifier": "first", "TargetDBSnapshotIdentifier": "copy"}
    made_of = rds.copy_db_snapshot(**copy, KmsKeyId=other)["DBSnapshot"]
    assert (made_of["KmsKeyId"], made_of["SourceDBSnapshotIdentifier"]) == (
        other, first["DBSnapshotArn"],
    )  # fmt: skip
    own_lab.pass_time(120)
    found = rds.describe_db_snapshots(**ORDERS)["DBSnapshots"]
    assert [each["Status"] for each in found] == ["available", "available"]
    assert {each["OriginalSnapshotCreateTime"] for each in found} == {first["SnapshotCreateTime"]}
    by_id = [{"Name": "db-snapshot-id", "Values": ["copy"]}]
    (only,) = rds.describe_db_snapshots(Filters=by_id, SnapshotType="manual")["DBSnapshots"]
    assert only["DBSnapshotIdentifier"] == "copy"
    assert rds.describe_db_snapshots(SnapshotType="automated")["DBSnapshots"] == []
    assert rds.describe_db_cluster_snapshots()["DBClusterSnapshots"] == []
    again = {"DBSnapshotIdentifier": "first", **ORDERS}
    assert refusal(rds.create_db_snapshot, **again) == "DBSnapshotAlreadyExists"
    kms.disable_key(KeyId=key)
    assert refusal(rds.create_db_snapshot, DBSnapshotIdentifier="third", **ORDERS) == (
        "InvalidDBInstanceState"
    )
    third = copy | {"TargetDBSnapshotIdentifier": "third"}
    assert refusal(rds.copy_db_snapshot, **third) == "KMSKeyNotAccessibleFault"
    rds.delete_db_snapshot(DBSnapshotIdentifier="copy")
    assert refusal(rds.describe_db_snapshots, DBSnapshotIdentifier="copy") == "DBSnapshotNotFound"
    assert "Manual snapshot created." in events(rds)


@shows("rds:AddTagsToResource", "rds:ListTagsForResource", "rds:RemoveTagsFromResource")
def test_it_and_its_snapshots_have_tags(own_lab, rds, kms):
    made(own_lab, rds, kms)
    taken = rds.create_db_snapshot(DBSnapshotIdentifier="first", **ORDERS)["DBSnapshot"]
    tag = {"Key": "app", "Value": "shop"}
    for arn in (described(rds)["DBInstanceArn"], taken["DBSnapshotArn"]):
        rds.add_tags_to_resource(ResourceName=arn, Tags=[tag])
        assert rds.list_tags_for_resource(ResourceName=arn)["TagList"] == [tag]
    assert {
        each["ResourceARN"].split(":")[5]
        for each in own_lab.client("resourcegroupstaggingapi").get_resources(
            TagFilters=[{"Key": "app", "Values": ["shop"]}]
        )["ResourceTagMappingList"]
    } == {"db", "snapshot"}
    rds.remove_tags_from_resource(ResourceName=taken["DBSnapshotArn"], TagKeys=["app"])
    assert rds.list_tags_for_resource(ResourceName=taken["DBSnapshotArn"])["TagList"] == []


def test_a_lab_begins_with_one_that_keeps_its_rows_through_an_outage():
    lab = new_lab(20_000, "observed", database="instance")  # two hours are 0.4 s
    try:
        (orders,) = lab.clusters
        assert orders["id"] == "db:orders"
        rds, kms = client(lab, "rds"), client(lab, "kms")
        kms.disable_key(KeyId=orders["key"])
        until(lambda: status(rds) == RECOVERABLE)
        kms.enable_key(KeyId=orders["key"])
        rds.start_db_instance(**ORDERS)
        up(rds, "orders")
        with psycopg.connect(orders["database"], connect_timeout=5) as connection:
            assert connection.execute("SELECT count(*) FROM users").fetchone() == (4,)
        (backup,) = rds.describe_db_snapshots()["DBSnapshots"]
        assert backup["Status"] == AVAILABLE
        assert backup["KmsKeyId"] != orders["key"]
    finally:
        lab.stop()


@pytest.mark.parametrize(
    ("more", "what"), [({"readers": 1}, "readers"), ({"secondary_keys": True}, "secondary keys")]
)
def test_a_lab_with_one_has_no_readers_and_no_secondary_keys(more, what):
    with pytest.raises(LabDidNotStart, match=f"an instance that is no cluster's has no {what}"):
        new_lab(300, database="instance", **more)
