"""What else hangs on the key, in whole runs: on the lab, and on a lab that plays AWS.

That `kms-dependents` passes on a lab that behaves is shown by `pytest experiments/`.
"""

from __future__ import annotations

import json
import signal

import pytest

from chaosaws_kms_ext.iam.permissions import Caller
from tests.support.chaos_runs import MOMENTS, experiment
from tests.support.identities import document
from tests.support.labs import until
from tests.support.least_privilege import place, somebody
from tests.support.usual_policies import policy

pytestmark = pytest.mark.soak

ERRORS = {
    "bucket": "KMS.DisabledException",
    "parameter": "InvalidKeyId",
    "queue": "KMS.DisabledException",
    "secret": "DecryptionFailure",
    "table": "AccessDeniedException",
}
ON_AWS = {"CHAOS_DEPENDENTS": "look", "CHAOS_HOLD": "4"}


def by_kind(ran):
    return {each["kind"]: each for each in ran.summary["dependents"]}


def test_each_fails_with_its_own_error_and_is_back(chaos):
    ran = chaos.run(experiment("kms-dependents"), CHAOS_DEPENDENTS="look")
    assert ran.status == 0, ran.output
    found = by_kind(ran)
    assert {kind: each["error"] for kind, each in found.items()} == ERRORS
    for each in found.values():
        assert each["first_failure_seconds"] is not None
        assert 0 <= each["back_seconds"] < ran.summary["time_to_recovery_seconds"]
    assert found["queue"]["first_failure_seconds"] >= found["secret"]["first_failure_seconds"]
    assert ran.summary["dependents_unknown"] == {}


def test_what_does_not_come_back_with_the_key_fails_the_run(chaos):
    ran = chaos.run(
        experiment("kms-dependents"),
        CHAOS_DEPENDENTS="look",
        CHAOS_RTO="2400",
        CHAOS_LAB_FAULTS=json.dumps([{"kind": "dependents-stay-lost"}]),
        CHAOS_RECOVERY_STRATEGY="start",
    )
    assert ran.status == 1
    assert ran.summary["verdict"] == "failed", ran.output
    missed = [each for each in ran.summary["objectives"] if each["met"] is False]
    assert [each["name"] for each in missed] == ["dependents_rto"]
    assert any("dependents_rto was not within" in why for why in ran.summary["reasons"])
    found = by_kind(ran)
    for kind in ("bucket", "parameter", "queue", "table"):
        assert found[kind]["why"].startswith("it was not back "), found[kind]
    assert found["secret"]["back_seconds"] is not None


def canaries_on(lab_as_aws, **env):
    return lab_as_aws.chaos.start_run(
        experiment("kms-dependents"), CHAOS_BLAST_RADIUS="5", **ON_AWS, **env
    )


def without_tags(lab_as_aws):
    lab_as_aws.client("secretsmanager").untag_resource(
        SecretId="orders/password", TagKeys=["chaos:allow"]
    )
    tags = [{"Key": "chaos:allow", "Value": "kms"}, {"Key": "env", "Value": "prod"}]
    lab_as_aws.client("ssm").add_tags_to_resource(
        ResourceType="Parameter", ResourceId="/orders/api-token", Tags=tags
    )


def test_what_does_not_carry_the_tag_or_is_production_is_never_touched(aws):
    lab_as_aws = aws(dependents=True)
    without_tags(lab_as_aws)
    before = len(lab_as_aws.lab.requests.read_text().splitlines())
    ran = canaries_on(lab_as_aws).wait()
    found = by_kind(ran)
    assert "does not carry the tag" in found["secret"]["why"]
    assert "production is not attacked" in found["parameter"]["why"]
    lines = lab_as_aws.lab.requests.read_text().splitlines()[before:]
    asked = {json.loads(line)["operation"] for line in lines}
    assert not {"GetSecretValue", "GetParameter"} & asked
    assert {"GetObject", "SendMessage", "GetItem"} <= asked
    assert (found["bucket"]["error"], found["bucket"]["canary"]) == (
        "KMS.DisabledException", "GetObject",
    )  # fmt: skip


def test_the_number_has_to_be_exact_and_names_everything(aws):
    lab_as_aws = aws(dependents=True)
    ran = lab_as_aws.chaos.run(CHAOS_DEPENDENTS="look")
    assert ran.status == 1
    assert "5 other things use the key of orders and would lose it too" in ran.said
    assert "set CHAOS_BLAST_RADIUS=5" in ran.said
    seen = lab_as_aws.chaos.kms("doctor", CHAOS_DEPENDENTS="look", CHAOS_BLAST_RADIUS="5")
    assert seen.status == 0, seen.output
    for said in ("secret orders/password: GetSecretValue fails at once", "queue orders-events: "):
        assert f"ok        dependents    {said}" in seen.output


def test_under_the_printed_policies_all_is_tried_and_without_them_it_is_unknown(aws):
    lab_as_aws = aws(iam=True, dependents=True)
    runner = somebody(lab_as_aws, Caller.RUN)
    env = {
        name: value
        for name, value in runner.env.items()
        if not name.startswith("CHAOS_") or name == "CHAOS_SWITCH_ROLE"
    }
    canary = policy(Caller.CANARY, place(lab_as_aws))
    iam, role = lab_as_aws.client("iam"), runner.arn.rsplit("/", 1)[1]
    denied = canaries_on(lab_as_aws, **env).wait()
    found = by_kind(denied)
    # The lab does not know which secret a call is about, and `run` may read one.
    for kind in set(ERRORS) - {"secret"}:
        assert "not allowed" in found[kind]["why"]
        assert found[kind]["canary"] is None
    # The lab does not know the tags of moto's resources: without their conditions.
    statements = [
        {**each, "Condition": {}} if "sqs:SendMessage" in each["Action"] else each
        for each in canary["Statement"]
    ]
    iam.put_role_policy(RoleName=role, PolicyName="canary", PolicyDocument=document(*statements))
    ran = canaries_on(lab_as_aws, **env).wait()
    tried = {each["kind"] for each in ran.summary["dependents"] if each["canary"]}
    assert tried == set(ERRORS), ran.output


def test_a_run_that_is_killed_leaves_no_canary_and_its_key_is_put_back(aws):
    lab_as_aws = aws(dependents=True)
    running = canaries_on(lab_as_aws)
    running.until_said(MOMENTS["hold"], timeout=90)
    running.signal(signal.SIGKILL)
    running.wait(60)
    until(lambda: lab_as_aws.key_state() == "Enabled")
    until(lambda: not running.left(), every=0.2)
    (folder,) = (lab_as_aws.chaos.folder / "reports" / "kms-dependents").iterdir()
    assert (folder / "history" / "canaries.jsonl").read_text().count("GetSecret") == 0
    judged = lab_as_aws.chaos.kms("report", str(folder))
    assert "secret orders/password failed after" in judged.output


def test_ctrl_c_in_the_hold_ends_the_canaries_with_the_run(aws):
    lab_as_aws = aws(dependents=True)
    running = canaries_on(lab_as_aws)
    running.until_said(MOMENTS["hold"], timeout=90)
    running.signal(signal.SIGINT)
    ran = running.wait()
    assert ran.summary["verdict"] == "aborted"
    assert lab_as_aws.key_state() == "Enabled"
    assert running.left() == []
