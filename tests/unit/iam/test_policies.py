"""The policies: what is in the files, for one place and for any."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner

from chaosaws_kms_ext.cli import kms
from chaosaws_kms_ext.iam.permissions import Caller
from chaosaws_kms_ext.iam.policies import Place, trust
from tests.support.usual_policies import calls, policy

POLICIES = Path(__file__).parents[3] / "policies"
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
KEY = f"arn:aws:kms:eu-west-1:123456789012:key/{KEY_ID}"
HERE = Place("aws", "123456789012", "eu-west-1", "orders", KEY_ID)
CHANGES = re.compile(r"kms:(Dis|En)able|rds:Start|scheduler:(Create|Delete)|iam:Pass")
SEES = re.compile(r"(kms|tag):(Get|List)|cloudtrail:Lookup")
TAGGED = {"StringEquals": {"aws:ResourceTag/chaos:allow": "kms"}}


def printed(*arguments, **env):
    ran = CliRunner().invoke(kms, ["policy", *arguments], env=env)
    return ran.exit_code, ran.output


def statements(document, action):
    return [each for each in document["Statement"] if action in each["Action"]]


@pytest.mark.parametrize("name", [*(caller.value for caller in Caller), "switch-trust"])
def test_the_files_are_what_the_table_says(name):
    assert printed(name) == (0, (POLICIES / f"{name}.json").read_text()), "make policies"


def test_the_files_are_of_this_and_nothing_else():
    named = {
        "canary", "make", "probe", "run", "secondary", "switch", "switch-trust", "watch",
    }  # fmt: skip
    assert {path.stem for path in POLICIES.glob("*")} == named


def test_every_call_of_the_table_is_one_of_aws():
    for call in calls():
        if call.service == "rds-db":  # which is a permission, and no service
            continue
        client = boto3.client(
            call.service, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        assert call.operation in client.meta.service_model.operation_names
    each = [(call.service, call.operation, who) for call in calls() for who in call.callers]
    assert len(set(each)) == len(each)


def test_who_only_looks_changes_nothing():
    allowed = {a for each in policy(Caller.PROBE, Place())["Statement"] for a in each["Action"]}
    assert not list(filter(CHANGES.match, allowed))
    watched = {a for each in policy(Caller.WATCHER, Place())["Statement"] for a in each["Action"]}
    assert not list(filter(CHANGES.match, watched))
    assert watched - allowed == {"cloudwatch:DescribeAlarms"}
    ran = {a for each in policy(Caller.RUN, Place())["Statement"] for a in each["Action"]}
    assert list(filter(CHANGES.match, ran))


@pytest.mark.parametrize("place", [Place(), HERE], ids=["any", "here"])
def test_a_key_is_taken_away_only_where_the_tag_allows_it(place):
    (statement,) = statements(policy(Caller.RUN, place), "kms:DisableKey")
    assert statement["Condition"] == TAGGED


@pytest.mark.parametrize("caller", [Caller.RUN, Caller.SWITCH])
@pytest.mark.parametrize("action", ["kms:EnableKey", "rds:StartDBCluster"])
def test_what_is_put_back_carries_the_tag_or_is_named(caller, action):
    (statement,) = statements(policy(caller, Place()), action)
    assert statement["Condition"] == TAGGED
    (statement,) = statements(policy(caller, HERE), action)
    assert "Condition" not in statement
    assert "*" not in statement["Resource"]


def test_what_changes_something_is_never_for_everything():
    for caller in set(Caller) - {Caller.MAKER}:
        for statement in policy(caller, HERE)["Statement"]:
            if list(filter(CHANGES.match, statement["Action"])):
                assert "*" not in str(statement["Resource"]), statement


def test_who_makes_things_changes_nothing_else():
    """By the tag of a run, by the opt-in tag, by a name of ours, or only through RDS."""
    for statement in policy(Caller.MAKER, HERE)["Statement"]:
        if all(map(SEES.match, statement["Action"])):
            continue
        bound = str(statement.get("Condition", statement["Resource"]))
        assert re.search("chaos:run|chaos:allow|kms:ViaService|chaos-", bound), statement
    (statement,) = statements(policy(Caller.MAKER, HERE), "kms:CreateKey")
    assert statement["Condition"] == {
        "Null": {"aws:RequestTag/chaos:run": "false"},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["chaos:run"]},
    }
    (statement,) = statements(policy(Caller.MAKER, HERE), "rds:DeleteDBCluster")
    assert statement["Resource"] == "arn:aws:rds:eu-west-1:123456789012:cluster:chaos-*"
    assert statement["Condition"] == {"Null": {"aws:ResourceTag/chaos:run": "false"}}


def test_a_role_is_passed_to_the_scheduler_only():
    (statement,) = statements(policy(Caller.RUN, HERE), "iam:PassRole")
    assert statement["Resource"] == "arn:aws:iam::123456789012:role/chaos-kms-switch"
    to = {"iam:PassedToService": "scheduler.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": to}


def test_the_scheduler_assumes_the_role_for_our_group_only():
    (statement,) = trust(HERE)["Statement"]
    assert statement["Principal"] == {"Service": "scheduler.amazonaws.com"}
    group = "arn:aws:scheduler:eu-west-1:123456789012:schedule-group/chaos-kms"
    assert statement["Condition"] == {
        "ArnLike": {"aws:SourceArn": group},
        "StringEquals": {"aws:SourceAccount": "123456789012"},
    }


def test_how_the_database_is_entered_is_there_only_if_it_is_named():
    for action in ("secretsmanager:GetSecretValue", "rds-db:connect", "sqs:ReceiveMessage"):
        assert statements(policy(Caller.RUN, HERE), action) == []
    place = replace(HERE, secret="shop/db", database_user="app")
    (statement,) = statements(policy(Caller.RUN, place), "secretsmanager:GetSecretValue")
    at = "arn:aws:{}:eu-west-1:123456789012:{}"
    assert statement["Resource"] == at.format("secretsmanager", "secret:shop/db-??????")
    (statement,) = statements(policy(Caller.RUN, place), "rds-db:connect")
    assert statement["Resource"] == at.format("rds-db", "dbuser:*/app")
    arn = at.format("secretsmanager", "secret:shop/db-AbCdEf")
    said = json.loads(printed("run", "--secret", arn)[1])
    assert statements(said, "secretsmanager:DescribeSecret")[0]["Resource"] == arn


@pytest.mark.parametrize(
    "given",
    [
        "arn:aws:sqs:eu-west-1:123456789012:rds-events",
        "https://sqs.eu-west-1.amazonaws.com/123456789012/rds-events",
    ],
)
def test_the_queue_of_rds_events_is_read_only_if_it_is_named(given):
    said = json.loads(printed("run", "--region", "eu-west-1", "--queue", given)[1])
    (statement,) = statements(said, "sqs:ReceiveMessage")
    assert statement["Resource"] == "arn:aws:sqs:eu-west-1:123456789012:rds-events"
    assert statement["Action"] == ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"]
    place = Place("aws", "123456789012", "eu-west-1", queue="rds-events")
    assert said == policy(Caller.RUN, place)
    for caller in (Caller.PROBE, Caller.MAKER, Caller.SWITCH):
        assert "sqs:ReceiveMessage" not in json.dumps(policy(caller, place))


def test_a_topic_is_told_only_if_it_is_named_in_whichever_region_it_is():
    topic = "arn:aws:sns:us-east-1:123456789012:runs"
    said = json.loads(printed("run", "--region", "eu-west-1", "--topic", topic)[1])
    (statement,) = statements(said, "sns:Publish")
    assert (statement["Resource"], statement["Action"]) == (topic, ["sns:Publish"])
    for caller in (Caller.PROBE, Caller.MAKER, Caller.SWITCH):
        assert "sns:Publish" not in json.dumps(policy(caller, Place(topic=topic)))
    assert "sns:Publish" not in json.dumps(policy(Caller.RUN, Place()))


def test_an_arn_names_account_and_region_too():
    role = "arn:aws:iam::123456789012:role/chaos"
    named = ["--key", KEY, "--cluster", "orders", "--principal", role]
    expected = Place(
        "aws",
        "123456789012",
        "eu-west-1",
        "orders",
        KEY_ID,
        role,
        "arn:aws:iam::123456789012:role/s",
    )
    status, said = printed("run", *named, "--switch-role", "arn:aws:iam::123456789012:role/s")
    assert (status, json.loads(said)) == (0, policy(Caller.RUN, expected))


def test_other_clusters_under_the_key_are_started_by_name_each_by_a_schedule():
    at = "arn:aws:rds:eu-west-1:123456789012:cluster:"
    started = [f"{at}{name}" for name in ("orders", "carts", "invoices")]
    given = ["--key", KEY, "--cluster", "orders"]
    others = ["--other-cluster", "carts", "--other-cluster", "invoices"]
    for caller in ("run", "switch"):
        (statement,) = statements(
            json.loads(printed(caller, *given, *others)[1]), "rds:StartDBCluster"
        )
        assert statement["Resource"] == started
        assert "Condition" not in statement
    said = json.loads(printed("run", *given, *others)[1])
    (statement,) = statements(said, "scheduler:DeleteSchedule")
    named = [each.rpartition("/")[2] for each in statement["Resource"]]
    assert named == [
        f"undo-{KEY_ID}", f"start-{KEY_ID}", f"start-2-{KEY_ID}", f"start-3-{KEY_ID}",
    ]  # fmt: skip
    assert "carts" not in json.dumps(json.loads(printed("make", *given, *others)[1]))


def test_an_instance_is_started_by_a_call_of_its_own():
    arn = "arn:aws:rds:eu-west-1:123456789012"
    where = ["--account", "123456789012", "--region", "eu-west-1", "--key", KEY]
    options = ["--instance", "orders", "--other-cluster", "carts", "--other-instance", "legacy"]
    for name in ("run", "switch"):
        document = json.loads(printed(name, *where, *options)[1])
        (start,) = statements(document, "rds:StartDBInstance")
        assert start["Resource"] == [f"{arn}:db:orders", f"{arn}:db:legacy"]
        (other,) = statements(document, "rds:StartDBCluster")
        assert other["Resource"] == f"{arn}:cluster:carts"
        alone = json.loads(printed(name, *where, CHAOS_INSTANCE_ID="orders")[1])
        assert statements(alone, "rds:StartDBCluster") == []
        assert statements(alone, "rds:StartDBInstance")[0]["Resource"] == f"{arn}:db:orders"
        of_cluster = json.loads(printed(name, *where, "--cluster", "orders")[1])
        assert statements(of_cluster, "rds:StartDBInstance") == []
    made = json.loads(printed("make", *where, "--instance", "orders")[1])
    assert f"{arn}:db:orders" not in json.dumps(made)


def test_the_settings_name_what_no_option_does():
    env = {"CHAOS_CLUSTER_ID": "orders", "CHAOS_KEY_ID": KEY, "AWS_REGION": "eu-west-1"}
    assert json.loads(printed("switch", **env)[1]) == policy(Caller.SWITCH, HERE)
    china = json.loads(printed("switch", AWS_REGION="cn-north-1")[1])
    assert china["Statement"][0]["Resource"] == "arn:aws-cn:kms:cn-north-1:*:key/*"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--key", "alias/orders"], "--key must be a key's id or ARN (a policy takes no alias)"),
        (["--key", "*"], "--key must be"),
        (["--account", "1"], "--account must be an account number of 12 digits, not '1'"),
        (["--region", "Ireland"], "--region must be a Region"),
        (["--cluster", "or*"], "--cluster must be the id of a DB cluster"),
        (["--cluster", "o" * 10_000], "--cluster must be"),
        (["--other-cluster", "or*"], "--other-cluster must be the id of a DB cluster, not 'or*'"),
        (
            [word for n in range(20) for word in ("--other-cluster", f"c{n}")],
            "a run brings back at most 19 databases beside its own, not 20",
        ),
        (["--instance", "db:orders"], "--instance must be the id of a DB instance"),
        (["--other-instance", "or*"], "--other-instance must be the id of a DB instance"),
        (
            ["--cluster", "orders", "--instance", "orders"],
            "--cluster (or CHAOS_CLUSTER_ID) and --instance (or CHAOS_INSTANCE_ID) each name the "
            "database of the run: leave one out",
        ),
        (["--principal", "chaos"], "--principal must be the ARN of an IAM role or user"),
        (["--secret", "*"], "--secret must be the name or the ARN of a secret"),
        (["--database-user", "*"], "--database-user must be"),
        (["--topic", "runs"], "--topic must be the ARN of an SNS topic"),
        (["--queue", "rds-events"], "--queue must be the ARN or the URL of an SQS queue"),
        (["--key", KEY, "--region", "eu-west-2"], "is of the region"),
        (["--key", KEY, "--account", "210987654321"], "is of the account"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_cannot_be_is_said_in_one_sentence(arguments, sentence):
    status, said = printed("run", *arguments)
    assert status == 1
    assert sentence in said
    assert said.count("\n") == 1
