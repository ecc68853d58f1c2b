"""Who one is and what one may: STS and IAM asked, answered as the lab itself sees its callers."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.support.aws_cli import aws_cli
from tests.support.clusters import refusal
from tests.support.document import deviates, shows
from tests.support.forked_labs import new_lab
from tests.support.identities import NUMBERS, TRUST, allow, document, somebody, user
from tests.support.in_process_lab import InProcessLab
from tests.support.labs import client
from tests.support.trail import DELIVERY, look

ACCOUNT = "123456789012"
ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:user/lab"
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
OTHER = KEY.replace("1234abcd", "00000000")
TAGGED = {"StringEquals": {"aws:ResourceTag/chaos:allow": "kms"}}


@pytest.fixture
def own_lab(tmp_path):
    return InProcessLab(tmp_path / "requests.jsonl", iam=True)


@pytest.fixture
def iam(own_lab):
    return own_lab.client("iam")


def deny(*actions, **more):
    return {**allow(*actions, **more), "Effect": "Deny"}


def role(iam, *statements, path="/"):
    """The ARN of a role with these statements and no other."""
    name = f"simulated{next(NUMBERS)}"
    made = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=TRUST)["Role"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(*statements))
    return made["Arn"]


def simulated(iam, source, *actions, **params):
    """The results, by action."""
    said = iam.simulate_principal_policy(PolicySourceArn=source, ActionNames=actions, **params)
    return {result["EvalActionName"]: result for result in said["EvaluationResults"]}


def decision(iam, source, action="kms:EnableKey", **params):
    return simulated(iam, source, action, **params)[action]["EvalDecision"]


def told(name, *values, kind="string"):
    entry = {"ContextKeyName": name, "ContextKeyValues": values, "ContextKeyType": kind}
    return {"ContextEntries": [entry]}


# sts:GetCallerIdentity


@shows("sts:GetCallerIdentity")
def test_who_iam_does_not_know_is_the_administrator_in_every_word_of_the_lab(own_lab):
    said = own_lab.client("sts").get_caller_identity()
    assert (said["Arn"], said["Account"]) == (ADMINISTRATOR, ACCOUNT)
    assert said["UserId"].startswith("AIDA")
    own_lab.pass_time(DELIVERY)
    (event,) = look(own_lab, EventName="GetCallerIdentity")
    assert event["userIdentity"]["arn"] == ADMINISTRATOR


@pytest.mark.parametrize("path", ["/", "/team/db/"])
def test_users_and_sessions_are_who_moto_says(own_lab, iam, path):
    from moto.sts.models import sts_backends

    made, access, _ = user(own_lab, path)
    sts = own_lab.client("sts", access_key=access["AccessKeyId"])
    said = sts.get_caller_identity()
    assert (said["Arn"], said["UserId"]) == (made["Arn"], made["UserId"])
    given = own_lab.client("sts").assume_role(RoleArn=role(iam, path=path), RoleSessionName="one")
    keys = given["Credentials"]
    sts = own_lab.client("sts", access_key=keys["AccessKeyId"], token=keys["SessionToken"])
    said = sts.get_caller_identity()
    assert said["Arn"] == given["AssumedRoleUser"]["Arn"]
    assert said["UserId"] == given["AssumedRoleUser"]["AssumedRoleId"]
    for key, answer in ((access["AccessKeyId"], made), (keys["AccessKeyId"], said)):
        motos = sts_backends[ACCOUNT]["aws"].get_caller_identity(key, "us-east-1")
        assert motos == (answer["UserId"], answer["Arn"], ACCOUNT)


# iam:SimulatePrincipalPolicy


@shows("iam:SimulatePrincipalPolicy")
def test_every_action_is_tried_on_every_resource(iam):
    source = role(iam, allow("kms:EnableKey", resource=KEY), deny("kms:DisableKey"))
    found = simulated(
        iam, source, "kms:EnableKey", "kms:DisableKey", "kms:Encrypt", ResourceArns=[KEY, OTHER]
    )
    assert {action: result["EvalDecision"] for action, result in found.items()} == {
        "kms:EnableKey": "implicitDeny",
        "kms:DisableKey": "explicitDeny",
        "kms:Encrypt": "implicitDeny",
    }
    of_enable = found["kms:EnableKey"]["ResourceSpecificResults"]
    assert [(each["EvalResourceName"], each["EvalResourceDecision"]) for each in of_enable] == [
        (KEY, "allowed"),
        (OTHER, "implicitDeny"),
    ]
    assert decision(iam, source, ResourceArns=[KEY]) == "allowed"


@deviates("iam:SimulatePrincipalPolicy", "a result over several resources is called *, no template")
def test_without_a_resource_it_is_about_all(iam):
    source = role(iam, allow("kms:EnableKey"))
    result = simulated(iam, source, "kms:EnableKey")["kms:EnableKey"]
    assert (result["EvalDecision"], result["EvalResourceName"]) == ("allowed", "*")
    assert "ResourceSpecificResults" not in result
    with_one = simulated(iam, source, "kms:EnableKey", ResourceArns=[KEY])["kms:EnableKey"]
    assert with_one["EvalResourceName"] == KEY
    with_two = simulated(iam, source, "kms:EnableKey", ResourceArns=[KEY, OTHER])["kms:EnableKey"]
    assert with_two["EvalResourceName"] == "*"


def test_a_user_has_the_policies_of_their_groups(own_lab, iam):
    made, _, _ = user(own_lab)
    name = f"group{next(NUMBERS)}"
    group = iam.create_group(GroupName=name)["Group"]["Arn"]
    managed = iam.create_policy(
        PolicyName=f"managed{next(NUMBERS)}", PolicyDocument=document(allow("rds:*"))
    )["Policy"]["Arn"]
    iam.attach_group_policy(GroupName=name, PolicyArn=managed)
    iam.put_group_policy(
        GroupName=name, PolicyName="p", PolicyDocument=document(deny("kms:Encrypt"))
    )
    assert decision(iam, made["Arn"], "rds:StartDBCluster") == "implicitDeny"
    iam.add_user_to_group(GroupName=name, UserName=made["UserName"])
    assert decision(iam, made["Arn"], "rds:StartDBCluster") == "allowed"
    assert decision(iam, made["Arn"], "kms:Encrypt") == "explicitDeny"
    assert decision(iam, made["Arn"]) == "allowed"
    assert decision(iam, group) == "implicitDeny"
    assert decision(iam, group, "rds:StartDBCluster") == "allowed"


def test_an_input_counts_beside_what_is_attached(iam):
    source = role(iam, allow("kms:EnableKey"))
    assert decision(iam, source, PolicyInputList=[document(deny("kms:*"))]) == "explicitDeny"
    assert decision(iam, source, "kms:Encrypt", PolicyInputList=[document(allow("*"))]) == "allowed"
    for text in ("nonsense", "[]"):
        assert refusal(decision, iam=iam, source=source, PolicyInputList=[text]) == "InvalidInput"


def test_conditions_see_what_they_are_told_and_what_was_not_is_named(iam):
    source = role(
        iam,
        allow("kms:EnableKey", Condition=TAGGED),
        allow("s3:GetObject", resource="arn:aws:s3:::b/${aws:username}"),
        deny("kms:Decrypt", Condition={"Bool": {"aws:MultiFactorAuthPresent": "false"}}),
    )
    result = simulated(iam, source, "kms:EnableKey", ResourceArns=[KEY])["kms:EnableKey"]
    assert result["EvalDecision"] == "implicitDeny"
    wanted = ["aws:ResourceTag/chaos:allow", "aws:username", "aws:MultiFactorAuthPresent"]
    assert result["MissingContextValues"] == wanted
    assert result["ResourceSpecificResults"][0]["MissingContextValues"] == wanted
    tag = told("aws:resourcetag/chaos:allow", "kms")
    result = simulated(iam, source, "kms:EnableKey", **tag)["kms:EnableKey"]
    assert (result["EvalDecision"], result["MissingContextValues"]) == ("allowed", wanted[1:])


@pytest.mark.parametrize(
    ("condition", "entry", "other"),
    [
        (
            {"StringLike": {"aws:PrincipalTag/team": "d?"}},
            told("aws:PrincipalTag/team", "db"),
            told("aws:PrincipalTag/team", "web"),
        ),
        (
            {"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}},
            told("aws:TagKeys", "a", "b", kind="stringList"),
            told("aws:TagKeys", "a", "c", kind="stringList"),
        ),
        (
            {"NumericLessThan": {"aws:MultiFactorAuthAge": "10"}},
            told("aws:MultiFactorAuthAge", "9", kind="numeric"),
            told("aws:MultiFactorAuthAge", "10", kind="numeric"),
        ),
        (
            {"Bool": {"aws:SecureTransport": "true"}},
            told("aws:SecureTransport", "true", kind="boolean"),
            told("aws:SecureTransport", "false", kind="boolean"),
        ),
        (
            {"DateGreaterThan": {"aws:CurrentTime": "2018-08-16T12:00:00Z"}},
            told("aws:CurrentTime", "2019-04-25T11:00:00Z", kind="date"),
            told("aws:CurrentTime", "2018-04-25T11:00:00Z", kind="date"),
        ),
    ],
    ids=["string", "stringList", "numeric", "boolean", "date"],
)
def test_a_context_has_values_of_every_type(iam, condition, entry, other):
    source = role(iam, allow("kms:EnableKey", Condition=condition))
    assert decision(iam, source, **entry) == "allowed"
    assert decision(iam, source, **other) == "implicitDeny"


def test_the_administrator_may_everything_until_a_user_has_the_name(iam):
    assert decision(iam, ADMINISTRATOR, "anything:AtAll") == "allowed"
    no = {"PolicyInputList": [document(deny("kms:*"))]}
    assert decision(iam, ADMINISTRATOR, **no) == "explicitDeny"
    iam.create_user(UserName="lab")
    try:
        assert decision(iam, ADMINISTRATOR) == "implicitDeny"
    finally:
        iam.delete_user(UserName="lab")


@pytest.mark.parametrize("kind", ["user", "group", "role"])
def test_who_is_not_there_has_no_policies_to_be_simulated(iam, kind):
    with pytest.raises(ClientError) as refused:
        decision(iam, f"arn:aws:iam::{ACCOUNT}:{kind}/team/nobody")
    said = refused.value.response
    assert said["Error"]["Code"] == "NoSuchEntity"
    assert said["Error"]["Message"] == f"The {kind} with name nobody cannot be found."
    assert said["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_a_role_is_named_with_its_path(iam):
    source = role(iam, allow("kms:EnableKey"), path="/team/db/")
    assert decision(iam, source) == "allowed"
    without = source.replace("/team/db/", "/")
    assert refusal(decision, iam=iam, source=without) == "NoSuchEntity"


@pytest.mark.parametrize(
    "source",
    [f"arn:aws:sts::{ACCOUNT}:assumed-role/r/one", f"arn:aws:iam::{ACCOUNT}:root", "x" * 20],
)
def test_a_session_is_no_source(iam, source):
    with pytest.raises(ClientError, match="does not clearly define entity type and name") as no:
        decision(iam, source)
    assert no.value.response["Error"]["Code"] == "InvalidInput"


@deviates("iam:SimulatePrincipalPolicy", "permissions boundaries hold nobody back, here and there")
def test_a_boundary_holds_nobody_back_neither_here_nor_there(own_lab, iam):
    boundary = iam.create_policy(
        PolicyName=f"boundary{next(NUMBERS)}", PolicyDocument=document(allow("sns:*"))
    )["Policy"]["Arn"]
    source = role(iam, allow("kms:ListKeys"))
    iam.put_role_permissions_boundary(
        RoleName=source.rsplit("/", 1)[1], PermissionsBoundary=boundary
    )
    assert decision(iam, source, "kms:ListKeys") == "allowed"
    given = own_lab.client("sts").assume_role(RoleArn=source, RoleSessionName="one")["Credentials"]
    own_lab.client("kms", given["AccessKeyId"], token=given["SessionToken"]).list_keys()


@deviates(
    "iam:SimulatePrincipalPolicy", "identity policies are all it looks at; no MatchedStatements"
)
@pytest.mark.parametrize(
    "params",
    [
        {"ResourcePolicy": document(allow("kms:*", Principal="*"))},
        {"PermissionsBoundaryPolicyInputList": [document(allow("kms:*"))]},
        {"PolicyExclusionList": [{"PolicyType": "inline"}]},
        {"CallerArn": ADMINISTRATOR},
        {"ResourceOwner": f"arn:aws:iam::{ACCOUNT}:root"},
        {"ResourceHandlingOption": "EC2-VPC-EBS"},
    ],
    ids=lambda params: next(iter(params)),
)
def test_what_the_lab_does_not_simulate_it_says(iam, params):
    result = simulated(iam, ADMINISTRATOR, "kms:EnableKey")["kms:EnableKey"]
    assert result["MatchedStatements"] == []
    assert refusal(decision, iam=iam, source=ADMINISTRATOR, **params) == "NotImplemented"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"ActionNames": ["kms:*"]}, "InvalidInput"),
        ({"ActionNames": ["EnableKey"]}, "InvalidInput"),
        ({"ActionNames": ["kms:" + "x" * 125]}, "ValidationError"),
        ({"MaxItems": 1001}, "ValidationError"),
        ({"Marker": "nonsense"}, "InvalidInput"),
        (told("aws:TagKeys", "a", "b"), "InvalidInput"),
        (told("aws:TagKeys", "a", kind="strings"), "ValidationError"),
    ],
)
def test_what_cannot_be_asked_is_refused(iam, params, code):
    request = {"PolicySourceArn": ADMINISTRATOR, "ActionNames": ["kms:EnableKey"]} | params
    assert refusal(iam.simulate_principal_policy, **request) == code


def test_results_come_in_pages(iam):
    actions = [f"kms:Action{number}" for number in range(120)]
    request = {"PolicySourceArn": ADMINISTRATOR, "ActionNames": actions}
    first = iam.simulate_principal_policy(**request)
    assert (len(first["EvaluationResults"]), first["IsTruncated"]) == (100, True)
    rest = iam.simulate_principal_policy(**request, Marker=first["Marker"])
    assert (len(rest["EvaluationResults"]), rest["IsTruncated"]) == (20, False)
    assert "Marker" not in rest
    whole = iam.simulate_principal_policy(**request, MaxItems=1000)
    assert len(whole["EvaluationResults"]) == 120


def test_asking_takes_a_permission_on_whom_it_is_about(own_lab, iam):
    source, other = role(iam), role(iam)
    may = somebody(own_lab, allow("iam:SimulatePrincipalPolicy", resource=source))("iam")
    assert decision(may, source) == "implicitDeny"
    with pytest.raises(ClientError) as refused:
        decision(may, other)
    error = refused.value.response["Error"]
    assert error["Code"] == "AccessDenied"
    assert f"iam:SimulatePrincipalPolicy on resource: {other} because" in error["Message"]


def test_a_simulation_stands_in_cloudtrail_as_a_read(own_lab, iam):
    decision(iam, ADMINISTRATOR)
    own_lab.pass_time(DELIVERY)
    (event,) = look(own_lab, EventName="SimulatePrincipalPolicy")
    assert (event["readOnly"], event["responseElements"]) == (True, None)
    assert event["requestParameters"]["policySourceArn"] == ADMINISTRATOR


@pytest.mark.soak
def test_the_aws_cli_simulates_too():
    lab = new_lab(300, "observed", servers=False, iam=True)
    try:
        source = role(client(lab, "iam", "us-east-1"), allow("kms:EnableKey", resource=KEY))
        said = aws_cli(
            lab,
            "iam",
            "simulate-principal-policy",
            "--policy-source-arn",
            source,
            "--action-names",
            "kms:EnableKey",
            "kms:DisableKey",
            "--resource-arns",
            KEY,
            "--context-entries",
            "ContextKeyName=aws:CurrentTime,ContextKeyValues=2019-04-25T11:00:00Z,ContextKeyType=date",
        )
        found = {each["EvalActionName"]: each for each in said["EvaluationResults"]}
        assert found["kms:EnableKey"]["EvalDecision"] == "allowed"
        assert found["kms:DisableKey"]["EvalDecision"] == "implicitDeny"
        assert aws_cli(lab, "sts", "get-caller-identity")["Arn"] == ADMINISTRATOR
    finally:
        lab.stop()
