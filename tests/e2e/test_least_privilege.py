"""Runs on a lab that holds callers to IAM, under exactly the policies that we print."""

from __future__ import annotations

import json
import signal

import boto3
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from chaosaws_kms_ext.iam.permissions import Caller
from tests.support.chaos import LabAsAws
from tests.support.chaos_runs import MOMENTS, nothing_is_left, schedules
from tests.support.labs import mostly_soak, until
from tests.support.least_privilege import (
    ELSEWHERE as OF_OTHER_SERVICES,
)
from tests.support.least_privilege import (
    PATIENT,
    place,
    put_policy,
    somebody,
    switch_role,
    table,
    without,
)
from tests.support.usual_policies import calls, policy

pytestmark = pytest.mark.thorough

ELSEWHERE = {"rds-db:connect"}
"""The lab's database asks no IAM."""
SECRETS = {("secretsmanager", "ListSecrets")}
"""Of a proxy they are asked for, whatever CHAOS_DEPENDENTS is."""
LATER = {"scheduler:ListSchedules"}
"""It takes no part in a run, but in restore."""
WARNING = {
    "rds:DescribeDBProxies", "rds:DescribeDBProxyTargets", "rds:DescribePendingMaintenanceActions",
    "secretsmanager:DescribeSecret", "sns:Publish",
}  # fmt: skip
"""Without it a run goes on, and says what it does not know."""
MOTOS = {"iam:GetRole", "secretsmanager:GetSecretValue"}
"""Of what moto answers the lab does not know which resource it is about."""
ACTIONS = sorted(
    {each.action for call in calls() if Caller.RUN in call.callers for each in call.permissions}
    - ELSEWHERE
    - LATER
    - WARNING
    - OF_OTHER_SERVICES
)

PROBES = {
    "title": "What the probes see",
    "description": "Looks, and changes nothing.",
    "method": [
        {
            "type": "probe",
            "name": f"{module}.{function}",
            "provider": {
                "type": "python",
                "module": f"chaosaws_kms_ext.{module}.probes",
                "func": function,
                "arguments": arguments,
            },
        }
        for module, function, arguments in (
            ("kms", "key_state", {}),
            ("kms", "key_is_enabled", {}),
            ("kms", "key_manager", {}),
            ("kms", "key_policy", {}),
            ("kms", "key_policy_allows", {"action": "kms:DescribeKey"}),
            ("kms", "rotation_status", {}),
            ("kms", "grants", {"cluster_id": "orders"}),
            ("kms", "aurora_has_its_grant", {}),
            ("audit", "audit_events", {"since": "2020-01-01T00:00:00Z"}),
            ("aurora", "cluster_is_available", {}),
            ("aurora", "cluster_is_inaccessible", {}),
            ("aurora", "clusters_using_key", {}),
            ("aurora", "snapshot_encryption", {"snapshot_id": "orders-backup"}),
            ("aurora", "encryption_state", {}),
        )
    ],
}


# With all of it


@pytest.mark.soak
def test_a_run_needs_what_its_policy_allows_and_uses_all_of_it(aws):
    lab_as_aws = aws(iam=True, proxy=True, **PATIENT)
    runner = somebody(lab_as_aws, Caller.RUN)
    fit = lab_as_aws.chaos.kms("doctor", **runner.env)
    assert fit.status == 0, fit.output
    assert f"{runner.env['CHAOS_SWITCH_ROLE']} may put it back" in fit.output
    ran = lab_as_aws.chaos.run(**runner.env)
    assert ran.status == 0, ran.output
    assert ran.summary["recovery_path"] == "start-db-cluster"
    restored = lab_as_aws.chaos.kms("restore", **runner.env)
    assert restored.output.startswith("Nothing to put back: ")
    assert schedules(lab_as_aws) == []
    of_an_instance = {("rds", "StartDBInstance")}
    assert lab_as_aws.called(runner.access_key) == (table(Caller.RUN) | SECRETS) - of_an_instance


@pytest.mark.soak
def test_a_run_that_may_not_tell_its_topic_says_so_and_passes(aws):
    lab_as_aws = aws(iam=True, **PATIENT)
    runner = somebody(lab_as_aws, Caller.RUN, but="sns:Publish")
    ran = lab_as_aws.chaos.run(**runner.env)
    assert ran.status == 0, ran.output
    for event in ("run-began", "fault-injected", "run-ended"):
        assert f"could not be told ({event}): not allowed: sns:Publish on " in ran.output


@pytest.mark.soak
def test_who_was_killed_is_put_back_under_the_same_policy(aws):
    lab_as_aws = aws(iam=True, **PATIENT)
    runner = somebody(lab_as_aws, Caller.RUN)
    running = lab_as_aws.chaos.start_run(**runner.env)
    running.until_said(MOMENTS["hold"])
    running.signal(signal.SIGKILL)
    running.wait(60)
    until(lambda: lab_as_aws.key_state() == "Enabled")
    until(lambda: not running.left(), every=0.2)
    until(lambda: lab_as_aws.cluster_status() == "available")
    assert schedules(lab_as_aws) == []
    assert lab_as_aws.called(runner.access_key) <= table(Caller.RUN)


@pytest.mark.soak
def test_a_tag_that_is_taken_away_in_the_hold_does_not_keep_the_key_away(aws):
    lab_as_aws = aws(iam=True, **PATIENT, CHAOS_HOLD="20")
    runner = somebody(lab_as_aws, Caller.RUN)
    running = lab_as_aws.chaos.start_run(**runner.env)
    running.until_said(MOMENTS["hold"])
    lab_as_aws.client("kms").untag_resource(KeyId=lab_as_aws.key, TagKeys=["chaos:allow"])
    running.signal(signal.SIGINT)
    until(lambda: lab_as_aws.key_state() == "Enabled")
    running.wait()
    assert lab_as_aws.cluster_status() == "available"
    refused = lab_as_aws.chaos.run(**runner.env)
    assert "does not carry the tag chaos:allow=kms" in refused.said


def test_who_only_looks_sees_everything_and_can_take_nothing_away(aws, tmp_path):
    lab_as_aws = aws(iam=True, servers=False, proxy=True)
    looker = somebody(lab_as_aws, Caller.PROBE)
    env = {name: value for name, value in looker.env.items() if name.startswith("AWS_")}
    seen = lab_as_aws.chaos.kms("doctor", **env)
    assert seen.status == 1
    wrong = [line for line in seen.output.splitlines() if line.startswith("REFUSED")]
    assert {line.split()[1] for line in wrong} == {"permissions"}, seen.output
    for action in ("kms:EnableKey", "kms:DisableKey", "rds:StartDBCluster"):
        assert f" may not {action} on " in seen.output
    everywhere = lab_as_aws.chaos.kms("doctor", "--all", **env)
    assert "\torders\t" in everywhere.output, everywhere.output
    refused = lab_as_aws.chaos.run(**env)
    assert f"may not kms:DisableKey on {lab_as_aws.key}" in refused.said

    for call in ("disable_key", "enable_key", "disable_key"):  # as the audit wants them
        getattr(lab_as_aws.client("kms"), call)(KeyId=lab_as_aws.key)
    until(lambda: lab_as_aws.cluster_status().startswith("inaccessible"))
    experiment = tmp_path / "probes.json"
    experiment.write_text(json.dumps(PROBES))
    ran = lab_as_aws.chaos.run(experiment, **env)
    journal = json.loads((lab_as_aws.chaos.folder / "journal.json").read_text())
    assert {each["status"] for each in journal["run"]} == {"succeeded"}, ran.output
    assert journal["run"][-1]["output"]["meaning"] == "recoverable"
    audit = {("cloudtrail", "LookupEvents")}
    assert lab_as_aws.called(looker.access_key) == table(Caller.PROBE) | SECRETS | audit
    kms = looker.client(lab_as_aws.lab, "kms")
    for call in (kms.enable_key, kms.disable_key):
        with pytest.raises(kms.exceptions.ClientError, match="AccessDenied"):
            call(KeyId=lab_as_aws.key)


def test_the_switch_may_put_back_and_do_nothing_else(aws):
    lab_as_aws = aws(iam=True, profile="documented", servers=False)
    role = switch_role(lab_as_aws)
    # Only the lab's own scheduler signs as the service: here the role lets the test in as well.
    everybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    lab_as_aws.client("iam").update_assume_role_policy(
        RoleName=role.rpartition("/")[2],
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everybody]}),
    )
    given = lab_as_aws.client("sts").assume_role(RoleArn=role, RoleSessionName="switch")[
        "Credentials"
    ]

    def call(service, operation, **params):
        asked = boto3.client(
            service,
            endpoint_url=lab_as_aws.lab.endpoint,
            region_name=lab_as_aws.lab.region,
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
        )
        getattr(asked, xform_name(operation))(**params)

    lab_as_aws.client("kms").disable_key(KeyId=lab_as_aws.key)
    until(lambda: lab_as_aws.cluster_status().startswith("inaccessible"))
    call("kms", "EnableKey", KeyId=lab_as_aws.key)
    assert lab_as_aws.key_state() == "Enabled"
    call("rds", "StartDBCluster", DBClusterIdentifier="orders")
    until(lambda: lab_as_aws.cluster_status() == "available")
    for operation in ("DisableKey", "DescribeKey"):
        with pytest.raises(ClientError, match="AccessDenied"):
            call("kms", operation, KeyId=lab_as_aws.key)
    other = lab_as_aws.client("kms").create_key(
        Tags=[{"TagKey": "chaos:allow", "TagValue": "kms"}]
    )["KeyMetadata"]["Arn"]
    with pytest.raises(ClientError, match="AccessDenied"):
        call("kms", "EnableKey", KeyId=other)
    its = {(each.service, each.operation) for each in calls() if Caller.SWITCH in each.callers}
    started = {("rds", "StartDBCluster"), ("rds", "StartDBInstance")}
    assert its == {("kms", "EnableKey")} | started


# With one action taken away


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One lab for everything that is refused: nothing of it may change."""
    lab_as_aws = LabAsAws.start(tmp_path_factory.mktemp("least"), iam=True, servers=False)
    yield lab_as_aws
    lab_as_aws.lab.stop()


@pytest.fixture
def lab_as_aws(shared, tmp_path):
    shared.chaos.folder = tmp_path
    return shared


def resources(lab_as_aws, runner, action):
    """What the policy names for it, but for the stars at its end."""
    document = policy(Caller.RUN, place(lab_as_aws, runner.arn, runner.env["CHAOS_SWITCH_ROLE"]))
    (statement,) = [each for each in document["Statement"] if action in each["Action"]]
    named = statement["Resource"]
    if action in MOTOS:
        return ["*"]
    return [each.rstrip("*") for each in ([named] if isinstance(named, str) else named)]


OFTEN = {"kms:EnableKey", "iam:PassRole", "kms:ListGrants"}


@pytest.mark.parametrize("action", mostly_soak(ACTIONS, lambda action: action in OFTEN))
def test_without_any_one_action_no_key_is_taken_away(lab_as_aws, action):
    runner = somebody(lab_as_aws, Caller.RUN, but=action)
    ran = lab_as_aws.chaos.run(**runner.env)
    assert ran.status == 1
    assert any(
        f"{may_not} {action} on {resource}" in ran.said
        for resource in resources(lab_as_aws, runner, action)
        for may_not in ("not allowed:", "may not")
    ), ran.said
    assert ran.output.count("Traceback") == 0
    assert ("kms", "DisableKey") not in lab_as_aws.called(runner.access_key)
    assert lab_as_aws.key_state() == "Enabled"
    assert schedules(lab_as_aws) == []


def test_without_the_permission_to_list_schedules_restore_says_so(lab_as_aws):
    runner = somebody(lab_as_aws, Caller.RUN, but="scheduler:ListSchedules")
    restored = lab_as_aws.chaos.kms("restore", **runner.env)
    assert restored.status == 1
    assert "not allowed: scheduler:ListSchedules on *" in restored.output


@pytest.mark.parametrize(
    "action", mostly_soak(["kms:EnableKey", "rds:StartDBCluster"], lambda a: a == "kms:EnableKey")
)
def test_a_switch_that_could_not_put_back_is_refused(lab_as_aws, action):
    runner = somebody(lab_as_aws, Caller.RUN)
    switch = runner.env["CHAOS_SWITCH_ROLE"]
    put_policy(lab_as_aws, switch, without(policy(Caller.SWITCH, place(lab_as_aws)), action))
    ran = lab_as_aws.chaos.run(**runner.env)
    assert ran.status == 1
    assert f"{switch} may not {action} on " in ran.said
    assert ("kms", "DisableKey") not in lab_as_aws.called(runner.access_key)


def test_an_undo_that_is_not_proven_takes_a_switch(lab_as_aws):
    """Whether the condition holds when the time has come nobody can tell."""
    runner = somebody(lab_as_aws, Caller.RUN)
    document = policy(Caller.RUN, place(lab_as_aws, runner.arn, runner.env["CHAOS_SWITCH_ROLE"]))
    with_mfa = {
        "Effect": "Allow", "Action": ["kms:EnableKey"], "Resource": lab_as_aws.key,
        "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    }  # fmt: skip
    less = without(document, "kms:EnableKey")
    put_policy(lab_as_aws, runner.arn, {**less, "Statement": [*less["Statement"], with_mfa]})
    fit = lab_as_aws.chaos.kms("doctor", **runner.env)
    assert fit.status == 0, fit.output
    assert "unproven  permissions" in fit.output
    alone = lab_as_aws.chaos.run(**{**runner.env, "CHAOS_SWITCH_ROLE": ""})
    assert alone.status == 1
    assert f"may not kms:EnableKey on {lab_as_aws.key}" in alone.said
    assert "so a switch is needed that surely may put it back (CHAOS_SWITCH_ROLE)" in alone.said
    assert ("kms", "DisableKey") not in lab_as_aws.called(runner.access_key)


@pytest.mark.soak  # a switch fires a minute after its run's own deadline
@pytest.mark.timeout(400)
def test_a_permission_that_goes_in_the_hold_leaves_the_key_to_the_switch(aws):
    lab_as_aws = aws(iam=True, **PATIENT, CHAOS_MAX_KEY_UNUSABLE="15")
    runner = somebody(lab_as_aws, Caller.RUN)
    running = lab_as_aws.chaos.start_run(**runner.env)
    running.until_said(MOMENTS["hold"])
    everything = policy(Caller.RUN, place(lab_as_aws, runner.arn, runner.env["CHAOS_SWITCH_ROLE"]))
    put_policy(lab_as_aws, runner.arn, without(everything, "kms:EnableKey"))
    ran = running.wait()
    assert ran.status == 1
    assert f"not allowed: kms:EnableKey on {lab_as_aws.key}" in ran.output
    assert lab_as_aws.key_state() == "Disabled"
    until(lambda: lab_as_aws.key_state() == "Enabled", 150, every=0.5)
    until(lambda: lab_as_aws.cluster_status() == "available", 330, every=0.5)
    # The watchdog goes on trying: one look that says Enabled may be behind.
    put_policy(lab_as_aws, runner.arn, everything)
    until(lambda: not running.left(), 60, every=0.5)
    assert nothing_is_left(lab_as_aws)
