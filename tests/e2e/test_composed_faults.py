"""Whole runs with several faults on one key: measured, killed, and where an undo does not work."""

from __future__ import annotations

import json
import signal

import pytest

from chaosaws_kms_ext.iam.permissions import Caller
from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from tests.support.chaos_runs import (
    MOMENTS,
    at_most_its_schema_is_left,
    experiment,
    nothing_is_left,
    schedules,
    switch_role,
)
from tests.support.labs import until
from tests.support.least_privilege import PATIENT, somebody, table

pytestmark = pytest.mark.soak

CONSENT = {"CHAOS_ALLOW_KEY_DELETION": "yes", "CHAOS_WITHOUT_SWITCH": "yes"}
LISTS = [
    ("disable-key", "deny-rds"),
    ("deny-rds", "disable-key", "schedule-key-deletion"),
]


def composed(tmp_path, names):
    """kms-disable, with several faults in its one step."""
    content = json.loads(experiment("kms-disable").read_text())
    provider = content["method"][0]["provider"]
    provider["func"] = "inject_fault"
    provider["arguments"] = {"faults": [{"name": name} for name in names]}
    content["rollbacks"][0]["provider"]["func"] = "undo_faults"
    path = tmp_path / "composed.json"
    path.write_text(json.dumps(content))
    return path


def key_as_it_is(lab_as_aws):
    kms, key = lab_as_aws.client("kms"), lab_as_aws.key
    said = kms.describe_key(KeyId=key)["KeyMetadata"]
    policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    return said["KeyState"], said.get("DeletionDate"), policy


@pytest.mark.parametrize("names", LISTS, ids="+".join)
def test_a_run_passes_under_the_printed_policy_and_the_key_is_as_before(aws, tmp_path, names):
    lab_as_aws = aws(iam=True, **PATIENT, **CONSENT)
    before = key_as_it_is(lab_as_aws)
    who = somebody(lab_as_aws, Caller.RUN, faults=names)
    ran = lab_as_aws.chaos.run(composed(tmp_path, names), **who.env)
    assert ran.status == 0, ran.output
    assert ran.summary["timeline"]["inaccessible"]
    assert key_as_it_is(lab_as_aws) == before
    assert lab_as_aws.called(who.access_key) <= table(Caller.RUN, names)
    assert nothing_is_left(lab_as_aws)


@pytest.mark.parametrize("names", LISTS, ids="+".join)
@pytest.mark.parametrize("moment", ["impact", "hold", "recovery"])
def test_a_run_that_is_killed_leaves_the_key_as_before(aws, tmp_path, names, moment):
    lab_as_aws = aws(profile="documented", **CONSENT)
    before = key_as_it_is(lab_as_aws)
    running = lab_as_aws.chaos.start_run(composed(tmp_path, names))
    running.until_said(MOMENTS[moment])
    running.signal(signal.SIGKILL)
    running.wait(60)
    until(lambda: key_as_it_is(lab_as_aws) == before, timeout=30, every=0.2)
    until(lambda: not running.left(), every=0.2)
    until(lambda: lab_as_aws.cluster_status() == "available", timeout=60, every=0.2)
    assert at_most_its_schema_is_left(lab_as_aws)


CALLS = ["DisableKey", "PutKeyPolicy", "ScheduleKeyDeletion", "CancelKeyDeletion", "EnableKey"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", CALLS)
def test_a_run_that_is_killed_at_one_of_its_calls_leaves_the_key_as_before(
    aws, tmp_path, operation, when
):
    lab_as_aws = aws(profile="documented", CHAOS_SELF_RESTART_WITHIN="5", **CONSENT)
    before = key_as_it_is(lab_as_aws)
    misbehaviours = Misbehaviours.of(lab_as_aws.lab)
    order = {"service": "kms", "operation": operation, "seconds": 3.0}
    if when == "before":
        misbehaviours.order(kind="delay", count=1, **order)
    else:
        misbehaviours.order(kind="error-after", service="kms", operation=operation, count=1)
        misbehaviours.order(kind="delay", count=2, **order)
    running = lab_as_aws.chaos.start_run(composed(tmp_path, LISTS[1]))
    until(lambda: not misbehaviours.holding() or running.process.poll() is not None, 90, every=0.01)
    assert running.process.poll() is None, running.output
    running.signal(signal.SIGKILL)
    running.wait(60)
    until(lambda: key_as_it_is(lab_as_aws) == before, timeout=60, every=0.2)
    until(lambda: not running.left(), every=0.2)
    assert key_as_it_is(lab_as_aws) == before
    assert at_most_its_schema_is_left(lab_as_aws)


def test_an_undo_that_fails_is_named_and_the_other_is_made(aws, tmp_path):
    lab_as_aws = aws(profile="documented", CHAOS_RECOVERY_TIMEOUT="5", **CONSENT)
    before = key_as_it_is(lab_as_aws)
    misbehaviours = Misbehaviours.of(lab_as_aws.lab)
    running = lab_as_aws.chaos.start_run(composed(tmp_path, LISTS[0]))
    running.until_said(MOMENTS["hold"])
    misbehaviours.order(kind="expired-token", service="kms", operation="PutKeyPolicy")
    ran = running.wait(200)
    assert ran.status == 1
    (said,) = [e for e in ran.summary["reasons"] if "was NOT put back: run `chaos kms" in e]
    assert "which calls kms:PutKeyPolicy by the undo journal's entry /" in said
    assert key_as_it_is(lab_as_aws)[0] == "Enabled"
    misbehaviours.clear()
    until(lambda: key_as_it_is(lab_as_aws) == before, timeout=60, every=0.2)  # its watchdog
    until(lambda: not running.left(), every=0.2)
    assert at_most_its_schema_is_left(lab_as_aws)


def test_the_switch_has_what_it_can_call_and_the_run_says_what_it_cannot(aws, tmp_path):
    lab_as_aws = aws(CHAOS_SELF_RESTART_WITHIN="5", **CONSENT)
    role = switch_role(lab_as_aws)
    refused = lab_as_aws.chaos.run(
        composed(tmp_path, LISTS[0]), CHAOS_SWITCH_ROLE=role, CHAOS_WITHOUT_SWITCH="no"
    )
    assert refused.status == 1
    assert "no switch can put this back (kms:PutKeyPolicy)" in refused.said
    assert "DisableKey" not in lab_as_aws.mutating_calls()
    running = lab_as_aws.chaos.start_run(composed(tmp_path, LISTS[0]), CHAOS_SWITCH_ROLE=role)
    running.until_said(MOMENTS["hold"])
    key_id = lab_as_aws.key.rpartition("/")[2]
    assert schedules(lab_as_aws) == [f"start-{key_id}", f"undo-{key_id}"]
    assert "for kms:EnableKey alone" in running.output
    assert "nobody calls kms:PutKeyPolicy" in running.output
    ran = running.wait()
    assert ran.status == 0, ran.output
    assert schedules(lab_as_aws) == []


def test_a_second_list_in_the_same_run_comes_after_the_first_is_over(aws, tmp_path):
    """Of two outages only one can be measured, and the run says so."""
    lab_as_aws = aws(CHAOS_SELF_RESTART_WITHIN="5", **CONSENT)
    content = json.loads(composed(tmp_path, LISTS[0]).read_text())
    content["method"].append({**content["method"][0], "name": "once-more"})
    path = tmp_path / "twice.json"
    path.write_text(json.dumps(content))
    ran = lab_as_aws.chaos.run(path)
    assert ran.status == 1
    assert "action once-more: " in ran.summary["reasons"][0]
    assert nothing_is_left(lab_as_aws)
