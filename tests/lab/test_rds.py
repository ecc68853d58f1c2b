"""The lab's RDS over real HTTP, with a real PostgreSQL behind each cluster."""

from __future__ import annotations

import time

import psycopg
import pytest
from botocore.exceptions import WaiterError

from tests.support.clusters import (
    AVAILABLE,
    NAMES,
    RECOVERABLE,
    becomes,
    described,
    instance_status,
    kept,
    new_cluster,
    new_instance,
    new_writer,
    query,
    refusal,
    up,
    write,
)
from tests.support.document import deviates, shows
from tests.support.labs import client, until

pytestmark = pytest.mark.thorough


@shows("rds:CreateDBCluster", "rds:CreateDBInstance", "rds:DescribeDBInstances")
@pytest.mark.parametrize("named", ["KeyId", "Arn", "alias"])
def test_a_cluster_reports_its_key_by_arn_whatever_it_was_named_by(rds, kms, named):
    key = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName=f"alias/{key['KeyId']}", TargetKeyId=key["KeyId"])
    reference = f"alias/{key['KeyId']}" if named == "alias" else key[named]
    cluster = new_cluster(rds, StorageEncrypted=True, KmsKeyId=reference)
    assert cluster["KmsKeyId"] == key["Arn"]
    name = new_instance(rds, cluster)
    instance = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    assert instance["KmsKeyId"] == key["Arn"]


@deviates("rds:CreateDBCluster", "a server is started with the first instance, not before")
def test_a_new_cluster_is_an_empty_postgresql_with_its_user_and_database(rds):
    cluster = new_cluster(rds, MasterUsername="root_of_db", DatabaseName="my-db")
    assert cluster["Status"] == "creating"
    with pytest.raises(psycopg.OperationalError):
        query(cluster, "SELECT 1")
    up(rds, new_instance(rds, cluster))
    becomes(rds, cluster, AVAILABLE)
    found = described(rds, cluster)
    assert query(found, "SELECT current_user || '@' || current_database()") == ["root_of_db@my-db"]
    assert query(found, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []


@deviates(
    "rds:CreateDBCluster",
    "one engine, aurora-postgresql; whatever EngineVersion says, "
    "the server is the PostgreSQL that is installed",
)
@pytest.mark.parametrize("params", [{"Engine": "aurora-mysql"}, {"EngineMode": "parallelquery"}])
def test_an_engine_that_the_lab_has_not_is_refused(rds, params):
    params = {"DBClusterIdentifier": next(NAMES), "Engine": "aurora-postgresql"} | params
    assert refusal(rds.create_db_cluster, **params) == "InvalidParameterValue"


def test_without_a_key_the_aws_managed_one_encrypts(rds, kms):
    cluster = new_cluster(rds, StorageEncrypted=True)
    assert kms.describe_key(KeyId=cluster["KmsKeyId"])["KeyMetadata"]["KeyManager"] == "AWS"


def test_an_unencrypted_cluster_has_no_key(rds):
    cluster = new_cluster(rds)
    assert cluster["StorageEncrypted"] is False
    assert cluster["StorageEncryptionType"] == "none"
    assert "KmsKeyId" not in cluster
    contradiction = {"StorageEncrypted": False, "KmsKeyId": "alias/orders"}
    name = {"DBClusterIdentifier": next(NAMES), "Engine": "aurora-postgresql"}
    assert refusal(rds.create_db_cluster, **name, **contradiction) == "InvalidParameterCombination"


@shows("rds:CreateDBCluster")
@pytest.mark.parametrize("broken", ["disabled", "pending deletion", "unknown", "of us-east-1"])
def test_an_unusable_key_encrypts_no_new_cluster(lab, rds, kms, broken):
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    if broken == "disabled":
        kms.disable_key(KeyId=key_id)
    elif broken == "pending deletion":
        kms.schedule_key_deletion(KeyId=key_id)
    elif broken == "unknown":
        key_id = "00000000-0000-0000-0000-000000000000"
    else:
        key_id = client(lab, "kms", "us-east-1").create_key()["KeyMetadata"]["Arn"]
    wanted = {"DBClusterIdentifier": next(NAMES), "Engine": "aurora-postgresql"}
    code = refusal(rds.create_db_cluster, StorageEncrypted=True, KmsKeyId=key_id, **wanted)
    assert code == "KMSKeyNotAccessibleFault"
    new_cluster(rds, **wanted)  # what was refused has left nothing behind


def test_what_is_not_there_is_said_as_aws_says_it(rds):
    assert refusal(rds.describe_db_clusters, DBClusterIdentifier="no") == "DBClusterNotFoundFault"
    assert refusal(rds.start_db_cluster, DBClusterIdentifier="no") == "DBClusterNotFoundFault"
    assert refusal(rds.describe_db_instances, DBInstanceIdentifier="no") == "DBInstanceNotFound"


@shows("rds:CreateDBCluster", "rds:CreateDBInstance")
def test_a_name_is_given_once(rds):
    cluster = new_cluster(rds)
    name = cluster["DBClusterIdentifier"]
    again = {"DBClusterIdentifier": name.upper(), "Engine": "aurora-postgresql"}
    assert refusal(rds.create_db_cluster, **again) == "DBClusterAlreadyExistsFault"
    instance = new_instance(rds, cluster)
    again = {"DBInstanceIdentifier": instance, "DBInstanceClass": "db.r6g.large"}
    again |= {"Engine": "aurora-postgresql", "DBClusterIdentifier": name}
    assert refusal(rds.create_db_instance, **again) == "DBInstanceAlreadyExists"


@shows("rds:StopDBCluster", "rds:StartDBCluster")
def test_stop_and_start_keep_what_was_written(rds):
    cluster = new_writer(rds)
    write(cluster, "before")
    name = {"DBClusterIdentifier": cluster["DBClusterIdentifier"]}
    assert refusal(rds.start_db_cluster, **name) == "InvalidDBClusterStateFault"
    rds.stop_db_cluster(**name)
    becomes(rds, cluster, "stopped")
    assert instance_status(rds, f"{cluster['DBClusterIdentifier']}-1") == "stopped"
    with pytest.raises(psycopg.OperationalError):
        kept(cluster)
    rds.start_db_cluster(**name)
    becomes(rds, cluster, AVAILABLE)
    assert kept(cluster) == ["before"]


@shows("rds:StartDBCluster", "rds:StopDBCluster", "rds:DescribeEvents")
@deviates("rds:DescribeEvents", "only the events of keys, states, failovers and snapshots")
def test_a_lost_key_makes_cluster_and_instances_inaccessible_and_says_so(rds, kms):
    cluster = new_writer(rds, kms)
    write(cluster, "before")
    cluster_id, key = cluster["DBClusterIdentifier"], cluster["KmsKeyId"]
    kms.disable_key(KeyId=key)
    becomes(rds, cluster, RECOVERABLE)
    assert instance_status(rds, f"{cluster_id}-1") == RECOVERABLE
    start = {"DBClusterIdentifier": cluster_id}
    assert refusal(rds.start_db_cluster, **start) == "KMSKeyNotAccessibleFault"
    assert refusal(rds.stop_db_cluster, **start) == "InvalidDBClusterStateFault"
    kms.enable_key(KeyId=key)
    rds.start_db_cluster(**start)
    becomes(rds, cluster, AVAILABLE)
    assert kept(cluster) == ["before"]
    told = [
        event["Message"]
        for event in rds.describe_events(
            SourceType="db-instance", SourceIdentifier=f"{cluster_id}-1"
        )["Events"]
    ]
    assert "unable to access the KMS encryption key" in told[1]
    assert "has been unable to access" in told[2]
    assert "can now successfully access" in told[3]


@shows(
    "rds:ModifyDBCluster",
    "rds:FailoverDBCluster",
    "rds:CreateDBClusterSnapshot",
    "rds:CreateDBInstance",
    "rds:RebootDBInstance",
    "rds:ModifyDBInstance",
)
def test_no_operation_overwrites_an_inaccessible_status(rds, kms):
    cluster = new_writer(rds, kms)
    kms.disable_key(KeyId=cluster["KmsKeyId"])
    becomes(rds, cluster, RECOVERABLE)
    name = cluster["DBClusterIdentifier"]
    on_cluster = {"DBClusterIdentifier": name}
    on_instance = {"DBInstanceIdentifier": f"{name}-1"}
    calls = [
        (rds.modify_db_cluster, on_cluster | {"BackupRetentionPeriod": 7}),
        (rds.failover_db_cluster, on_cluster),
        (rds.create_db_cluster_snapshot, on_cluster | {"DBClusterSnapshotIdentifier": "no"}),
        (
            rds.create_db_instance,
            on_cluster
            | {
                "DBInstanceIdentifier": "no",
                "DBInstanceClass": "db.r6g.large",
                "Engine": "aurora-postgresql",
            },
        ),
        (rds.reboot_db_instance, on_instance),
        (rds.modify_db_instance, on_instance | {"PromotionTier": 0}),
    ]
    for call, params in calls:
        assert refusal(call, **params) in ("InvalidDBClusterStateFault", "InvalidDBInstanceState")
        assert described(rds, cluster)["Status"] == RECOVERABLE


@shows("rds:DeleteDBCluster", "rds:DeleteDBInstance")
@deviates("rds:DeleteDBCluster", "gone at once, not after minutes of `deleting`")
@deviates("rds:DeleteDBInstance", "gone at once, not after minutes of `deleting`")
def test_a_cluster_is_deleted_after_its_instances(rds, kms):
    cluster = new_writer(rds, kms)
    name = cluster["DBClusterIdentifier"]
    delete = {"DBClusterIdentifier": name, "SkipFinalSnapshot": True}
    assert refusal(rds.delete_db_cluster, **delete) == "InvalidDBClusterStateFault"
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-1")
    assert rds.delete_db_cluster(**delete)["DBCluster"]["Status"] == "deleting"
    assert refusal(rds.describe_db_clusters, DBClusterIdentifier=name) == "DBClusterNotFoundFault"
    assert kms.list_grants(KeyId=cluster["KmsKeyId"])["Grants"] == []
    rds.get_waiter("db_cluster_deleted").wait(DBClusterIdentifier=name)


def test_a_protected_cluster_is_not_deleted(rds):
    cluster = new_cluster(rds, DeletionProtection=True)
    delete = {"DBClusterIdentifier": cluster["DBClusterIdentifier"], "SkipFinalSnapshot": True}
    assert refusal(rds.delete_db_cluster, **delete) == "InvalidParameterCombination"
    becomes(rds, cluster, AVAILABLE)
    rds.modify_db_cluster(
        DBClusterIdentifier=cluster["DBClusterIdentifier"], DeletionProtection=False
    )
    rds.delete_db_cluster(**delete)


def test_an_inaccessible_cluster_can_be_deleted(rds, kms):
    cluster = new_writer(rds, kms)
    name = cluster["DBClusterIdentifier"]
    kms.disable_key(KeyId=cluster["KmsKeyId"])
    becomes(rds, cluster, RECOVERABLE)
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-1")
    rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
    assert refusal(rds.describe_db_clusters, DBClusterIdentifier=name) == "DBClusterNotFoundFault"


@shows("rds:ModifyDBCluster")
@deviates("rds:ModifyDBCluster", "changes apply at once; of a cluster's other settings nothing")
def test_a_renamed_cluster_keeps_its_data_and_its_key(rds, kms):
    cluster = new_writer(rds, kms)
    write(cluster, "before")
    new = next(NAMES)
    rds.modify_db_cluster(
        DBClusterIdentifier=cluster["DBClusterIdentifier"],
        NewDBClusterIdentifier=new,
        ApplyImmediately=True,
        BackupRetentionPeriod=7,
    )
    renamed = described(rds, {"DBClusterIdentifier": new})
    assert renamed["DBClusterArn"].endswith(f":cluster:{new}")
    assert renamed["KmsKeyId"] == cluster["KmsKeyId"]
    assert renamed["BackupRetentionPeriod"] == 7
    assert kept(renamed) == ["before"]
    assert refusal(
        rds.describe_db_clusters, DBClusterIdentifier=cluster["DBClusterIdentifier"]
    ) == ("DBClusterNotFoundFault")


@shows("rds:AddTagsToResource", "rds:ListTagsForResource", "rds:RemoveTagsFromResource")
def test_tags_are_kept_on_clusters_and_instances(rds):
    cluster = new_cluster(rds, Tags=[{"Key": "a", "Value": "1"}])
    name = new_instance(rds, cluster)
    instance = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    for arn in (cluster["DBClusterArn"], instance["DBInstanceArn"]):
        rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "b", "Value": "2"}])
        assert {"Key": "b", "Value": "2"} in rds.list_tags_for_resource(ResourceName=arn)["TagList"]
        rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["b"])
        assert {"Key": "b", "Value": "2"} not in described(rds, cluster)["TagList"]


@shows("rds:DescribeDBClusters", "rds:DescribeDBInstances")
def test_clusters_and_instances_are_found_by_arn_and_by_the_documented_filters(rds):
    cluster = new_cluster(rds)
    instance = new_instance(rds, cluster)
    name = cluster["DBClusterIdentifier"]
    by_arn = rds.describe_db_clusters(DBClusterIdentifier=cluster["DBClusterArn"])["DBClusters"]
    by_filters = [
        rds.describe_db_clusters(Filters=[{"Name": field, "Values": [value]}])["DBClusters"]
        for field, value in [
            ("db-cluster-id", name),
            ("db-cluster-resource-id", cluster["DbClusterResourceId"]),
        ]
    ]
    for found in (by_arn, *by_filters):
        assert [c["DBClusterArn"] for c in found] == [cluster["DBClusterArn"]]
    found = rds.describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": [name]}])
    assert [i["DBInstanceIdentifier"] for i in found["DBInstances"]] == [instance]
    wrong = [{"Name": "colour", "Values": ["x"]}]
    assert refusal(rds.describe_db_clusters, Filters=wrong) == "InvalidParameterValue"


@shows("rds:RebootDBInstance")
def test_a_reboot_ends_sessions_and_keeps_rows(rds):
    cluster = new_writer(rds)
    write(cluster, "before")
    name = f"{cluster['DBClusterIdentifier']}-1"
    started = query(cluster, "SELECT pg_postmaster_start_time()")
    rebooting = rds.reboot_db_instance(DBInstanceIdentifier=name)["DBInstance"]
    assert rebooting["DBInstanceStatus"] == "rebooting"
    up(rds, name)
    assert query(cluster, "SELECT pg_postmaster_start_time()") != started
    assert kept(cluster) == ["before"]


@shows("rds:ModifyDBInstance", "rds:StopDBInstance", "rds:StartDBInstance")
@deviates("rds:ModifyDBInstance", "promotion tier and instance class only, at once")
def test_an_instance_is_stopped_with_its_cluster_only(rds):
    name = new_instance(rds, new_cluster(rds))
    up(rds, name)
    for call in (rds.stop_db_instance, rds.start_db_instance):
        assert refusal(call, DBInstanceIdentifier=name) == "InvalidParameterCombination"
    changed = rds.modify_db_instance(DBInstanceIdentifier=name, PromotionTier=7)["DBInstance"]
    assert changed["PromotionTier"] == 7


def test_boto3s_own_waiter_sees_a_cluster_come_and_an_inaccessible_one_not(rds, kms):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    cluster = new_cluster(rds, StorageEncrypted=True, KmsKeyId=key)
    waiter = rds.get_waiter("db_cluster_available")
    soon = {"Delay": 1, "MaxAttempts": 5}
    waiter.wait(DBClusterIdentifier=cluster["DBClusterIdentifier"], WaiterConfig=soon)
    kms.disable_key(KeyId=key)
    becomes(rds, cluster, RECOVERABLE)
    with pytest.raises(WaiterError, match="Max attempts exceeded"):
        waiter.wait(
            DBClusterIdentifier=cluster["DBClusterIdentifier"],
            WaiterConfig={"Delay": 1, "MaxAttempts": 2},
        )


def test_what_is_gone_for_good_stays_gone(start_lab):
    lab = start_lab(speed=100_000)  # a week is 6 s
    rds, kms = client(lab, "rds"), client(lab, "kms")
    (key,) = {cluster["key"] for cluster in lab.clusters}
    kms.disable_key(KeyId=key)
    orders = {"DBClusterIdentifier": "orders"}
    becomes(rds, orders, "inaccessible-encryption-credentials")
    kms.enable_key(KeyId=key)
    assert refusal(rds.start_db_cluster, **orders) == "InvalidDBClusterStateFault"
    time.sleep(0.5)  # more than half a day
    assert described(rds, orders)["Status"] == "inaccessible-encryption-credentials"
    until(lambda: instance_status(rds, "orders-1") == "inaccessible-encryption-credentials")


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("BackupRetentionPeriod", 0),
        ("BackupRetentionPeriod", 36),
        ("MasterUsername", "a b;c"),
        ("MasterUsername", "pg_x"),
        ("DatabaseName", ""),
        ("EngineVersion", "zz"),
    ],
)
def test_a_value_that_is_not_among_the_documented_ones_is_refused(rds, parameter, value):
    request = {"DBClusterIdentifier": next(NAMES), "Engine": "aurora-postgresql"}
    code = refusal(rds.create_db_cluster, **request, **{parameter: value})
    assert code == "InvalidParameterValue"


def test_what_is_refused_leaves_no_grant(rds, kms):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    request = {"DBClusterIdentifier": next(NAMES), "Engine": "aurora-postgresql"}
    bad = {"StorageEncrypted": True, "KmsKeyId": key, "Tags": [{"Value": "no key"}]}
    assert refusal(rds.create_db_cluster, **request, **bad) == "InvalidParameterValue"
    assert kms.list_grants(KeyId=key)["Grants"] == []


@shows("rds:DescribeEvents")
def test_events_of_a_thousand_years_are_not_to_be_had(rds):
    assert refusal(rds.describe_events, Duration=2_000_000_000) == "InvalidParameterValue"
