"""What of a cluster is under keys of its own: without one of them the cluster lives, and that not.

Secrets Manager User Guide, "Secret encryption and decryption"; Aurora User Guide, "Changing an AWS
KMS policy for Performance Insights" and "Monitoring Amazon Aurora with Database Activity Streams".
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from chaosaws_kms_lab import data_misbehaviours
from tests.support.clusters import refusal
from tests.support.document import deviates, shows

ENGINE = {"Engine": "aurora-postgresql"}


@pytest.fixture
def there(own_lab):
    """Clients, a cluster with a writer that has all three, and how each of them is used."""
    kms, rds = own_lab.client("kms"), own_lab.client("rds")
    storage, secret, insights, stream = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(4))
    made = rds.create_db_cluster(
        DBClusterIdentifier="orders",
        StorageEncrypted=True,
        KmsKeyId=storage,
        MasterUsername="app",
        ManageMasterUserPassword=True,
        MasterUserSecretKmsKeyId=secret,
        **ENGINE,
    )["DBCluster"]
    instance = rds.create_db_instance(
        DBInstanceIdentifier="orders-1",
        DBClusterIdentifier="orders",
        DBInstanceClass="db.r6g.large",
        EnablePerformanceInsights=True,
        PerformanceInsightsKMSKeyId=insights,
        **ENGINE,
    )["DBInstance"]
    for _ in range(3):
        own_lab.pass_time(200)
    started = rds.start_activity_stream(
        ResourceArn=made["DBClusterArn"], Mode="async", KmsKeyId=stream
    )
    own_lab.pass_time(60)
    return SimpleNamespace(
        lab=own_lab, kms=kms, rds=rds, cluster=made, instance=instance, started=started,
        storage=storage, secret=secret, insights=insights, stream=stream,
    )  # fmt: skip


def described(there):
    return there.rds.describe_db_clusters()["DBClusters"][0]


def read(there):
    arn = described(there)["MasterUserSecret"]["SecretArn"]
    return there.lab.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]


def asked(there, identifier=None):
    now = datetime.now(UTC)
    return {
        "ServiceType": "RDS",
        "Identifier": identifier or there.instance["DbiResourceId"],
        "MetricQueries": [{"Metric": "db.load.avg"}],
        "StartTime": now - timedelta(minutes=5),
        "EndTime": now,
    }


def metrics(there):
    return there.lab.client("pi").get_resource_metrics(**asked(there))


def records(there):
    kinesis = there.lab.client("kinesis")
    name = there.started["KinesisStreamName"]
    (shard,) = kinesis.list_shards(StreamName=name)["Shards"]
    where = kinesis.get_shard_iterator(
        StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )
    return kinesis.get_records(ShardIterator=where["ShardIterator"])["Records"]


def consume(there, record):
    key = base64.b64decode(json.loads(record["Data"])["key"])
    context = {"aws:rds:dbc-id": there.cluster["DbClusterResourceId"]}
    return there.kms.decrypt(CiphertextBlob=key, EncryptionContext=context)["KeyId"]


@shows("rds:CreateDBCluster", "rds:DescribeDBClusters", "secretsmanager:GetSecretValue")
def test_without_the_key_of_its_secret_the_password_is_not_read_and_the_cluster_lives(there):
    secret = described(there)["MasterUserSecret"]
    assert (secret["KmsKeyId"], secret["SecretStatus"]) == (there.secret, "active")
    content = json.loads(read(there))
    assert content == {"username": "app", "password": there.lab.servers.password}
    there.kms.disable_key(KeyId=there.secret)
    sm = there.lab.client("secretsmanager")
    assert refusal(sm.get_secret_value, SecretId=secret["SecretArn"]) == "DecryptionFailure"
    there.lab.pass_time(9000)
    assert described(there)["Status"] == "available"
    there.kms.enable_key(KeyId=there.secret)
    assert json.loads(read(there)) == content


@deviates("pi:GetResourceMetrics", "no data points: the lab collects no metrics")
@shows("pi:GetResourceMetrics", "rds:CreateDBInstance")
def test_without_the_key_of_its_insights_no_metrics_are_read_and_the_cluster_lives(there):
    (instance,) = there.rds.describe_db_instances()["DBInstances"]
    assert instance["PerformanceInsightsEnabled"] is True
    assert instance["PerformanceInsightsKMSKeyId"] == there.insights
    found = metrics(there)
    assert found["Identifier"] == instance["DbiResourceId"]
    assert found["MetricList"] == [{"Key": {"Metric": "db.load.avg"}, "DataPoints": []}]
    there.kms.disable_key(KeyId=there.insights)
    pi = there.lab.client("pi")
    assert refusal(pi.get_resource_metrics, **asked(there)) == "NotAuthorizedException"
    there.lab.pass_time(9000)
    assert described(there)["Status"] == "available"
    there.kms.enable_key(KeyId=there.insights)
    assert metrics(there)["Identifier"] == instance["DbiResourceId"]


@shows("pi:GetResourceMetrics")
def test_there_are_no_metrics_of_what_has_none(there):
    pi = there.lab.client("pi")
    there.rds.create_db_instance(
        DBInstanceIdentifier="orders-2",
        DBClusterIdentifier="orders",
        DBInstanceClass="db.r6g.large",
        **ENGINE,
    )
    plain = there.rds.describe_db_instances(DBInstanceIdentifier="orders-2")["DBInstances"][0]
    assert "PerformanceInsightsKMSKeyId" not in plain
    for name in ("db-NOBODY", plain["DbiResourceId"]):
        code = refusal(pi.get_resource_metrics, **asked(there, name))
        assert code == "InvalidArgumentException"


@deviates("rds:StartActivityStream", "its records are heartbeats: no statement is recorded")
@shows("rds:StartActivityStream")
def test_without_the_key_of_its_stream_no_record_opens_or_is_written_and_the_cluster_lives(there):
    assert there.started["Status"] == "starting"
    there.lab.pass_time(60)
    its = described(there)
    assert its["ActivityStreamStatus"] == "started"
    assert its["ActivityStreamMode"] == "async"
    assert its["ActivityStreamKmsKeyId"] == there.stream
    assert its["ActivityStreamKinesisStreamName"] == there.started["KinesisStreamName"]
    before = records(there)
    assert len(before) == 2
    assert consume(there, before[-1]) == there.stream
    there.kms.disable_key(KeyId=there.stream)
    key = base64.b64decode(json.loads(before[-1]["Data"])["key"])
    context = {"aws:rds:dbc-id": there.cluster["DbClusterResourceId"]}
    call = {"CiphertextBlob": key, "EncryptionContext": context}
    assert refusal(there.kms.decrypt, **call) == "DisabledException"
    for _ in range(20):
        there.lab.pass_time(60)
    assert len(records(there)) == 2
    assert described(there)["Status"] == "available"
    there.kms.enable_key(KeyId=there.stream)
    there.lab.pass_time(60)
    after = records(there)
    assert len(after) == 3
    assert consume(there, after[-1]) == there.stream


@shows("rds:StartActivityStream", "rds:StopActivityStream")
def test_a_stream_is_started_once_and_stopped_once(there):
    arn = there.cluster["DBClusterArn"]
    start = {"ResourceArn": arn, "Mode": "async", "KmsKeyId": there.stream}
    assert refusal(there.rds.start_activity_stream, **start) == "InvalidDBClusterStateFault"
    stopped = there.rds.stop_activity_stream(ResourceArn=arn)
    assert stopped["KinesisStreamName"] == there.started["KinesisStreamName"]
    assert "ActivityStreamKmsKeyId" not in described(there)
    assert there.kms.list_grants(KeyId=there.stream)["Grants"] == []
    stop = there.rds.stop_activity_stream
    assert refusal(stop, ResourceArn=arn) == "InvalidDBClusterStateFault"
    there.kms.disable_key(KeyId=there.stream)
    assert refusal(there.rds.start_activity_stream, **start) == "KMSKeyNotAccessibleFault"
    start["ResourceArn"] = arn + "x"
    assert refusal(there.rds.start_activity_stream, **start) == "DBClusterNotFoundFault"


@shows("rds:CreateDBCluster")
def test_a_password_is_given_or_managed_and_not_both(there):
    new = {"DBClusterIdentifier": "other", **ENGINE}
    for wrong in (
        {"ManageMasterUserPassword": True, "MasterUserPassword": "very-secret"},
        {"MasterUserSecretKmsKeyId": there.secret},
    ):
        code = refusal(there.rds.create_db_cluster, **new, **wrong)
        assert code == "InvalidParameterCombination"
    there.kms.disable_key(KeyId=there.secret)
    managed = {"ManageMasterUserPassword": True, "MasterUserSecretKmsKeyId": there.secret}
    code = refusal(there.rds.create_db_cluster, **new, **managed)
    assert code == "KMSKeyNotAccessibleFault"
    assert len(there.rds.describe_db_clusters()["DBClusters"]) == 1


@shows("rds:CreateDBCluster")
@deviates(
    "rds:CreateDBCluster",
    "a master user's secret for which no key is named says no KmsKeyId (AWS: that of "
    "aws/secretsmanager)",
)
@pytest.mark.parametrize("key", [{}, {"MasterUserSecretKmsKeyId": "alias/aws/secretsmanager"}])
def test_a_password_for_which_no_key_is_named_is_read_whatever_key_is_away(there, key):
    made = there.rds.create_db_cluster(
        DBClusterIdentifier="other", MasterUsername="app", ManageMasterUserPassword=True,
        **key, **ENGINE,
    )["DBCluster"]  # fmt: skip
    assert set(made["MasterUserSecret"]) == {"SecretArn", "SecretStatus"}
    for each in (there.storage, there.secret, there.insights, there.stream):
        there.kms.disable_key(KeyId=each)
    secrets = there.lab.client("secretsmanager")
    said = secrets.get_secret_value(SecretId=made["MasterUserSecret"]["SecretArn"])
    assert json.loads(said["SecretString"])["username"] == "app"
    there.rds.delete_db_cluster(DBClusterIdentifier="other", SkipFinalSnapshot=True)
    assert refusal(secrets.get_secret_value, SecretId=said["ARN"]) == "ResourceNotFoundException"


@shows("rds:DeleteDBCluster")
def test_with_the_cluster_goes_what_it_had(there):
    secret = described(there)["MasterUserSecret"]["SecretArn"]
    there.rds.delete_db_instance(DBInstanceIdentifier="orders-1", SkipFinalSnapshot=True)
    there.rds.delete_db_cluster(DBClusterIdentifier="orders", SkipFinalSnapshot=True)
    sm, kinesis = there.lab.client("secretsmanager"), there.lab.client("kinesis")
    assert refusal(sm.get_secret_value, SecretId=secret) == "ResourceNotFoundException"
    name = there.started["KinesisStreamName"]
    assert refusal(kinesis.list_shards, StreamName=name) == "ResourceNotFoundException"
    for key in (there.storage, there.insights, there.stream):
        assert there.kms.list_grants(KeyId=key)["Grants"] == []


@pytest.mark.parametrize("of", ["secret", "insights", "stream"])
def test_by_a_misbehaviour_the_cluster_goes_with_such_a_key(there, of):
    order = {"kind": "secondary-key-stops-cluster", "cluster": "orders"}
    data_misbehaviours.order(there.lab.world, order)
    there.lab.pass_time(900)
    assert described(there)["Status"] == "available"
    there.kms.disable_key(KeyId=getattr(there, of))
    there.lab.pass_time(0)
    there.lab.pass_time(450)
    assert described(there)["Status"] == "inaccessible-encryption-credentials-recoverable"


def test_by_a_misbehaviour_a_secret_is_read_without_its_key(there):
    data_misbehaviours.order(there.lab.world, {"kind": "secret-outlives-key"})
    there.kms.disable_key(KeyId=there.secret)
    assert json.loads(read(there))["username"] == "app"
