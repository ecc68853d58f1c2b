"""IAM on request: callers that it knows may what their policies allow, in every service."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.clusters import refusal
from tests.support.forked_labs import new_lab
from tests.support.identities import allow, document, session, somebody
from tests.support.in_process_lab import InProcessLab
from tests.support.labs import client

ACCOUNT = "123456789012"
C = f"arn:aws:rds:eu-west-1:{ACCOUNT}:cluster:c"
ENGINE = {"Engine": "aurora-postgresql"}


@pytest.fixture
def own_lab(tmp_path):
    return InProcessLab(tmp_path / "requests.jsonl", iam=True)


@pytest.fixture
def clusters(own_lab):
    rds = own_lab.client("rds")
    rds.create_db_cluster(
        DBClusterIdentifier="c", Tags=[{"Key": "chaos:allow", "Value": "kms"}], **ENGINE
    )
    rds.create_db_cluster(DBClusterIdentifier="d", **ENGINE)
    own_lab.pass_time(60)


def test_without_a_permission_nothing_goes_and_the_refusal_names_it(own_lab, clusters):
    rds = somebody(own_lab, allow("rds:DescribeDBInstances"))("rds")
    with pytest.raises(rds.exceptions.ClientError) as refused:
        rds.stop_db_cluster(DBClusterIdentifier="c")
    error = refused.value.response
    assert error["Error"]["Code"] == "AccessDenied"
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert f"rds:StopDBCluster on resource: {C}" in error["Error"]["Message"]
    assert own_lab.client("rds").describe_db_clusters()["DBClusters"][0]["Status"] == "available"


def test_a_permission_for_one_cluster_is_none_for_another(own_lab, clusters):
    rds = somebody(own_lab, allow("rds:*", resource=C))("rds")
    rds.describe_db_clusters(DBClusterIdentifier="c")
    rds.describe_db_clusters(DBClusterIdentifier=C)
    assert refusal(rds.describe_db_clusters, DBClusterIdentifier="d") == "AccessDenied"
    assert refusal(rds.describe_db_clusters) == "AccessDenied"
    every = somebody(own_lab, allow("rds:Describe*", resource=C.replace(":c", ":*")))("rds")
    assert len(every.describe_db_clusters()["DBClusters"]) == 2


def test_a_tag_opens_what_has_it(own_lab, clusters):
    tagged = {"StringEquals": {"aws:ResourceTag/chaos:allow": "kms"}}
    rds = somebody(own_lab, allow("rds:StopDBCluster", Condition=tagged))("rds")
    rds.stop_db_cluster(DBClusterIdentifier="c")
    assert refusal(rds.stop_db_cluster, DBClusterIdentifier="d") == "AccessDenied"


def test_a_snapshot_takes_the_permission_for_both_ends(own_lab, clusters):
    request = {"DBClusterIdentifier": "c", "DBClusterSnapshotIdentifier": "s"}
    create = allow("rds:CreateDBClusterSnapshot", resource=C)
    half = somebody(own_lab, create)("rds")
    assert refusal(half.create_db_cluster_snapshot, **request) == "AccessDenied"
    snapshot = C.replace("cluster:c", "cluster-snapshot:*")
    whole = somebody(own_lab, allow("rds:CreateDBClusterSnapshot", resource=[C, snapshot]))("rds")
    whole.create_db_cluster_snapshot(**request)


SCHEDULE = {
    "GroupName": "default",
    "Name": "s",
    "ScheduleExpression": "rate(5 minutes)",
    "FlexibleTimeWindow": {"Mode": "OFF"},
    "Target": {
        "Arn": "arn:aws:scheduler:::aws-sdk:kms:enableKey",
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/r",
        "Input": "{}",
    },
}
S = f"arn:aws:scheduler:eu-west-1:{ACCOUNT}:schedule/default/s"


def test_a_permission_for_one_schedule_is_none_for_another(own_lab):
    own_lab.client("scheduler").create_schedule(**SCHEDULE)
    own_lab.client("scheduler").create_schedule(**{**SCHEDULE, "Name": "t"})
    scheduler = somebody(own_lab, allow("scheduler:*", resource=S))("scheduler")
    scheduler.get_schedule(Name="s", GroupName="default")
    assert refusal(scheduler.get_schedule, Name="t") == "AccessDeniedException"
    assert refusal(scheduler.create_schedule_group, Name="g") == "AccessDeniedException"
    group = S.replace("schedule/default/s", "schedule-group/g")
    more = somebody(own_lab, allow("scheduler:CreateScheduleGroup", resource=group))("scheduler")
    more.create_schedule_group(Name="g")


def test_a_schedule_takes_the_permission_to_pass_its_role(own_lab):
    create = allow("scheduler:CreateSchedule", resource=S)
    without = somebody(own_lab, create)("scheduler")
    with pytest.raises(without.exceptions.ClientError) as refused:
        without.create_schedule(**SCHEDULE)
    role = SCHEDULE["Target"]["RoleArn"]
    said = refused.value.response["Error"]
    assert said["Code"] == "AccessDeniedException"
    assert f"iam:PassRole on resource: {role}" in said["Message"]
    passing = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    elsewhere = somebody(own_lab, create, allow("iam:PassRole", Condition=passing))("scheduler")
    assert refusal(elsewhere.create_schedule, **SCHEDULE) == "AccessDeniedException"
    passing["StringEquals"]["iam:PassedToService"] = "scheduler.amazonaws.com"
    somebody(own_lab, create, allow("iam:PassRole", resource=role, Condition=passing))(
        "scheduler"
    ).create_schedule(**SCHEDULE)


@pytest.mark.parametrize(
    ("service", "call", "params", "action"),
    [
        ("sns", "create_topic", {"Name": "t"}, "sns:CreateTopic"),
        ("sqs", "create_queue", {"QueueName": "q"}, "sqs:CreateQueue"),
        ("cloudwatch", "describe_alarms", {}, "cloudwatch:DescribeAlarms"),
        ("scheduler", "list_schedules", {}, "scheduler:ListSchedules"),
        ("cloudtrail", "lookup_events", {}, "cloudtrail:LookupEvents"),
        ("iam", "list_users", {}, "iam:ListUsers"),
        ("resourcegroupstaggingapi", "get_resources", {}, "tag:GetResources"),
    ],
)
def test_other_services_are_held_to_the_same(own_lab, service, call, params, action):
    none = somebody(own_lab, allow("kms:*"))(service)
    assert refusal(getattr(none, call), **params) in ("AccessDenied", "AccessDeniedException")
    getattr(somebody(own_lab, allow(action, resource="arn:aws:x:::y"))(service), call)(**params)
    deny = {"Effect": "Deny", "Action": action, "Resource": "*"}
    denied = somebody(own_lab, allow("*"), deny)(service)
    assert refusal(getattr(denied, call), **params) in ("AccessDenied", "AccessDeniedException")


TO_PUT = {"Put": {"TableName": "t", "Item": {"id": {"S": "1"}}}}
TO_CHECK = {
    "ConditionCheck": {
        "TableName": "t",
        "Key": {"id": {"S": "1"}},
        "ConditionExpression": "attribute_exists(id)",
    }
}


@pytest.mark.parametrize(
    ("service", "call", "params", "actions"),
    [
        ("s3", "list_buckets", {}, ["s3:ListAllMyBuckets"]),
        ("s3", "list_objects_v2", {"Bucket": "b-1"}, ["s3:ListBucket"]),
        ("s3", "head_bucket", {"Bucket": "b-1"}, ["s3:ListBucket"]),
        ("s3", "head_object", {"Bucket": "b-1", "Key": "k"}, ["s3:GetObject"]),
        (
            "s3",
            "copy_object",
            {"Bucket": "b-1", "Key": "k", "CopySource": "b-1/l"},
            ["s3:GetObject", "s3:PutObject"],
        ),
        ("s3", "create_multipart_upload", {"Bucket": "b-1", "Key": "k"}, ["s3:PutObject"]),
        ("s3", "get_bucket_encryption", {"Bucket": "b-1"}, ["s3:GetEncryptionConfiguration"]),
        ("lambda", "invoke", {"FunctionName": "f"}, ["lambda:InvokeFunction"]),
        (
            "sqs",
            "send_message_batch",
            {"QueueUrl": "http://x/q", "Entries": [{"Id": "1", "MessageBody": "x"}]},
            ["sqs:SendMessage"],
        ),
        (
            "dynamodb",
            "transact_write_items",
            {"TransactItems": [TO_PUT, TO_CHECK]},
            ["dynamodb:PutItem", "dynamodb:ConditionCheckItem"],
        ),
        (
            "dynamodb",
            "execute_statement",
            {"Statement": 'select * from "t"'},
            ["dynamodb:PartiQLSelect"],
        ),
        (
            "dynamodb",
            "batch_execute_statement",
            {
                "Statements": [
                    {"Statement": 'SELECT * FROM "t"'},
                    {"Statement": "INSERT INTO \"t\" VALUE {'id':'1'}"},
                ]
            },
            ["dynamodb:PartiQLSelect", "dynamodb:PartiQLInsert"],
        ),
    ],
)
def test_an_operation_takes_the_actions_that_iam_knows_it_by(
    own_lab, service, call, params, actions
):
    def code(*allowed):
        client = somebody(own_lab, allow(*allowed))(service)
        try:
            getattr(client, call)(**params)
        except client.exceptions.ClientError as refused:
            status = refused.response["ResponseMetadata"]["HTTPStatusCode"]
            error = refused.response["Error"]["Code"]
            return "denied" if status == 403 or error.startswith("AccessDenied") else error
        return "done"

    operation = own_lab.client(service).meta.method_to_api_mapping[call]
    assert code(f"{service}:{operation}") == "denied"
    assert code(*actions) != "denied"
    for one in actions if len(actions) > 1 else ():
        assert code(one) == "denied"


def test_who_one_is_can_always_be_asked(own_lab):
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    who = somebody(own_lab, deny)("sts").get_caller_identity()["Arn"]
    assert who.startswith(f"arn:aws:iam::{ACCOUNT}:user/")


def test_who_iam_does_not_know_owns_the_lab(own_lab, clusters):
    own_lab.client("rds", access_key="somebody-else").stop_db_cluster(DBClusterIdentifier="c")


def test_without_being_asked_to_iam_is_not_enforced_but_by_kms(tmp_path):
    own_lab = InProcessLab(tmp_path / "requests.jsonl")
    clients = somebody(own_lab, allow("sns:*"))
    clients("rds").describe_db_clusters()
    assert refusal(clients("kms").list_keys) == "AccessDeniedException"


def test_the_credentials_of_a_session_expire(own_lab, clusters):
    from moto.sts.models import sts_backends

    _, kms = session(own_lab, DurationSeconds=900)
    kms.list_keys()
    over = sts_backends[ACCOUNT]["aws"].assumed_roles[-1]
    over.expiration -= timedelta(seconds=901)
    assert refusal(kms.list_keys) == "ExpiredTokenException"


def test_the_lab_enforces_iam_if_it_was_started_so():
    lab = new_lab(300, "observed", servers=False, iam=True)
    try:
        iam = client(lab, "iam", "us-east-1")
        iam.create_user(UserName="alice")
        key = iam.create_access_key(UserName="alice")["AccessKey"]["AccessKeyId"]
        alice = client(lab, "rds", access_key=key)
        assert refusal(alice.describe_db_clusters) == "AccessDenied"
        iam.put_user_policy(
            UserName="alice",
            PolicyName="p",
            PolicyDocument=document(allow("rds:Describe*")),
        )
        assert alice.describe_db_clusters()["DBClusters"]
    finally:
        lab.stop()
