"""The templates of deploy/ say what the code says: policies, variables, names."""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import pytest

from chaosaws_kms_ext.cli.env import variables
from chaosaws_kms_ext.cli.policy import USUAL
from chaosaws_kms_ext.faults import needs_of
from chaosaws_kms_ext.iam.permissions import Caller
from chaosaws_kms_ext.iam.policies import Place, policy, trust
from chaosaws_kms_ext.settings import parse
from chaosaws_kms_lab import cloudformation_templates
from chaosaws_kms_lab.cloudformation.template import Made, Template

ACCOUNT, REGION = "123456789012", "eu-west-1"
KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!cluster-1234-AbCdEf"
GIVEN = {"VpcId": "vpc-1", "SubnetIds": "subnet-1,subnet-2", "ClientSecurityGroup": "sg-1"}
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/game-days/1",
    "AWS::StackName": "game-days",
    "AWS::URLSuffix": "amazonaws.com",
}


@functools.cache
def read():
    text = (Path(__file__).parents[1] / "deploy" / "staging.yaml").read_text()
    return cloudformation_templates.read(text)


def body():
    return copy.deepcopy(read())


def role(name):
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def made(template):
    """Everything of the template, as if it had been made."""
    arns = {
        name: Made(f"its-{name}", {"Arn": role(name), "GroupId": "sg-2"}) for name in template.order
    }
    key_arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/"
    return {
        **arns,
        "Key": Made(KEY, {"Arn": f"{key_arn}{KEY}"}),
        "CopyKey": Made("other", {"Arn": f"{key_arn}other"}),
        "Cluster": Made("kms-staging", {"MasterUserSecret.SecretArn": SECRET}),
    }


def stack(of=None, **given):
    return Template(of or body(), {**GIVEN, **given}, PSEUDO)


PLACE = Place(
    account=ACCOUNT,
    region=REGION,
    cluster="kms-staging",
    key=KEY,
    principal=role("RunRole"),
    switch_role=role("SwitchRole"),
    secret=SECRET,
)
"""The stack's own cluster, key, roles and secret."""

TARGET, OWN = needs_of(USUAL)


def as_iam_reads_it(document):
    """Without what makes no difference: one thing, or a list of one; the order of lists."""

    def listed(value):
        return sorted([value] if isinstance(value, str) else value)

    statements = [
        {
            name: listed(value) if name in ("Action", "Resource") else value
            for name, value in each.items()
        }
        for each in document["Statement"]
    ]
    return document["Version"], sorted(statements, key=str)


def document(template, resource, name="PolicyDocument"):
    return template.properties(resource, made(template))[name]


def differing(of):
    """The policies of a template that are not those of the generator."""
    template = stack(of)
    generated = {
        ("RunPolicy", "PolicyDocument"): policy(Caller.RUN, PLACE, TARGET, OWN),
        ("SwitchPolicy", "PolicyDocument"): policy(Caller.SWITCH, PLACE, TARGET, OWN),
        ("SwitchRole", "AssumeRolePolicyDocument"): trust(PLACE),
    }
    return {
        resource
        for (resource, name), wanted in generated.items()
        if as_iam_reads_it(document(template, resource, name)) != as_iam_reads_it(wanted)
    }


def test_the_roles_have_exactly_the_policies_that_chaos_kms_policy_prints():
    assert differing(body()) == set()


@pytest.mark.parametrize("resource", ["RunPolicy", "SwitchPolicy"])
def test_a_statement_more_or_less_is_noticed(resource):
    for change in (
        lambda statements: statements.pop(),
        lambda statements: statements[0]["Action"].append("kms:ScheduleKeyDeletion"),
        lambda statements: statements[0].update(Resource="*"),
    ):
        changed = body()
        change(changed["Resources"][resource]["Properties"]["PolicyDocument"]["Statement"])
        assert differing(changed) == {resource}


def test_another_trust_of_the_switch_is_noticed():
    changed = body()
    trusted = changed["Resources"]["SwitchRole"]["Properties"]["AssumeRolePolicyDocument"]
    del trusted["Statement"][0]["Condition"]["StringEquals"]
    assert differing(changed) == {"SwitchRole"}


def test_every_output_that_begins_with_chaos_is_a_setting_and_a_run_takes_them():
    template = stack()
    said = {each["OutputKey"]: each["OutputValue"] for each in template.outputs(made(template))}
    named = variables(said)
    assert len(named) == sum(name.startswith("Chaos") for name in said) > 5
    settings = parse(environ=named)
    assert (settings.target, settings.cluster_id) == ("aws", "kms-staging")
    assert (settings.database_secret, settings.switch_role) == (SECRET, role("SwitchRole"))


@pytest.mark.parametrize(
    ("issuer", "subject"),
    [
        ("token.actions.githubusercontent.com", "repo:shop/orders:ref:refs/heads/main"),
        ("gitlab.com", "project_path:shop/orders:ref_type:branch:ref:main"),
    ],
)
def test_jobs_may_assume_the_run_role_only_with_the_subject_that_is_given(issuer, subject):
    by_people = document(stack(), "RunRole", "AssumeRolePolicyDocument")["Statement"]
    assert [each["Action"] for each in by_people] == ["sts:AssumeRole"]
    assert "OidcProviderOfJobs" not in stack().order

    template = stack(OidcIssuer=issuer, OidcSubject=subject)
    assert "OidcProviderOfJobs" in template.order
    trusted = document(template, "RunRole", "AssumeRolePolicyDocument")["Statement"]
    assert trusted[0] == by_people[0]
    assert trusted[1] == {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": subject}
        },
    }
    there = stack(OidcIssuer=issuer, OidcSubject=subject, OidcProvider="exists")
    assert "OidcProviderOfJobs" not in there.order


def test_jobs_of_everybody_are_refused():
    with pytest.raises(Exception, match="or every job there could assume the run role"):
        stack(OidcIssuer="gitlab.com")


def test_key_and_cluster_carry_the_tag_and_nothing_else_does():
    template, there = stack(Reader="yes"), made(stack(Reader="yes"))
    tag = {"Key": "chaos:allow", "Value": "kms"}
    tagged = {
        name for name in template.order if tag in template.properties(name, there).get("Tags", [])
    }
    assert tagged == {"Key", "Cluster"}


def test_a_reader_is_made_if_it_is_asked_for():
    assert "SecondInstance" not in stack().order
    order = stack(Reader="yes").order
    assert order.index("Writer") < order.index("SecondInstance")
