"""The lab's RDS over real HTTP, with a real PostgreSQL behind each cluster."""

from __future__ import annotations

import itertools

import psycopg
import pytest
from botocore.exceptions import ClientError

from tests.conftest import client, until

NAMES = (f"c{number}" for number in itertools.count())


@pytest.fixture
def rds(lab):
    return client(lab, "rds")


@pytest.fixture
def kms(lab):
    return client(lab, "kms")


def refusal(call, **params):
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value.response["Error"]["Code"]


def new_cluster(rds, **params):
    return rds.create_db_cluster(
        DBClusterIdentifier=next(NAMES), Engine="aurora-postgresql", **params
    )["DBCluster"]


def new_instance(rds, cluster):
    name = f"{cluster['DBClusterIdentifier']}-1"
    rds.create_db_instance(
        DBInstanceIdentifier=name,
        DBClusterIdentifier=cluster["DBClusterIdentifier"],
        DBInstanceClass="db.r6g.large",
        Engine="aurora-postgresql",
    )
    return name


def described(rds, cluster):
    name = cluster["DBClusterIdentifier"]
    return rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]


def becomes(rds, cluster, status):
    return until(lambda: described(rds, cluster)["Status"] == status)


def rows(cluster, **more):
    with psycopg.connect(
        host=cluster["Endpoint"],
        port=cluster["Port"],
        user=cluster["MasterUsername"],
        dbname=cluster.get("DatabaseName", "postgres"),
        connect_timeout=5,
    ) as connection:
        return connection.execute("SELECT name FROM users ORDER BY id").fetchall()


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


def test_every_cluster_is_a_postgresql_with_the_seeded_rows(rds):
    cluster = new_cluster(rds, MasterUsername="root_of_db", DatabaseName="my-db")
    assert cluster["Status"] == "creating"
    new_instance(rds, cluster)
    assert becomes(rds, cluster, "available")
    assert [name for (name,) in rows(described(rds, cluster))] == [
        "Alice", "Bob", "Charlie", "David",
    ]  # fmt: skip


def test_without_a_key_the_aws_managed_one_encrypts(rds, kms):
    cluster = new_cluster(rds, StorageEncrypted=True)
    assert kms.describe_key(KeyId=cluster["KmsKeyId"])["KeyMetadata"]["KeyManager"] == "AWS"


def test_an_unencrypted_cluster_has_no_key(rds):
    cluster = new_cluster(rds)
    assert cluster["StorageEncrypted"] is False
    assert cluster["StorageEncryptionType"] == "none"
    assert "KmsKeyId" not in cluster


@pytest.mark.parametrize("broken", ["disabled", "pending deletion", "unknown"])
def test_an_unusable_key_encrypts_no_new_cluster(rds, kms, broken):
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    if broken == "disabled":
        kms.disable_key(KeyId=key_id)
    elif broken == "pending deletion":
        kms.schedule_key_deletion(KeyId=key_id)
    else:
        key_id = "00000000-0000-0000-0000-000000000000"
    assert (
        refusal(
            rds.create_db_cluster,
            DBClusterIdentifier=next(NAMES),
            Engine="aurora-postgresql",
            StorageEncrypted=True,
            KmsKeyId=key_id,
        )
        == "KMSKeyNotAccessibleFault"
    )


def test_what_is_not_there_is_said_as_aws_says_it(rds):
    assert refusal(rds.describe_db_clusters, DBClusterIdentifier="no") == "DBClusterNotFoundFault"
    assert refusal(rds.start_db_cluster, DBClusterIdentifier="no") == "DBClusterNotFoundFault"
    assert refusal(rds.describe_db_instances, DBInstanceIdentifier="no") == "DBInstanceNotFound"


def test_a_name_is_given_once(rds):
    name = new_cluster(rds)["DBClusterIdentifier"]
    assert (
        refusal(rds.create_db_cluster, DBClusterIdentifier=name, Engine="aurora-postgresql")
        == "DBClusterAlreadyExistsFault"
    )


def test_stop_and_start_keep_what_was_written(rds):
    cluster = new_cluster(rds)
    name = new_instance(rds, cluster)
    becomes(rds, cluster, "available")
    assert refusal(rds.start_db_cluster, DBClusterIdentifier=cluster["DBClusterIdentifier"]) == (
        "InvalidDBClusterStateFault"
    )
    rds.stop_db_cluster(DBClusterIdentifier=cluster["DBClusterIdentifier"])
    becomes(rds, cluster, "stopped")
    instance = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    assert instance["DBInstanceStatus"] == "stopped"
    with pytest.raises(psycopg.OperationalError):
        rows(cluster)
    rds.start_db_cluster(DBClusterIdentifier=cluster["DBClusterIdentifier"])
    becomes(rds, cluster, "available")
    assert len(rows(cluster)) == 4


def test_a_lost_key_makes_cluster_and_instances_inaccessible_and_says_so(rds, kms):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    cluster = new_cluster(rds, StorageEncrypted=True, KmsKeyId=key)
    name = new_instance(rds, cluster)
    becomes(rds, cluster, "available")
    kms.disable_key(KeyId=key)
    lost = "inaccessible-encryption-credentials-recoverable"
    becomes(rds, cluster, lost)
    instance = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    assert instance["DBInstanceStatus"] == lost
    assert refusal(rds.start_db_cluster, DBClusterIdentifier=cluster["DBClusterIdentifier"]) == (
        "KMSKeyNotAccessibleFault"
    )
    assert refusal(rds.stop_db_cluster, DBClusterIdentifier=cluster["DBClusterIdentifier"]) == (
        "InvalidDBClusterStateFault"
    )
    kms.enable_key(KeyId=key)
    rds.start_db_cluster(DBClusterIdentifier=cluster["DBClusterIdentifier"])
    becomes(rds, cluster, "available")
    assert len(rows(cluster)) == 4
    events = rds.describe_events(SourceType="db-instance", SourceIdentifier=name)["Events"]
    told = [event["Message"] for event in events]
    assert "unable to access the KMS encryption key" in told[1]
    assert "has been unable to access" in told[2]
    assert "can now successfully access" in told[3]


def test_a_key_that_is_pending_deletion_is_lost_like_a_disabled_one(rds, kms):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    cluster = new_cluster(rds, StorageEncrypted=True, KmsKeyId=key)
    new_instance(rds, cluster)
    becomes(rds, cluster, "available")
    kms.schedule_key_deletion(KeyId=key)
    becomes(rds, cluster, "inaccessible-encryption-credentials-recoverable")


def test_a_cluster_is_deleted_after_its_instances(rds):
    cluster = new_cluster(rds)
    name, instance = cluster["DBClusterIdentifier"], new_instance(rds, cluster)
    delete = {"DBClusterIdentifier": name, "SkipFinalSnapshot": True}
    assert refusal(rds.delete_db_cluster, **delete) == "InvalidDBClusterStateFault"
    rds.delete_db_instance(DBInstanceIdentifier=instance)
    assert rds.delete_db_cluster(**delete)["DBCluster"]["Status"] == "deleting"
    assert refusal(rds.describe_db_clusters, DBClusterIdentifier=name) == "DBClusterNotFoundFault"


def test_tags_are_kept_on_clusters_and_instances(rds):
    cluster = new_cluster(rds, Tags=[{"Key": "a", "Value": "1"}])
    name = new_instance(rds, cluster)
    instance = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    for arn in (cluster["DBClusterArn"], instance["DBInstanceArn"]):
        rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "b", "Value": "2"}])
        assert {"Key": "b", "Value": "2"} in rds.list_tags_for_resource(ResourceName=arn)["TagList"]
        rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["b"])
        assert {"Key": "b", "Value": "2"} not in described(rds, cluster)["TagList"]


def test_a_cluster_is_found_by_arn_and_by_the_documented_filters(rds):
    cluster = new_cluster(rds)
    by_arn = rds.describe_db_clusters(DBClusterIdentifier=cluster["DBClusterArn"])["DBClusters"]
    by_filter = rds.describe_db_clusters(
        Filters=[{"Name": "db-cluster-id", "Values": [cluster["DBClusterIdentifier"]]}]
    )["DBClusters"]
    assert [c["DBClusterArn"] for c in by_arn + by_filter] == [cluster["DBClusterArn"]] * 2
    wrong = [{"Name": "colour", "Values": ["x"]}]
    assert refusal(rds.describe_db_clusters, Filters=wrong) == "InvalidParameterValue"
