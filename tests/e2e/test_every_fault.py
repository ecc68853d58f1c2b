"""What holds for every fault that takes a cluster's key: permissions, kills, and the way back."""

from __future__ import annotations

import json
import signal

import pytest

from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.iam.permissions import Caller
from tests.support.chaos import LabAsAws
from tests.support.chaos_runs import (
    MOMENTS,
    at_most_its_schema_is_left,
    experiment,
    nothing_is_left,
    schedules,
)
from tests.support.labs import mostly_soak, until
from tests.support.least_privilege import PATIENT, somebody, table

EXPERIMENTS = {
    "deny-rds": "kms-policy-deny",
    "disable-key": "kms-disable",
    "schedule-key-deletion": "kms-pending-deletion",
}
"""Fault → the experiment that is about it."""

CONSENT = {"CHAOS_ALLOW_KEY_DELETION": "yes", "CHAOS_WITHOUT_SWITCH": "yes"}


def test_every_fault_of_a_clusters_key_has_its_experiment():
    assert set(EXPERIMENTS) == {name for name, each in FAULTS.items() if each.on == "target"}
    for name, its in EXPERIMENTS.items():
        text = experiment(its).read_text()
        assert f'"name": "{name}"' in text or f'"func": "{name.replace("-", "_")}"' in text


def key_as_it_is(lab_as_aws):
    """Everything of the key that a fault could leave changed."""
    kms, key = lab_as_aws.client("kms"), lab_as_aws.key
    said = kms.describe_key(KeyId=key)["KeyMetadata"]
    return {
        "state": said["KeyState"],
        "deletion": said.get("DeletionDate"),
        "policy": json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]),
        "tags": sorted(map(str, kms.list_resource_tags(KeyId=key)["Tags"])),
        "aliases": sorted(each["AliasName"] for each in kms.list_aliases(KeyId=key)["Aliases"]),
        "grants": sorted(each["GrantId"] for each in kms.list_grants(KeyId=key)["Grants"]),
    }


@pytest.mark.parametrize("name", mostly_soak(list(EXPERIMENTS), lambda name: name == "deny-rds"))
def test_it_passes_on_aws_under_the_printed_policy_and_the_key_is_as_before(aws, name):
    lab_as_aws = aws(iam=True, **PATIENT, **CONSENT)
    before = key_as_it_is(lab_as_aws)
    who = somebody(lab_as_aws, Caller.RUN, faults=[name])
    ran = lab_as_aws.chaos.run(experiment(EXPERIMENTS[name]), **who.env)
    assert ran.status == 0, ran.output
    assert ran.summary["timeline"]["inaccessible"]
    assert key_as_it_is(lab_as_aws) == before
    assert lab_as_aws.called(who.access_key) <= table(Caller.RUN, [name])
    assert schedules(lab_as_aws) == []
    assert nothing_is_left(lab_as_aws)


@pytest.mark.parametrize(
    ("name", "moment"),
    mostly_soak(
        [(name, moment) for name in EXPERIMENTS for moment in ("impact", "hold", "recovery")],
        lambda case: case == ("schedule-key-deletion", "hold"),
    ),
)
def test_a_run_that_is_killed_leaves_the_key_as_before(aws, name, moment):
    lab_as_aws = aws(profile="documented", **CONSENT)
    before = key_as_it_is(lab_as_aws)
    running = lab_as_aws.chaos.start_run(experiment(EXPERIMENTS[name]))
    running.until_said(MOMENTS[moment])
    running.signal(signal.SIGKILL)
    running.wait(5)
    until(lambda: key_as_it_is(lab_as_aws) == before, timeout=20, every=0.2)
    until(lambda: not running.left(), timeout=60, every=0.2)
    until(lambda: lab_as_aws.cluster_status() == "available", timeout=60, every=0.2)
    assert at_most_its_schema_is_left(lab_as_aws)


# With one action taken away


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """One lab for everything that is refused: nothing of it may change."""
    lab_as_aws = LabAsAws.start(tmp_path_factory.mktemp("faults"), iam=True)
    yield lab_as_aws
    lab_as_aws.lab.stop()


OF_FAULTS = sorted(
    {
        (name, action)
        for name in EXPERIMENTS
        for needs in [FAULTS[name].needs]
        for action in (*needs.inject, *needs.undo, *needs.look)
    }
)


@pytest.mark.parametrize(
    ("name", "action"), mostly_soak(OF_FAULTS, lambda case: case[1] == "kms:CancelKeyDeletion")
)
def test_without_any_one_of_its_actions_it_is_refused_by_name(strict, tmp_path, name, action):
    strict.chaos.folder = tmp_path
    before = key_as_it_is(strict)
    who = somebody(strict, Caller.RUN, but=action, faults=[name])
    ran = strict.chaos.run(experiment(EXPERIMENTS[name]), **who.env, **CONSENT)
    assert ran.status == 1
    assert action in ran.said
    assert "not allowed: " in ran.said or "may not " in ran.said
    assert key_as_it_is(strict) == before
