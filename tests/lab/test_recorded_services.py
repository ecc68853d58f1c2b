"""The lab's EventBridge Scheduler, IAM, STS and Secrets Manager held against answers of AWS.

Of each only what an experiment, a guard or a restore asks for. What the lab leaves to moto is held
against recordings too, as far as the lab's users meet it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import pytest

from tests.support.document import deviates
from tests.support.identities import NUMBERS, TRUST, allow, document, somebody
from tests.support.in_process_lab import InProcessLab
from tests.support.recorded import Case, Refused, Source, cases, check

TARGET = {
    "Arn": "arn:aws:scheduler:::aws-sdk:kms:enableKey",
    "RoleArn": "arn:aws:iam::123456789012:role/switch",
    "Input": "{}",
}
FLEXIBLE = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 4}
TAG = {"Key": "TagKey", "Value": "TagValue"}
ACTIONS = ["s3:PutObject", "s3:GetObjectVersion"]
BUCKET = "arn:aws:s3:::bucket"


class Situation:
    """Clients of the lab, and a name that is new for each case."""

    def __init__(self, lab: InProcessLab) -> None:
        self.lab, self.name = lab, f"n{next(NUMBERS)}"
        self.scheduler, self.iam = lab.client("scheduler"), lab.client("iam")
        self.sts, self.secrets = lab.client("sts"), lab.client("secretsmanager")
        self.kms = lab.client("kms")
        self.role_id = ""

    def schedule(self, expression: str) -> Any:
        return self.scheduler.create_schedule(
            Name=self.name,
            ScheduleExpression=expression,
            FlexibleTimeWindow=FLEXIBLE,
            Target=TARGET,
        )

    def group(self, *tags: dict[str, str]) -> str:
        """The ARN of a new schedule group."""
        made = self.scheduler.create_schedule_group(Name=self.name, Tags=list(tags))
        arn: str = made["ScheduleGroupArn"]
        return arn

    def tags(self, arn: str) -> Any:
        return self.scheduler.list_tags_for_resource(ResourceArn=arn)

    def role(self) -> Any:
        made = self.iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=TRUST)["Role"]
        self.role_id = made["RoleId"]
        return made

    def session(self) -> Any:
        """A session of a new role."""
        made = self.sts.assume_role(RoleArn=self.role()["Arn"], RoleSessionName="one")
        return {name: made[name] for name in ("AssumedRoleUser", "Credentials")}

    def source(self, kind: str) -> str:
        """The ARN of a new user, group or role that has a policy to put objects."""
        policy = self.iam.create_policy(
            PolicyName=self.name, PolicyDocument=document(allow("s3:PutObject"))
        )["Policy"]["Arn"]
        if kind == "role":
            made = self.role()
            self.iam.attach_role_policy(RoleName=self.name, PolicyArn=policy)
        elif kind == "group":
            made = self.iam.create_group(GroupName=self.name)["Group"]
            self.iam.attach_group_policy(GroupName=self.name, PolicyArn=policy)
        else:
            made = self.iam.create_user(UserName=self.name)["User"]
            self.iam.attach_user_policy(UserName=self.name, PolicyArn=policy)
        arn: str = made["Arn"]
        return arn

    def simulated(self, kind: str) -> list[dict[str, Any]]:
        """What is said of each action; the lab names no statements and no organization."""
        found = self.iam.simulate_principal_policy(
            PolicySourceArn=self.source(kind), ActionNames=ACTIONS, ResourceArns=[BUCKET]
        )
        assert found["IsTruncated"] is False
        return [dict(_without_statements(each)) for each in found["EvaluationResults"]]

    def unreadable(self) -> Any:
        """What somebody without any permission on KMS gets of a secret under a key."""
        key = self.kms.create_key()["KeyMetadata"]["KeyId"]
        self.secrets.create_secret(Name=self.name, SecretString="x", KmsKeyId=key)
        reader = somebody(self.lab, allow("secretsmanager:*"))("secretsmanager")
        return reader.get_secret_value(SecretId=self.name)

    def unwritable(self) -> Any:
        key = self.kms.create_key()["KeyMetadata"]["KeyId"]
        writer = somebody(self.lab, allow("secretsmanager:*"))("secretsmanager")
        return writer.create_secret(Name=self.name, SecretString="x", KmsKeyId=key)


def _without_statements(found: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in found.items():
        if name == "ResourceSpecificResults":
            yield name, [dict(_without_statements(each)) for each in value]
        elif name not in ("MatchedStatements", "OrganizationsDecisionDetail"):
            yield name, value


def localstack(service: str, test: str, year: int, month: int, day: int) -> Source:
    return Source(f"LocalStack, tests of {service}", test, date(year, month, day))


INVALID = "tests_create_schedule_with_invalid_schedule_expression"
WRONG = (
    "rate(10 seconds)", "rate(10 years)", "rate()", "rate(10)", "rate(10 minutess)",
    "rate(foo minutes)", "rate(-10 minutes)", "rate( 10 minutes )", " rate(10 minutes)",
    "at(2021-12-31T23:59:59Z)", "at(2021-12-31)",
)  # fmt: skip

SCHEDULER = [
    *(Case("scheduler:CreateSchedule", f"the expression '{expression}'",
           localstack("EventBridge Scheduler", INVALID, 2025, 1, 26),
           lambda s, expression=expression: s.schedule(expression),
           Refused("ValidationException", f"Invalid Schedule Expression {expression}."))
      for expression in WRONG),
    Case("scheduler:CreateSchedule", "an instant of the past",
         localstack("EventBridge Scheduler",
                    "tests_create_schedule_with_valid_schedule_expression", 2025, 2, 2),
         lambda s: s.schedule("at(2022-12-31T23:59:59)"),
         {"ScheduleArn": "arn:aws:scheduler:eu-west-1:123456789012:schedule/default/{name}"}),
    Case("scheduler:CreateSchedule", "a name that is taken",
         Source("digilux, operations guide", "errors of EventBridge", date(2026, 11, 29)),
         lambda s: (s.schedule("rate(1 day)"), s.schedule("rate(2 days)")),
         Refused("ConflictException", "Schedule {name} already exists…")),
    Case("scheduler:GetSchedule", "a name of no schedule",
         Source("justhodl, reports of operations", "a schedule is looked up", date(2026, 11, 29)),
         lambda s: s.scheduler.get_schedule(Name=s.name),
         Refused("ResourceNotFoundException", "Schedule {name} does not exist.")),
    Case("scheduler:TagResource", "a group",
         localstack("EventBridge Scheduler", "test_tag_resource", 2024, 12, 4),
         lambda s: (arn := s.group(), s.scheduler.tag_resource(ResourceArn=arn, Tags=[TAG]),
                    s.tags(arn))[2], {"Tags": [TAG]}),
    Case("scheduler:UntagResource", "a group",
         localstack("EventBridge Scheduler", "test_untag_resource", 2024, 12, 4),
         lambda s: (arn := s.group(TAG),
                    s.scheduler.untag_resource(ResourceArn=arn, TagKeys=["TagKey"]),
                    s.tags(arn))[2], {"Tags": []}),
]  # fmt: skip


def simulation(action: str, decision: str) -> dict[str, Any]:
    said = {"EvalResourceName": BUCKET, "MissingContextValues": []}
    each = {"EvalResourceDecision": decision, **said}
    result = {"EvalActionName": action, "EvalDecision": decision, "EvalDecisionDetails": {}}
    return {**result, **said, "ResourceSpecificResults": [each]}


IDENTITIES = [
    *(Case("iam:SimulatePrincipalPolicy", f"a {kind}",
           localstack("IAM", "test_simulate_principle_policy", 2025, 4, 21),
           lambda s, kind=kind: s.simulated(kind),
           [simulation(ACTIONS[0], "allowed"), simulation(ACTIONS[1], "implicitDeny")])
      for kind in ("role", "group", "user")),
    Case("sts:AssumeRole", "a role", localstack("STS", "test_assume_role", 2024, 6, 5),
         lambda s: s.session(),
         {"AssumedRoleUser": {
             "Arn": "arn:aws:sts::123456789012:assumed-role/{name}/one",
             "AssumedRoleId": "{role_id}:one"},
          "Credentials": {"AccessKeyId": re.compile("ASIA[0-9A-Z]{16}"), "Expiration": datetime,
                          "SecretAccessKey": str, "SessionToken": str}}),
]  # fmt: skip

NO_KMS = Refused("AccessDeniedException", "Access to KMS is not allowed")

SECRETS = [
    Case("secretsmanager:GetSecretValue", "by somebody who may not use its key",
         Source("aws-secrets-manager-rotation-lambdas", "issue 53", date(2021, 1, 12)),
         lambda s: s.unreadable(), NO_KMS),
    Case("secretsmanager:CreateSecret", "by somebody who may not use the key",
         Source("aws-cdk", "issue 7677", date(2020, 4, 29)), lambda s: s.unwritable(), NO_KMS),
    Case("secretsmanager:GetSecretValue", "a name of no secret",
         localstack("Secrets Manager", "test_secret_not_found", 2022, 9, 28),
         lambda s: s.secrets.get_secret_value(SecretId=s.name),
         Refused("ResourceNotFoundException",
                 "Secrets Manager can't find the specified secret.")),
]  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> InProcessLab:
    return InProcessLab(tmp_path_factory.mktemp("lab") / "requests.jsonl")


@cases([*SCHEDULER, *IDENTITIES, *SECRETS])
def test_the_lab_answers_as_aws_did(case: Case, lab: InProcessLab) -> None:
    check(case, Situation(lab))


@deviates("sts:AssumeRole", "takes any RoleSessionName (LocalStack recorded a refusal)")
@deviates("sts:AssumeRole", "says PackedPolicySize without a session policy")
def test_what_moto_takes_and_aws_does_not(lab: InProcessLab) -> None:
    s = Situation(lab)
    arn = s.role()["Arn"]
    made = s.sts.assume_role(RoleArn=arn, RoleSessionName="Session1:2")
    assert made["PackedPolicySize"] > 0
