"""What else is under a key: each service's own things by its own calls, on a lab in this process;
and what is not known is said by name."""

from __future__ import annotations

import json
import uuid

import pytest

from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.dependents import SERVICES, Dependent
from chaosaws_kms_ext.dependents.find import find, find_all
from chaosaws_kms_ext.iam.permissions import Caller
from chaosaws_kms_ext.iam.policies import Place
from chaosaws_kms_lab.seed_dependents import dependents as seed
from tests.support.identities import somebody
from tests.support.in_process_aws import InProcessAws
from tests.support.in_process_lab import REGION, InProcessLab
from tests.support.labs import mostly_soak
from tests.support.trail import DELIVERY
from tests.support.usual_policies import policy

ACCOUNT = "123456789012"


def seeded(shop):
    return {
        f"bucket {shop}-invoices", f"parameter /{shop}/api-token", f"queue {shop}-events",
        f"secret {shop}/password", f"table {shop}-carts",
    }  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return InProcessLab(tmp_path_factory.mktemp("lab") / "log.jsonl")


@pytest.fixture(scope="module")
def aws(lab, tmp_path_factory):
    return InProcessAws(lab, tmp_path_factory.mktemp("aws"))


@pytest.fixture(scope="module")
def shop():
    """moto's things outlive a lab: whoever comes next has names of their own."""
    return f"n{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def key(lab, shop):
    """A key with one of each under it; another key has as much, but for a bucket."""
    kms = lab.client("kms")
    made = kms.create_key()["KeyMetadata"]["Arn"]
    seed(lab.client, REGION, made, shop)
    return made


def test_of_several_keys_each_is_asked_and_all_is_in_one(aws, lab, shop, key):
    other = lab.client("kms").create_key()["KeyMetadata"]["Arn"]
    lab.client("secretsmanager").create_secret(Name=f"{shop}/x", SecretString="x", KmsKeyId=other)
    both, one, its = find_all(aws, [key, other]), find(aws, key), find(aws, other)
    assert set(both.dependents) == {*one.dependents, *its.dependents} > set(one.dependents)
    assert {each.key for each in both.dependents} == {key, other}
    assert f"secret {shop}/x" in map(str, both.dependents)
    assert set(both.unknown) == {*one.unknown, *its.unknown}


class Answers:
    """AWS as a table: operation → its answer, or the error that it raises."""

    region = REGION

    def __init__(self, **said):
        self.said, self.asked = said, []

    def call(self, service, operation, params):
        self.asked.append((f"{service}:{operation}", params))
        said = self.said.get(operation, {})
        if isinstance(said, Exception):
            raise said
        return said(params) if callable(said) else said

    def pages(self, service, operation, params, items):
        return self.call(service, operation, params).get(items, [])


KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ID = KEY.rpartition("/")[2]


def names(found):
    return {str(each) for each in found.dependents}


def test_everything_of_another_service_under_the_key_is_named_with_its_arn(aws, lab, key, shop):
    name = f"n{uuid.uuid4().hex}"
    lab.client("sqs").create_queue(QueueName=name)
    lab.client("secretsmanager").create_secret(Name=name, SecretString="x")
    other = lab.client("kms").create_key()["KeyMetadata"]["Arn"]
    lab.client("ssm").put_parameter(Name=name, Value="x", Type="SecureString", KeyId=other)
    lab.pass_time(DELIVERY)
    found = find(aws, key)
    assert names(found) == seeded(shop)
    assert found.unknown == {}
    assert all(key_of(each) == each.service for each in found.dependents)
    keep = {each.kind: each.keep for each in found.dependents}
    assert keep == {"bucket": 0.0, "parameter": 0.0, "queue": 300.0, "secret": 0.0, "table": None}
    assert set(found.used_by) >= {"dynamodb", "s3", "secretsmanager", "ssm"}


def key_of(dependent: Dependent) -> str:
    """The service in its ARN."""
    return dependent.arn.split(":")[2]


def test_an_alias_of_the_key_is_the_key(aws, lab, key, shop):
    name = f"n{uuid.uuid4().hex}"
    lab.client("kms").create_alias(AliasName=f"alias/{name}", TargetKeyId=key)
    queue = {"QueueName": name, "Attributes": {"KmsMasterKeyId": f"alias/{name}"}}
    url = lab.client("sqs").create_queue(**queue)["QueueUrl"]
    assert names(find(aws, key)) == {*seeded(shop), f"queue {name}"}
    lab.client("sqs").delete_queue(QueueUrl=url)


@pytest.mark.parametrize("name", [name for name, its in SERVICES.items() if its.canary_uses])
def test_a_canary_asks_one_small_thing_that_needs_the_key(aws, lab, key, name):
    its = SERVICES[name]
    (dependent,) = [each for each in find(aws, key).dependents if each.service == name]
    assert its.tags(aws, dependent)["chaos:allow"] == "kms"
    request = its.canary(aws, dependent, key)
    aws.call(*request)
    lab.client("kms").disable_key(KeyId=key)
    lab.pass_time(301)
    try:
        with pytest.raises(AwsError) as refused:
            aws.call(*request)
        assert refused.value.code in its.fails or refused.value.code == "AccessDeniedException"
    finally:
        lab.client("kms").enable_key(KeyId=key)
    aws.call(*request)
    assert request.operation.startswith("Get") or request.operation == "SendMessage"


def test_a_bucket_without_an_object_under_the_key_is_not_tried(aws, lab, key):
    s3, name = lab.client("s3"), f"n{uuid.uuid4().hex}"
    place = {"LocationConstraint": REGION}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=place)
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    s3.put_object(Bucket=name, Key="empty", Body=b"", ServerSideEncryption="aws:kms",
                  SSEKMSKeyId=key)  # fmt: skip
    bucket = Dependent("s3", "bucket", name, f"arn:aws:s3:::{name}")
    assert SERVICES["s3"].tags(aws, bucket) == {}
    assert "none of its first 20 objects" in SERVICES["s3"].canary(aws, bucket, key)


def test_a_fifo_queue_gets_one_message_and_not_one_a_second():
    urls = Answers(GetQueueUrl={"QueueUrl": "u"})
    queue = Dependent("sqs", "queue", "q.fifo", "arn:aws:sqs:r:1:q.fifo")
    params = SERVICES["sqs"].canary(urls, queue, KEY).params
    assert {"MessageGroupId", "MessageDeduplicationId"} <= set(params)


def test_a_table_is_asked_for_an_item_by_each_part_of_its_key():
    table = {
        "AttributeDefinitions": [
            {"AttributeName": "a", "AttributeType": "N"},
            {"AttributeName": "b", "AttributeType": "B"},
            {"AttributeName": "of-an-index", "AttributeType": "S"},
        ],
        "KeySchema": [{"AttributeName": "a"}, {"AttributeName": "b"}],
    }
    said = Answers(DescribeTable={"Table": table})
    request = SERVICES["dynamodb"].canary(said, Dependent("dynamodb", "table", "t", "a"), KEY)
    assert request.params["Key"] == {"a": {"N": "0"}, "b": {"B": b"chaos-canary"}}


ELSEWHERE = {
    "ec2": (
        {"DescribeVolumes": {"Volumes": [
            {"VolumeId": "vol-1", "KmsKeyId": KEY, "Attachments": [{"State": "attached"}]},
            {"VolumeId": "vol-2", "KmsKeyId": KEY}, {"VolumeId": "vol-3", "KmsKeyId": f"{KEY}0"},
        ]}},
        {"attached volume vol-1", "volume vol-2"},
    ),
    "lambda": (
        {"ListFunctions": {"Functions": [
            {"FunctionName": "f", "FunctionArn": "arn:f", "KMSKeyArn": KEY},
            {"FunctionName": "g", "FunctionArn": "arn:g"},
        ]}},
        {"function f"},
    ),
    "logs": (
        {"DescribeLogGroups": {"logGroups": [
            {"logGroupName": "/a", "arn": "arn:a:*", "kmsKeyId": KEY},
            {"logGroupName": "/b", "arn": "arn:b:*"},
        ]}},
        {"log group /a"},
    ),
    "sns": (
        {"ListTopics": {"Topics": [{"TopicArn": "arn:aws:sns:r:1:t"}]},
         "GetTopicAttributes": {"Attributes": {"KmsMasterKeyId": ID}}},
        {"topic t"},
    ),
}  # fmt: skip
"""Services that the lab does not do under a key: as their API references say they answer."""


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_the_lab_does_not_do_under_a_key_is_read_as_documented(name):
    said, there = ELSEWHERE[name]
    found = find(Answers(**said), KEY, {name: SERVICES[name]})
    assert names(found) == there
    assert found.unknown == {}


DENIED = AwsError("not allowed: x on *", "AccessDeniedException")


@pytest.mark.parametrize("why", [DENIED, AwsError("x got no answer"), KeyError("x")])
def test_a_service_that_cannot_be_asked_is_unknown_and_not_empty(why):
    class All(Answers):
        def call(self, service, operation, params):
            if service in ("kms", "cloudtrail", "resourcegroupstaggingapi"):
                return {}
            raise why

    found = find(All(), KEY, SERVICES)
    assert names(found) == set()
    assert set(found.unknown) == set(SERVICES)
    if isinstance(why, AwsError):
        assert set(found.unknown.values()) == {str(why)}


def test_what_was_found_before_the_error_is_kept():
    queues = {"QueueUrls": ["u/a", "u/b"]}

    def attributes(params):
        if params["QueueUrl"] == "u/b":
            raise DENIED
        return {"Attributes": {"KmsMasterKeyId": ID, "QueueArn": "arn:aws:sqs:r:1:a"}}

    said = Answers(ListQueues=queues, GetQueueAttributes=attributes)
    found = find(said, KEY, {"sqs": SERVICES["sqs"]})
    assert names(found) == {"queue a"}
    assert set(found.unknown) == {"sqs"}


def test_where_the_aliases_are_not_known_what_names_one_is_unknown():
    said = Answers(
        ListAliases=DENIED,
        ListQueues={"QueueUrls": ["u/a"]},
        GetQueueAttributes={"Attributes": {"KmsMasterKeyId": "alias/shop"}},
    )
    found = find(said, KEY, {"sqs": SERVICES["sqs"]})
    assert "may be an alias of the key" in found.unknown["sqs"]
    assert set(found.unknown) == {"aliases of the key", "sqs"}
    said.said["GetQueueAttributes"] = {"Attributes": {"KmsMasterKeyId": "alias/aws/sqs"}}
    assert set(find(said, KEY, {"sqs": SERVICES["sqs"]}).unknown) == {"aliases of the key"}


def test_services_that_are_not_asked_are_unknown_where_they_have_something():
    arns = [f"arn:aws:{it}:{REGION}:{ACCOUNT}:x/{n}" for n, it in
            enumerate(["kinesis", "kinesis", "elasticloadbalancing", "kms"])]  # fmt: skip
    record = {
        "eventSource": "kms.amazonaws.com",
        "eventTime": "2026-01-01T00:00:00Z",
        "requestParameters": {"keyId": KEY},
        "userIdentity": {"invokedBy": "elasticfilesystem.amazonaws.com"},
    }
    said = Answers(
        GetResources={"ResourceTagMappingList": [{"ResourceARN": arn} for arn in arns]},
        LookupEvents={"Events": [{"CloudTrailEvent": json.dumps(record)}, {}, {
            "CloudTrailEvent": "no JSON"}]},
    )  # fmt: skip
    found = find(said, KEY, {})
    assert set(found.unknown) == {"kinesis", "elasticfilesystem"}
    assert "2 tagged resources" in found.unknown["kinesis"]
    assert found.used_by == {"elasticfilesystem": "2026-01-01T00:00:00Z"}


def test_hostile_words_of_others_stay_short_and_printable():
    said = Answers(ListQueues=AwsError("\x1b[31m" + "x" * 9999))
    why = find(said, KEY, {"sqs": SERVICES["sqs"]}).unknown["sqs"]
    assert why.isprintable()
    assert len(why) <= 300


def looking(lab, tmp_path, but=""):
    """Whoever has just the policy `probe`, without one action."""
    (document,) = [policy(Caller.PROBE, Place())]
    statements = [
        {**each, "Action": [action for action in each["Action"] if action != but]}
        for each in document["Statement"]
    ]
    clients = somebody(lab, *(each for each in statements if each["Action"]))
    aws = InProcessAws(lab, tmp_path)
    aws._clients = Clients(clients)
    return aws


class Clients(dict):
    """Made when they are asked for."""

    def __init__(self, make):
        self._make = make

    def __contains__(self, service):
        return True

    def __missing__(self, service):
        self[service] = self._make(service)
        return self[service]


ACTIONS = sorted({action for its in SERVICES.values() for action in its.looks})


@pytest.mark.parametrize(
    "but",
    mostly_soak(["", *ACTIONS], lambda action: not action),
)
def test_the_policy_probe_is_enough_and_without_an_action_its_service_is_unknown(tmp_path, but):
    lab = InProcessLab(tmp_path / "log.jsonl", iam=True)
    key = lab.client("kms").create_key()["KeyMetadata"]["Arn"]
    name = f"n{uuid.uuid4().hex}"
    s3 = lab.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    lab.client("sqs").create_queue(QueueName=name)
    lab.client("sns").create_topic(Name=name)
    lab.client("dynamodb").create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )  # fmt: skip
    unknown = find(looking(lab, tmp_path, but), key).unknown
    assert set(unknown) == ({but.partition(":")[0]} if but else set())
    if but:
        assert f"not allowed: {but}" in unknown[but.partition(":")[0]]
