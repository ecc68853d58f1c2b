"""The AWS CLI and `chaos kms lab fault` on what lies around keys and clusters."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.forked_labs import new_lab
from tests.support.identities import document
from tests.support.labs import FAST, client, mostly_soak, program, until

pytestmark = pytest.mark.thorough

ACCOUNT = "123456789012"
ALLOW = {"Effect": "Allow", "Resource": "*"}


@pytest.fixture(scope="module")
def lab():
    """A lab that enforces IAM, which the administrator does not notice."""
    running = new_lab(FAST, "observed", servers=False, iam=True)
    yield running
    running.stop()


@pytest.fixture
def key(kms):
    return kms.create_key()["KeyMetadata"]["Arn"]


def run(lab, *arguments, **environment):
    """`aws …`, tried once, with the lab's credentials or others."""
    # Without --endpoint-url version 1 goes to AWS with some services.
    command = [program("aws"), "--endpoint-url", lab.endpoint, "--output", "json", *arguments]
    around = {**os.environ, **lab.environment, "AWS_MAX_ATTEMPTS": "1", **environment}
    return subprocess.run(command, env=around, capture_output=True, text=True, timeout=120)


def aws(lab, *arguments, **environment):
    """What it prints, as JSON."""
    done = run(lab, *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout or "null")


def refused(lab, *arguments, **environment):
    """What it says of a call that has to fail."""
    done = run(lab, *arguments, **environment)
    assert done.returncode != 0, done.stdout
    return done.stderr


def role(lab, trusted, *actions):
    """The ARN of a role that somebody may assume and that may do some actions."""
    iam, name = client(lab, "iam"), f"r{uuid.uuid4().hex}"
    trust = document({"Effect": "Allow", "Principal": trusted, "Action": "sts:AssumeRole"})
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    may = document({**ALLOW, "Action": list(actions)})
    iam.put_role_policy(RoleName=name, PolicyName="may", PolicyDocument=may)
    return made


def test_cloudtrail_tells_who_disabled_the_key(lab, kms, key):
    kms.disable_key(KeyId=key)
    trail = client(lab, "cloudtrail")
    named = {"AttributeKey": "EventName", "AttributeValue": "DisableKey"}
    until(lambda: key in str(trail.lookup_events(LookupAttributes=[named])["Events"]))
    by = "AttributeKey=EventName,AttributeValue=DisableKey"
    found = aws(lab, "cloudtrail", "lookup-events", "--lookup-attributes", by)["Events"]
    # Others of this lab were disabled too, if this is a second attempt.
    (event,) = [each for each in found if key in str(each["Resources"])]
    assert event["Username"] == "lab"
    assert [each["ResourceName"] for each in event["Resources"]] == [key]


@pytest.mark.soak
def test_a_schedule_puts_the_key_back(lab, kms, key):
    kms.disable_key(KeyId=key)
    aws(lab, "scheduler", "create-schedule-group", "--name", "switches")
    moment = datetime.now(UTC) + timedelta(seconds=4)
    target = {
        "Arn": "arn:aws:scheduler:::aws-sdk:kms:enableKey",
        "RoleArn": role(lab, {"Service": "scheduler.amazonaws.com"}, "kms:EnableKey"),
        "Input": json.dumps({"KeyId": key}),
    }
    named = ["--name", "put-back", "--group-name", "switches"]
    made = aws(
        lab,
        "scheduler",
        "create-schedule",
        *named,
        "--schedule-expression",
        f"at({moment:%Y-%m-%dT%H:%M:%S})",
        "--flexible-time-window",
        "Mode=OFF",
        "--target",
        json.dumps(target),
    )
    told = aws(lab, "scheduler", "get-schedule", *named)
    assert told["Arn"] == made["ScheduleArn"]
    assert told["Target"]["Input"] == target["Input"]
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
    until(lambda: kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled", 10)


@pytest.mark.soak
def test_a_role_may_what_it_may_and_no_more(lab, key):
    iam = client(lab, "iam")
    iam.create_user(UserName="alice")
    given = iam.create_access_key(UserName="alice")["AccessKey"]
    alice = {"AWS_ACCESS_KEY_ID": given["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": "x"}
    arn = role(lab, {"AWS": f"arn:aws:iam::{ACCOUNT}:user/alice"}, "kms:DescribeKey")
    assume = ["sts", "assume-role", "--role-arn", arn, "--role-session-name", "one"]
    session = aws(lab, *assume, **alice)["Credentials"]
    as_role = {
        "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
        "AWS_SESSION_TOKEN": session["SessionToken"],
    }
    stop = ["rds", "stop-db-cluster", "--db-cluster-identifier", "orders"]
    said = refused(lab, *stop, **as_role)
    assert "AccessDenied" in said
    assert "assumed-role/" in said
    assert "rds:StopDBCluster" in said


@pytest.mark.soak
def test_keys_and_clusters_are_found_by_a_tag(lab, kms, rds, key):
    kms.tag_resource(KeyId=key, Tags=[{"TagKey": "game-day", "TagValue": "yes"}])
    cluster = rds.describe_db_clusters(DBClusterIdentifier="orders")["DBClusters"][0]
    arn = cluster["DBClusterArn"]
    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "game-day", "Value": "yes"}])
    by = "Key=game-day,Values=yes"
    found = aws(lab, "resourcegroupstaggingapi", "get-resources", "--tag-filters", by)
    assert {each["ResourceARN"] for each in found["ResourceTagMappingList"]} == {key, arn}


def test_a_secret_goes_with_its_key(lab, kms, key):
    client(lab, "secretsmanager").create_secret(Name="db", SecretString="x", KmsKeyId=key)
    kms.disable_key(KeyId=key)
    said = refused(lab, "secretsmanager", "get-secret-value", "--secret-id", "db")
    assert "(DecryptionFailure)" in said
    assert "is disabled" in said


@pytest.mark.soak
def test_a_stack_with_a_proxy_is_refused_in_plain_words(lab):
    body = json.dumps({"Resources": {"C": {"Type": "AWS::RDS::DBProxy"}}})
    create = ["cloudformation", "create-stack", "--stack-name", "s", "--template-body", body]
    said = refused(lab, *create)
    assert "The lab does not do cloudformation:CreateStack with AWS::RDS::DBProxy." in said


@pytest.mark.parametrize(
    ("kind", "said"),
    mostly_soak(
        [
            ("throttling", "(ThrottlingException)"),
            ("expired-token", "(ExpiredTokenException)"),
            ("cut", "Connection was closed"),
        ],
        lambda case: case[0] == "throttling",
    ),
)
def test_a_fault_that_was_ordered_is_what_the_cli_meets(lab, kms, key, kind, said):
    order = [
        program("chaos"),
        "--no-version-check",
        "kms",
        "lab",
        "fault",
        "--endpoint",
        lab.endpoint,
        "add",
        kind,
        "kms",
        "encrypt",
        "--count",
        "1",
    ]
    env = os.environ | lab.environment
    subprocess.run(order, check=True, capture_output=True, timeout=30, env=env)
    text = base64.b64encode(b"x").decode()
    assert said in refused(lab, "kms", "encrypt", "--key-id", key, "--plaintext", text)
    kms.encrypt(KeyId=key, Plaintext=b"x")  # it was ordered for one call
