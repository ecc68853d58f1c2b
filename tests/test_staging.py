"""The templates of deploy/ say what the code says: policies, variables, names."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.cli.env import variables
from chaosaws_kms_ext.settings import parse
from tests.support.staging_template import (
    ACCOUNT,
    SECRET,
    as_iam_reads_it,
    body,
    document,
    generated,
    made,
    role,
    stack,
)


def differing(of):
    """The policies of a template that are not those of the generator."""
    template = stack(of)
    return {
        resource
        for (resource, name), wanted in generated().items()
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
