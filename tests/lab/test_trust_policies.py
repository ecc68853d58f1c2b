"""AssumeRole where IAM is enforced: the role's trust policy and the caller's own policies."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chaosaws_kms_lab.scheduler import roles
from tests.support.clusters import refusal
from tests.support.identities import allow, document, somebody, user
from tests.support.in_process_lab import InProcessLab

ACCOUNT = "123456789012"
ROOT = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
SCHEDULER = {"Service": "scheduler.amazonaws.com"}
ASSUME = allow("sts:AssumeRole")


@pytest.fixture
def own_lab(tmp_path):
    return InProcessLab(tmp_path / "requests.jsonl", iam=True)


def trusting(own_lab, *statements, path="/"):
    """The ARN of a role with this trust policy; a statement without Action is about AssumeRole."""
    said = []
    for statement in statements:
        said.append({"Effect": "Allow", "Action": "sts:AssumeRole", **statement})
    name = f"r{uuid.uuid4().hex}"
    made = own_lab.client("iam").create_role(
        RoleName=name, Path=path, AssumeRolePolicyDocument=document(*said)
    )
    return made["Role"]["Arn"]


def assume(sts, role, **params):
    return sts.assume_role(RoleArn=role, RoleSessionName="one", **params)["Credentials"]


def denied(sts, role, **params):
    """The message of the refusal."""
    with pytest.raises(ClientError) as refused:
        assume(sts, role, **params)
    said = refused.value.response
    assert said["Error"]["Code"] == "AccessDenied"
    assert said["ResponseMetadata"]["HTTPStatusCode"] == 403
    return said["Error"]["Message"]


def test_a_role_that_trusts_the_account_takes_a_permission_too(own_lab):
    role = trusting(own_lab, {"Principal": ROOT})
    assume(somebody(own_lab, ASSUME)("sts"), role)
    assume(somebody(own_lab, allow("sts:*", resource=role))("sts"), role)
    message = denied(somebody(own_lab, allow("sts:AssumeRole", resource=f"{role}x"))("sts"), role)
    assert f"is not authorized to perform: sts:AssumeRole on resource: {role} because" in message
    assert message.endswith("no identity-based policy allows the sts:AssumeRole action")


def test_a_permission_without_trust_is_none(own_lab):
    for principal in (SCHEDULER, {"AWS": f"arn:aws:iam::{ACCOUNT}:user/somebody-else"}):
        role = trusting(own_lab, {"Principal": principal})
        message = denied(somebody(own_lab, allow("*"))("sts"), role)
        assert message.endswith("because no role trust policy allows the sts:AssumeRole action")


@pytest.mark.parametrize("path", ["/", "/team/db/"])
def test_a_role_that_trusts_the_caller_takes_no_permission(own_lab, path):
    alice, access, _ = user(own_lab, path)
    sts = own_lab.client("sts", access_key=access["AccessKeyId"])
    assume(sts, trusting(own_lab, {"Principal": {"AWS": alice["Arn"]}}, path=path))
    nobody = somebody(own_lab, allow("sns:Publish"))("sts")
    denied(nobody, trusting(own_lab, {"Principal": {"AWS": alice["Arn"]}}))
    assume(nobody, trusting(own_lab, {"Principal": "*"}))


def test_a_deny_on_either_side_wins(own_lab):
    no = {"Effect": "Deny", "Principal": "*"}
    role = trusting(own_lab, {"Principal": "*"}, no)
    message = denied(somebody(own_lab, ASSUME)("sts"), role)
    assert message.endswith("with an explicit deny in the role trust policy")
    never = {"Effect": "Deny", "Action": "sts:*", "Resource": "*"}
    message = denied(somebody(own_lab, never)("sts"), trusting(own_lab, {"Principal": "*"}))
    assert message.endswith("with an explicit deny in an identity-based policy")


def test_a_role_that_is_not_there_is_denied(own_lab):
    missing = f"arn:aws:iam::{ACCOUNT}:role/nobody"
    for sts in (own_lab.client("sts"), somebody(own_lab, ASSUME)("sts")):
        for role in (missing, "arn:aws:iam::210987654321:role/theirs", "x" * 20):
            assert denied(sts, role).endswith(f"sts:AssumeRole on resource: {role}")


def test_the_administrator_needs_the_trust_of_the_account(own_lab):
    admin = own_lab.client("sts")
    assume(admin, trusting(own_lab, {"Principal": ROOT}))
    assume(admin, trusting(own_lab, {"Principal": {"AWS": ACCOUNT}}))
    for principal in (SCHEDULER, {"AWS": f"arn:aws:iam::{ACCOUNT}:user/alice"}):
        denied(admin, trusting(own_lab, {"Principal": principal}))


@pytest.mark.parametrize(
    ("condition", "params"),
    [
        ({"StringEquals": {"sts:ExternalId": "secret"}}, {"ExternalId": "secret"}),
        ({"StringLike": {"sts:RoleSessionName": "one*"}}, {}),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/*"}}, {}),
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, {}),
    ],
)
def test_trust_may_have_conditions(own_lab, condition, params):
    sts = somebody(own_lab, ASSUME)("sts")
    assume(sts, trusting(own_lab, {"Principal": ROOT, "Condition": condition}), **params)
    ((operator, block),) = condition.items()
    other = {operator: dict.fromkeys(block, "arn:aws:iam::9:x/y")}
    denied(sts, trusting(own_lab, {"Principal": ROOT, "Condition": other}), **params)


def test_tags_of_a_session_take_a_permission_of_their_own(own_lab):
    tags = {"Tags": [{"Key": "team", "Value": "db"}]}
    both = ["sts:AssumeRole", "sts:TagSession"]
    half, whole = (trusting(own_lab, {"Principal": ROOT, "Action": a}) for a in (both[:1], both))
    sts = somebody(own_lab, allow(*both))("sts")
    assert "sts:TagSession" in denied(sts, half, **tags)
    assume(sts, half)
    assume(sts, whole, **tags)
    assert "sts:TagSession" in denied(somebody(own_lab, ASSUME)("sts"), whole, **tags)


def test_one_role_may_lead_to_another(own_lab):
    first = trusting(own_lab, {"Principal": ROOT})
    second = trusting(own_lab, {"Principal": {"AWS": first}})
    given = assume(somebody(own_lab, ASSUME)("sts"), first)
    sts = own_lab.client("sts", access_key=given["AccessKeyId"], token=given["SessionToken"])
    assume(sts, second)
    third = trusting(own_lab, {"Principal": ROOT})
    denied(sts, third)


def test_a_role_that_comes_to_trust_somebody_is_assumed_from_then_on(own_lab):
    role = trusting(own_lab, {"Principal": SCHEDULER})
    sts = somebody(own_lab, ASSUME)("sts")
    denied(sts, role)
    own_lab.client("iam").update_assume_role_policy(
        RoleName=role.rsplit("/", 1)[1],
        PolicyDocument=document({"Effect": "Allow", "Principal": ROOT, "Action": "sts:AssumeRole"}),
    )
    assume(sts, role)


def test_where_iam_is_not_enforced_anybody_assumes_any_role(tmp_path):
    own_lab = InProcessLab(tmp_path / "requests.jsonl")
    assume(own_lab.client("sts"), trusting(own_lab, {"Principal": SCHEDULER}))
    assume(somebody(own_lab, allow("sns:Publish"))("sts"), f"arn:aws:iam::{ACCOUNT}:role/nobody")


# EventBridge Scheduler

TRUST: dict[str, Any] = {
    "Principal": SCHEDULER,
    "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
}


@pytest.mark.parametrize("iam", [True, False], ids=["with --iam", "without"])
@pytest.mark.parametrize(
    ("change", "trusted"),
    [
        ({}, True),
        ({"Principal": "*"}, True),
        ({"Action": "sts:*"}, True),
        ({"Principal": {"Service": "lambda.amazonaws.com"}}, False),
        ({"Principal": ROOT}, False),
        ({"Effect": "Deny"}, False),
        ({"Action": "sts:TagSession"}, False),
        ({"Condition": {"StringEquals": {"aws:SourceAccount": "210987654321"}}}, False),
        ({"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:scheduler:*"}}}, True),
    ],
    ids=json.dumps,
)
def test_the_scheduler_assumes_a_role_that_trusts_it(tmp_path, iam, change, trusted):
    own_lab = InProcessLab(tmp_path / "requests.jsonl", iam=iam)
    scheduler = own_lab.client("sts", access_key=roles.ACCESS_KEY)
    role = trusting(own_lab, TRUST | change)
    if trusted:
        assume(scheduler, role)
    else:
        denied(scheduler, role)
    assert refusal(assume, sts=scheduler, role=f"{role}x") == "AccessDenied"
