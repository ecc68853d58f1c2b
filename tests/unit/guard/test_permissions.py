"""May the caller put it back? Asked of a lab that holds callers to their policies."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from chaosaws_kms_ext.aws import kms, names, rds
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.guard.permissions import (
    Identity,
    identity,
    may_finish,
    may_undo,
    switch_may_undo,
)
from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from tests.support.forked_labs import new_lab
from tests.support.labs import client, mostly_soak

NEEDS = FAULTS["disable-key"].needs
ACCOUNT = "123456789012"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:user/lab"
NUMBERS = itertools.count()

ASK = ["iam:SimulatePrincipalPolicy", "kms:GetKeyPolicy"]
KMS = ["kms:EnableKey", "kms:DescribeKey"]
RDS = ["rds:StartDBCluster", "rds:DescribeDBClusters"]
TAGGED = {"StringEquals": {"aws:ResourceTag/chaos:allow": "kms"}}


@pytest.fixture(scope="module")
def lab() -> Iterator[LocalLab]:
    running = new_lab(300, "observed", servers=False, iam=True)
    yield running
    running.stop()


@pytest.fixture
def admin(lab):
    return Aws(lab.region, lab.endpoint, lab=lab.credentials)


@pytest.fixture
def cluster(admin, lab):
    return rds.describe(
        admin, client(lab, "rds").describe_db_clusters()["DBClusters"][0]["DBClusterIdentifier"]
    )


@pytest.fixture
def key(admin, cluster):
    return kms.describe(admin, cluster.key)


def allow(*actions, **more):
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


def deny(*actions, **more):
    return {**allow(*actions, **more), "Effect": "Deny"}


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


ALL = (allow(*ASK), allow(*KMS, *RDS, Condition=TAGGED))


@pytest.fixture
def somebody(lab, monkeypatch):
    """Makes a role with these statements, and this process a session of it."""

    def become(*statements, path="/"):
        iam, name = client(lab, "iam", "us-east-1"), f"chaos{next(NUMBERS)}"
        trust = document(
            {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "sts:AssumeRole"}
        )
        made = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trust)["Role"]
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(*statements))
        given = client(lab, "sts").assume_role(RoleArn=made["Arn"], RoleSessionName="one")
        keys = given["Credentials"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
        monkeypatch.setenv("AWS_SESSION_TOKEN", keys["SessionToken"])
        return Aws(lab.region, lab.endpoint), made["Arn"]

    return become


def found(aws, cluster, key):
    """State and reason of every finding."""
    findings = may_undo(aws, identity(aws), [cluster], key, NEEDS)
    assert {finding.about for finding in findings} == {"permissions"}
    return [(finding.state, finding.why) for finding in findings]


def enables(aws, key):
    """What really comes of it."""
    try:
        aws.call("kms", "EnableKey", {"KeyId": key.arn})
    except AwsError as refused:
        assert refused.code == "AccessDeniedException"
        return False
    return True


def test_who_has_the_permissions_may_put_it_back(somebody, cluster, key):
    aws, role = somebody(*ALL)
    assert found(aws, cluster, key) == [("ok", f"{role} may put it back, by IAM's simulator")]
    assert enables(aws, key)


def test_the_lab_s_administrator_may_put_it_back(admin, cluster, key):
    assert [state for state, _ in found(admin, cluster, key)] == ["ok"]


def test_a_permission_that_is_missing_refuses_and_is_named(somebody, cluster, key):
    aws, role = somebody(allow(*ASK), allow("kms:DescribeKey", *RDS, Condition=TAGGED))
    ((state, why),) = found(aws, cluster, key)
    assert state == "refused"
    assert why.startswith(f"{role} may not kms:EnableKey on {key.arn} (implicitDeny")
    assert not enables(aws, key)
    aws, role = somebody(allow(*ASK), allow(*KMS, "rds:DescribeDBClusters", Condition=TAGGED))
    ((state, why),) = found(aws, cluster, key)
    assert state == "refused"
    assert f"rds:StartDBCluster on {cluster.arn}" in why


def test_an_explicit_deny_refuses(somebody, cluster, key):
    aws, _ = somebody(*ALL, deny("kms:Enable*"))
    ((state, why),) = found(aws, cluster, key)
    assert state == "refused"
    assert f"kms:EnableKey on {key.arn} (explicitDeny" in why
    assert not enables(aws, key)


def test_who_may_not_ask_is_refused(somebody, cluster, key):
    aws, role = somebody(allow("kms:GetKeyPolicy"), *ALL[1:])
    ((state, why),) = found(aws, cluster, key)
    assert state == "refused"
    assert f"not allowed: iam:SimulatePrincipalPolicy on {role}" in why


def test_a_refusal_stands_though_the_next_question_has_no_answer(somebody, cluster, key):
    aws, _ = somebody(allow(*ASK), allow(*RDS))
    nameless = replace(cluster, arn=cluster.arn + "x" * 2048)
    states = [state for state, _ in found(aws, nameless, key)]
    assert states == ["refused", "refused", "refused"]


# Conditions


@pytest.mark.parametrize(
    "statement",
    [
        deny("*", Condition={"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}),
        deny("*", Condition={"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/chaos*"}}),
        deny("*", Condition={"StringNotEquals": {"aws:PrincipalAccount": ACCOUNT}}),
    ],
    ids=["Region", "principal", "account"],
)
def test_the_simulator_is_told_what_a_call_would_say_of_itself(somebody, cluster, key, statement):
    aws, _ = somebody(*ALL, statement)
    assert [state for state, _ in found(aws, cluster, key)] == ["ok"]
    assert enables(aws, key)
    ((operator, block),) = statement["Condition"].items()
    elsewhere = {operator: dict.fromkeys(block, "elsewhere")}
    aws, _ = somebody(*ALL, deny(*KMS, *RDS, Condition=elsewhere))
    assert {state for state, _ in found(aws, cluster, key)} == {"refused"}
    assert not enables(aws, key)


def test_a_denial_that_hangs_on_what_nobody_told_proves_nothing(somebody, cluster, key):
    without_mfa = {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}
    aws, _ = somebody(*ALL, deny("kms:EnableKey", Condition=without_mfa))
    ((state, why),) = found(aws, cluster, key)
    assert state == "unproven"
    assert "aws:MultiFactorAuthPresent" in why


def test_a_condition_of_another_call_is_no_excuse(somebody, cluster, key):
    passed = {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
    pass_role = allow("iam:PassRole", Condition=passed)
    aws, _ = somebody(allow(*ASK), allow("kms:DescribeKey", *RDS), pass_role)
    ((state, why),) = found(aws, cluster, key)
    assert state == "refused"
    assert "kms:EnableKey" in why


# What else a run needs, and the switch


SWITCH = f"arn:aws:iam::{ACCOUNT}:role/switch"
SCHEDULE = [f"scheduler:{operation}Schedule" for operation in ("Create", "Get", "Delete")]
REST = [
    "kms:DisableKey",
    "rds:DescribeEvents",
    "scheduler:CreateScheduleGroup",
    *SCHEDULE,
    "iam:PassRole",
]


OFTEN = (None, "kms:DisableKey", "scheduler:CreateSchedule", "iam:PassRole")


@pytest.mark.parametrize("without", mostly_soak([None, *REST], lambda action: action in OFTEN))
def test_what_a_run_will_need_is_asked_for_before(somebody, cluster, key, without):
    passed = {"StringEqualsIfExists": {"iam:PassedToService": "scheduler.amazonaws.com"}}
    left = [action for action in REST if action != without]
    aws, role = somebody(allow(*ASK), allow(*left, Condition=passed))
    whys = [finding.why for finding in may_finish(aws, identity(aws), key, NEEDS, SWITCH)]
    group, *schedules = names.schedule_arns(key.arn, 1, 1)
    on = {
        None: [],
        "kms:DisableKey": [key.arn],
        "rds:DescribeEvents": ["*"],
        "scheduler:CreateScheduleGroup": [group],
        "iam:PassRole": [SWITCH],
    }.get(without, schedules)
    said = "(implicitDeny, by IAM's simulator): the run could not be carried through"
    assert whys == [f"{role} may not {without} on {resource} {said}" for resource in on]


def test_without_a_switch_nothing_is_asked_about_it(somebody, key):
    aws, _ = somebody(allow(*ASK, "kms:DisableKey", "rds:DescribeEvents"))
    assert may_finish(aws, identity(aws), key, NEEDS) == []


def test_alarms_have_to_be_seen_where_some_are_watched(somebody, key):
    aws, role = somebody(allow(*ASK, "kms:DisableKey", "rds:DescribeEvents"))
    (finding,) = may_finish(aws, identity(aws), key, NEEDS, alarms=True)
    assert finding.state == "refused"
    assert finding.why.startswith(f"{role} may not cloudwatch:DescribeAlarms on * (implicitDeny")
    aws, _ = somebody(
        allow(*ASK, "kms:DisableKey", "rds:DescribeEvents", "cloudwatch:DescribeAlarms")
    )
    assert may_finish(aws, identity(aws), key, NEEDS, alarms=True) == []


QUEUE = "arn:aws:sqs:eu-west-1:123456789012:rds-events"


@pytest.mark.parametrize(
    "given", [QUEUE, "https://sqs.eu-west-1.amazonaws.com/123456789012/rds-events"]
)
def test_the_queue_of_rds_events_has_to_be_read_where_one_is_named(somebody, key, given):
    needed = (*ASK, "kms:DisableKey", "rds:DescribeEvents", "sqs:GetQueueUrl")
    aws, role = somebody(allow(*needed, "sqs:ReceiveMessage"))
    (finding,) = may_finish(aws, identity(aws), key, NEEDS, queue=given)
    assert finding.why.startswith(f"{role} may not sqs:DeleteMessage on {QUEUE} (implicitDeny")
    aws, _ = somebody(allow(*needed, "sqs:ReceiveMessage", "sqs:DeleteMessage"))
    assert may_finish(aws, identity(aws), key, NEEDS, queue=given) == []


def test_a_switch_that_could_not_put_it_back_is_none(somebody, admin, cluster, key):
    _, role = somebody(allow("kms:EnableKey", "rds:StartDBCluster"))
    assert [f.state for f in switch_may_undo(admin, role, [cluster], key, NEEDS)] == ["ok"]
    _, role = somebody(allow("rds:StartDBCluster"))
    (finding,) = switch_may_undo(admin, role, [cluster], key, NEEDS)
    assert finding.state == "refused"
    assert f"{role} may not kms:EnableKey on {key.arn}" in finding.why
    (finding,) = switch_may_undo(admin, f"{role}-of-nobody", [cluster], key, NEEDS)
    assert finding.state == "refused"
    assert "cannot be found" in finding.why


# The key policy


@pytest.fixture
def made_key(admin, lab):
    """Makes a key whose policy has these statements beside the administrator's."""

    def make(*statements):
        mine = allow("kms:*", Principal={"AWS": ADMINISTRATOR})
        policy = document(mine, *statements)
        made = client(lab, "kms").create_key(
            Policy=policy, Tags=[{"TagKey": "chaos:allow", "TagValue": "kms"}]
        )
        return kms.describe(admin, made["KeyMetadata"]["Arn"])

    return make


def test_a_key_policy_that_leaves_nothing_to_iam_refuses_what_iam_allows(
    somebody, cluster, made_key
):
    read_only = allow("kms:Describe*", "kms:Get*", Principal={"AWS": ROOT})
    key = made_key(read_only)
    aws, role = somebody(*ALL)
    ((state, why),) = found(aws, cluster, key)
    assert (state, enables(aws, key)) == ("refused", False)
    assert why.startswith(f"{role} may not kms:EnableKey on {key.arn}: the key policy")
    key = made_key(allow("kms:*", Principal={"AWS": ROOT}))
    assert [state for state, _ in found(aws, cluster, key)] == ["ok"]
    assert enables(aws, key)


def test_a_deny_of_the_key_policy_refuses_what_iam_allows(somebody, cluster, made_key):
    aws, role = somebody(*ALL)
    everybody = allow("kms:*", Principal={"AWS": ROOT})
    key = made_key(everybody, deny("kms:EnableKey", Principal={"AWS": role}))
    assert [state for state, _ in found(aws, cluster, key)] == ["refused"]
    assert not enables(aws, key)


@pytest.mark.parametrize("path", ["/", "/team/db/"])
def test_a_key_policy_that_names_the_caller_may_be_enough(somebody, cluster, made_key, path):
    aws, role = somebody(allow(*ASK, "iam:GetRole"), allow(*RDS, Condition=TAGGED), path=path)
    key = made_key(allow("kms:*", Principal={"AWS": role}))
    assert [state for state, _ in found(aws, cluster, key)] == ["unproven", "unproven"]
    assert enables(aws, key)


def test_who_may_not_read_the_key_policy_is_refused(somebody, cluster, key):
    aws, _ = somebody(allow("iam:SimulatePrincipalPolicy"), *ALL[1:])
    ((state, why),) = found(aws, cluster, key)
    assert state == "refused"
    assert f"not allowed: kms:GetKeyPolicy on {key.arn}" in why


# Who it is


def test_the_path_of_a_session_s_role_is_found_out(somebody, cluster, key):
    aws, _ = somebody(*ALL, allow("iam:GetRole"), path="/team/db/")
    assert [state for state, _ in found(aws, cluster, key)] == ["ok"]
    aws, _ = somebody(*ALL, path="/team/db/")
    ((state, why),) = found(aws, cluster, key)
    assert state == "refused"
    assert "iam:GetRole" in why


def test_the_account_itself_has_no_policies(admin, cluster, key):
    ((root),) = may_undo(admin, Identity(ROOT, ACCOUNT), [cluster], key, NEEDS)
    assert root.state == "ok"
