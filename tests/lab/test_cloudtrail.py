"""CloudTrail: who called what, Aurora's own use of its key included, once it is delivered."""

from __future__ import annotations

import json
import time
import uuid
from datetime import timedelta

import pytest

from chaosaws_kms_lab import wire
from chaosaws_kms_lab.calls import Call, administrator
from chaosaws_kms_lab.cloudtrail import Trail
from tests.support.clusters import refusal
from tests.support.document import deviates, shows
from tests.support.identities import session
from tests.support.in_process_lab import REGION
from tests.support.trail import DELIVERY, RETRY, look


@pytest.fixture
def kms(own_lab):
    return own_lab.client("kms")


@pytest.fixture
def key(kms):
    return kms.create_key()["KeyMetadata"]["Arn"]


def with_cluster(own_lab, key):
    rds = own_lab.client("rds")
    made = rds.create_db_cluster(
        DBClusterIdentifier="c",
        Engine="aurora-postgresql",
        StorageEncrypted=True,
        KmsKeyId=key,
        MasterUsername="app",
        MasterUserPassword="not-for-the-trail",
    )["DBCluster"]
    own_lab.pass_time(60)
    return made


@shows("cloudtrail:LookupEvents")
def test_an_event_can_be_looked_up_once_it_is_delivered(own_lab, kms, key):
    kms.disable_key(KeyId=key)
    own_lab.pass_time(DELIVERY - 1)
    assert look(own_lab, EventName="DisableKey") == []
    own_lab.pass_time(1)
    (event,) = look(own_lab, EventName="DisableKey")
    assert event["eventSource"] == "kms.amazonaws.com"
    assert event["readOnly"] is False
    assert event["requestParameters"] == {"keyId": key}
    assert event["responseElements"] is None
    assert event["resources"] == [
        {"accountId": "123456789012", "type": "AWS::KMS::Key", "ARN": key}
    ]
    assert event["userIdentity"]["arn"] == "arn:aws:iam::123456789012:user/lab"
    assert "errorCode" not in event


@pytest.mark.parametrize("named", ["id", "alias"])
def test_a_key_is_in_the_record_whatever_it_was_named_by(own_lab, kms, key, named):
    kms.create_alias(AliasName="alias/a", TargetKeyId=key)
    reference = "alias/a" if named == "alias" else key.rsplit("/", 1)[-1]
    kms.describe_key(KeyId=reference)
    own_lab.pass_time(DELIVERY)
    (event,) = look(own_lab, EventName="DescribeKey")
    assert [r["ARN"] for r in event["resources"]] == [key]


def test_what_aurora_does_with_the_key_of_a_new_cluster_is_there(own_lab, key):
    cluster = with_cluster(own_lab, key)
    own_lab.pass_time(DELIVERY)
    context = {"aws:rds:dbc-id": cluster["DbClusterResourceId"]}
    (grant,) = look(own_lab, EventName="CreateGrant")
    assert grant["userIdentity"]["userName"] == "lab"
    assert grant["userIdentity"]["invokedBy"] == "rds.amazonaws.com"
    constraints = grant["requestParameters"]["constraints"]
    assert constraints["encryptionContextSubset"] == context
    (made,) = look(own_lab, EventName="GenerateDataKeyWithoutPlaintext")
    assert made["userIdentity"] == {"type": "AWSService", "invokedBy": "rds.amazonaws.com"}
    assert made["requestParameters"]["encryptionContext"] == context
    assert made["sourceIPAddress"] == "rds.amazonaws.com"


def test_auroras_failing_decrypts_are_there_as_long_as_the_key_is_away(own_lab, kms, key):
    with_cluster(own_lab, key)
    kms.disable_key(KeyId=key)
    for _ in range(10):
        own_lab.pass_time(RETRY)
    own_lab.pass_time(DELIVERY)
    failed = [e for e in look(own_lab, EventName="Decrypt") if "errorCode" in e]
    assert {event["errorCode"] for event in failed} == {"DisabledException"}
    assert {event["errorMessage"] for event in failed} == {f"{key} is disabled."}
    assert 9 <= len(failed) <= 12
    kms.enable_key(KeyId=key)
    own_lab.pass_time(0)
    own_lab.pass_time(DELIVERY)
    assert "errorCode" not in look(own_lab, EventName="Decrypt")[-1]


@pytest.mark.parametrize(
    ("attribute", "value", "found"),
    [
        ("EventSource", "kms.amazonaws.com", {"CreateKey", "Encrypt"}),
        ("EventSource", "rds.amazonaws.com", {"DescribeDBClusters"}),
        ("ReadOnly", "false", {"CreateKey"}),
        ("Username", "lab", {"CreateKey", "Encrypt", "DescribeDBClusters"}),
        ("Username", "nobody", set()),
        ("AccessKeyId", "other", {"DescribeDBClusters"}),
        ("ResourceType", "AWS::KMS::Key", {"CreateKey", "Encrypt"}),
    ],
)
def test_events_are_found_by_each_documented_attribute(own_lab, kms, key, attribute, value, found):
    kms.encrypt(KeyId=key, Plaintext=b"x")
    own_lab.client("rds", access_key="other").describe_db_clusters()
    own_lab.pass_time(DELIVERY)
    assert {event["eventName"] for event in look(own_lab, **{attribute: value})} == found


def test_a_refused_call_is_there_with_its_error(own_lab, kms, key):
    kms.disable_key(KeyId=key)
    assert refusal(kms.encrypt, KeyId=key, Plaintext=b"x") == "DisabledException"
    own_lab.pass_time(DELIVERY)
    (event,) = look(own_lab, EventName="Encrypt")
    assert (event["errorCode"], event["errorMessage"]) == (
        "DisabledException",
        f"{key} is disabled.",
    )


def test_neither_secrets_nor_bytes_stand_in_a_record(own_lab, kms, key):
    with_cluster(own_lab, key)
    kms.encrypt(KeyId=key, Plaintext=b"not-for-the-trail", EncryptionContext={"in": "the clear"})
    own_lab.pass_time(DELIVERY)
    everything = json.dumps(look(own_lab))
    assert "not-for-the-trail" not in everything
    assert '"in": "the clear"' in everything


HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"


def test_what_a_model_calls_sensitive_is_hidden_and_no_more(own_lab):
    name = f"n{uuid.uuid4().hex}"
    own_lab.client("ssm").put_parameter(
        Name=name,
        Value="not-for-the-trail",
        Type="SecureString",
        Tags=[{"Key": "k", "Value": "seen"}],
    )
    iam = own_lab.client("iam", region=REGION)
    iam.create_user(UserName=name)
    iam.create_login_profile(UserName=name, Password="not-for-the-trail1")
    iam.update_login_profile(UserName=name, Password="not-for-the-trail2")
    secrets = own_lab.client("secretsmanager")
    secrets.create_secret(Name=name, SecretString="not-for-the-trail")
    secrets.put_secret_value(SecretId=name, SecretString="not-for-the-trail")
    own_lab.pass_time(DELIVERY)
    assert "not-for-the-trail" not in json.dumps(look(own_lab))
    (put,) = look(own_lab, EventName="PutParameter")
    assert put["requestParameters"] == {
        "name": name,
        "value": HIDDEN,
        "type": "SecureString",
        "tags": [{"key": "k", "value": "seen"}],
    }
    (profile,) = look(own_lab, EventName="UpdateLoginProfile")
    assert profile["requestParameters"] == {"userName": name, "password": HIDDEN}


@deviates("cloudtrail:LookupEvents", "of moto's services, all but S3")
def test_the_calls_of_other_services_are_there_too(own_lab):
    own_lab.client("iam").create_user(UserName="alice")
    own_lab.client("sts").get_caller_identity()
    own_lab.pass_time(DELIVERY)
    assert {event["eventName"] for event in look(own_lab)} >= {"CreateUser", "GetCallerIdentity"}


def test_what_is_done_to_data_is_not_there(own_lab):
    name, table = f"n{uuid.uuid4().hex}", own_lab.client("dynamodb")
    table.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    item = {"id": {"S": "1"}}
    table.put_item(TableName=name, Item=item)
    table.get_item(TableName=name, Key=item)
    table.scan(TableName=name)
    table.transact_write_items(TransactItems=[{"Put": {"TableName": name, "Item": item}}])
    table.execute_statement(Statement=f'SELECT * FROM "{name}"')
    stream = own_lab.client("kinesis")
    stream.create_stream(StreamName=name, ShardCount=1)
    stream.put_record(StreamName=name, Data=b"x", PartitionKey="k")
    logs = own_lab.client("logs")
    logs.create_log_group(logGroupName=name)
    logs.filter_log_events(logGroupName=name)
    own_lab.pass_time(DELIVERY)
    made = ["CreateTable", "CreateStream", "CreateLogGroup"]
    assert [event["eventName"] for event in look(own_lab)] == made


@deviates("cloudtrail:LookupEvents", "keeps about 8,000 characters of a call's parameters")
def test_what_is_long_is_cut(own_lab):
    name = f"n{uuid.uuid4().hex}"
    body = json.dumps({"Description": "x" * 9000, "Resources": {"T": {"Type": "AWS::SNS::Topic"}}})
    own_lab.client("cloudformation").create_stack(StackName=name, TemplateBody=body)
    own_lab.pass_time(DELIVERY)
    (event,) = look(own_lab, EventName="CreateStack")
    kept = event["requestParameters"]
    assert kept["stackName"] == name
    assert kept["templateBody"].removesuffix("...") == body[: len(kept["templateBody"]) - 3]
    assert len(json.dumps(kept)) < 9000


def test_a_record_is_small_however_many_or_deep_the_parameters_are(own_lab):
    trail = Trail(own_lab.world, wire.shapes)
    deep = []
    for _ in range(2000):
        deep = [deep]
    for params in ({"l": [{"k": "v"}] * 100_000}, {f"n{n}": [] for n in range(9000)}, {"d": deep}):
        call = Call("x", "CreateX", params, REGION, administrator())
        trail.record(call, {"E": params}, None)
    own_lab.pass_time(DELIVERY)
    sizes = [len(json.dumps(event.record())) for event in trail.delivered(REGION)]
    assert len(sizes) == 3
    assert max(sizes) < 40_000


def test_a_key_policy_is_in_a_record_as_it_was_given(own_lab, kms, key):
    policy = kms.get_key_policy(KeyId=key)["Policy"] + " " * 4000
    kms.put_key_policy(KeyId=key, Policy=policy)
    own_lab.pass_time(DELIVERY)
    (event,) = look(own_lab, EventName="PutKeyPolicy")
    assert event["requestParameters"]["policy"] == policy


def test_to_assume_a_role_changes_nothing(own_lab):
    session(own_lab)
    own_lab.pass_time(DELIVERY)
    (event,) = look(own_lab, EventName="AssumeRole")
    assert event["readOnly"] is True


@shows("cloudtrail:LookupEvents")
def test_lookups_come_in_pages_within_a_time_and_say_what_is_wrong(own_lab, kms, key):
    for _ in range(60):
        kms.list_keys()
        own_lab.pass_time(1)
    own_lab.pass_time(DELIVERY)
    assert len(look(own_lab, EventName="ListKeys")) == 60
    trail = own_lab.client("cloudtrail")
    name = [{"AttributeKey": "EventName", "AttributeValue": "ListKeys"}]
    now = own_lab.clock.utc() - timedelta(seconds=DELIVERY)
    recent = trail.lookup_events(LookupAttributes=name, StartTime=now - timedelta(seconds=10))
    assert 9 <= len(recent["Events"]) <= 11
    assert len(trail.lookup_events(LookupAttributes=name, MaxResults=3)["Events"]) == 3
    for params, code in [
        ({"LookupAttributes": name * 2}, "InvalidLookupAttributesException"),
        ({"MaxResults": 50, "NextToken": "nonsense"}, "InvalidNextTokenException"),
        ({"StartTime": now, "EndTime": now - timedelta(1)}, "InvalidTimeRangeException"),
    ]:
        assert refusal(trail.lookup_events, **params) == code


def test_a_trail_is_one_of_its_region(own_lab, kms, key):
    own_lab.pass_time(DELIVERY)
    far = own_lab.client("cloudtrail", region="us-east-1")
    assert far.lookup_events()["Events"] == []
    assert look(own_lab, EventName="CreateKey")


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_a_time_is_that_time_wherever_the_lab_runs(own_lab, kms, key, monkeypatch, zone):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        own_lab.pass_time(DELIVERY)
        trail, now = own_lab.client("cloudtrail"), own_lab.clock.utc()
        assert trail.lookup_events(StartTime=now - timedelta(seconds=DELIVERY + 1))["Events"]
        assert trail.lookup_events(StartTime=now)["Events"] == []
    finally:
        monkeypatch.undo()
        time.tzset()
