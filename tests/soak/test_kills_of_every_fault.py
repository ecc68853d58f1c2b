"""A run that is killed at a call of its fault, or of its undo, leaves its key as it was: every
fault that is registered, on the key of a cluster and on keys that the run made."""

from __future__ import annotations

import json
import signal
from collections import Counter

import pytest

from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.iam.permissions import Caller
from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from tests.support.chaos_runs import (
    MOMENTS,
    at_most_its_schema_is_left,
    experiment,
    nothing_is_left,
)
from tests.support.fault_experiments import experiment_of
from tests.support.labs import until
from tests.support.least_privilege import PATIENT, maker, table

pytestmark = [pytest.mark.soak, pytest.mark.timeout(400)]

ENV = {
    "CHAOS_ALLOW_KEY_DELETION": "yes",
    "CHAOS_WITHOUT_SWITCH": "yes",
    # Shorter than an import token is valid on a lab of this speed.
    "CHAOS_MAX_KEY_UNUSABLE": "90",
    "CHAOS_SELF_RESTART_WITHIN": "5",
}
EARLIER = {"ImportKeyMaterial": 2}
"""Operation → how often it is called before the fault: for the new key, and to verify that KMS
takes the material again."""


def moments(name):
    """Operation, and the how manieth call of it in the run: of the fault and of its undo."""
    needs = FAULTS[name].needs
    called, found = Counter(EARLIER), []
    for action in (needs.inject[-1], *needs.undo):
        service, _, operation = action.partition(":")
        called[operation] += 1
        found.append((service, operation, called[operation]))
    return found


CASES = [
    (name, *moment, when)
    for name in sorted(FAULTS)
    for number, moment in enumerate(moments(name))
    for when in ("before", "after")
    # Only in the hold there is time to say which call is meant; test_every_fault kills a run that
    # waits for the expiry.
    if when == "before" or number > 0 or moment[-1] == 1
]


def keys_as_they_are(lab_as_aws):
    """Every key that is not to be deleted, by what a fault could change of it."""
    kms, found = lab_as_aws.client("kms"), {}
    for each in kms.list_keys()["Keys"]:
        said = kms.describe_key(KeyId=each["KeyId"])["KeyMetadata"]
        found[each["KeyId"]] = {
            "state": said["KeyState"],
            "deletion": said.get("DeletionDate"),
            "expiry": (said.get("ExpirationModel"), said.get("ValidTo")),
            "policy": json.loads(kms.get_key_policy(KeyId=each["KeyId"])["Policy"]),
            "tags": sorted(map(str, kms.list_resource_tags(KeyId=each["KeyId"])["Tags"])),
        }
    return found


def is_as_made(key):
    """Whether a key that a run made is as it was before its fault."""
    statements = key["policy"]["Statement"]
    return (
        key["state"] == "Enabled"
        and key["expiry"] in [(None, None), ("KEY_MATERIAL_DOES_NOT_EXPIRE", None)]
        and not any(each["Effect"] == "Deny" for each in statements)
    )


@pytest.mark.parametrize(("name", "service", "operation", "times", "when"), CASES)
def test_a_run_that_is_killed_at_a_call_leaves_its_key_as_before(
    aws, name, service, operation, times, when
):
    """Before: the call has not been made. After: it was, and its answer has not come."""
    lab_as_aws = aws(profile="documented", **ENV)
    before = keys_as_they_are(lab_as_aws)
    misbehaviours = Misbehaviours.of(lab_as_aws.lab)
    order = {"kind": "delay", "service": service, "operation": operation, "seconds": 3.0}
    if when == "before":
        misbehaviours.order(**order, count=times)
    running = lab_as_aws.chaos.start_run(experiment(experiment_of(name)))
    if when == "after":
        if times > 1:
            running.until_said(MOMENTS["hold"], 150)
        # Carried out, and then the answer is lost: the SDK tries again, and waits here.
        misbehaviours.order(kind="error-after", service=service, operation=operation, count=1)
        misbehaviours.order(**order, count=2)

    def met():
        return not misbehaviours.holding() or running.process.poll() is not None

    until(met, 150, every=0.01)
    assert running.process.poll() is None, running.output
    running.signal(signal.SIGKILL)
    running.wait(5)

    def all_back():
        now = keys_as_they_are(lab_as_aws)
        own = [key for arn, key in now.items() if arn not in before]
        return {arn: now[arn] for arn in before} == before and all(map(is_as_made, own))

    until(lambda: not running.left(), 90, every=0.2)
    until(all_back, 10, every=0.2)
    assert at_most_its_schema_is_left(lab_as_aws)


# Under the printed policies: the one fault that test_every_fault leaves out

POLICY = FAULTS["put-key-policy"].needs


def test_a_policy_is_put_back_under_the_printed_policies(aws):
    lab_as_aws = aws(iam=True, **PATIENT)
    who = maker(lab_as_aws, faults=["put-key-policy"])
    ran = lab_as_aws.chaos.run(experiment("policy-deny"), **who.env, **ENV)
    assert ran.status == 0, ran.output
    allowed = [table(caller, ["put-key-policy"]) for caller in (Caller.RUN, Caller.MAKER)]
    assert lab_as_aws.called(who.access_key) <= set().union(*allowed)
    assert nothing_is_left(lab_as_aws)


@pytest.mark.parametrize("action", sorted({*POLICY.inject, *POLICY.undo, *POLICY.look}))
def test_without_an_action_on_the_policy_the_step_names_it_and_nothing_stays(aws, action):
    lab_as_aws = aws(iam=True)
    who = maker(lab_as_aws, but=action, faults=["put-key-policy"])
    ran = lab_as_aws.chaos.run(experiment("policy-deny"), **who.env, **ENV)
    assert ran.status == 1
    assert f"not allowed: {action} on arn:aws:kms:" in ran.output
    assert "PutKeyPolicy" not in lab_as_aws.mutating_calls() or action == "kms:PutKeyPolicy"
    # Who may not put a policy may not put it back either, and nobody knows whether the call was
    # carried out: the entry stays, for somebody who may.
    restored = lab_as_aws.chaos.kms("restore")
    assert restored.status == 0, restored.output
    assert nothing_is_left(lab_as_aws)
