"""What holds for every fault that takes a cluster's key, or one that the run made and a cluster is
under: permissions, kills, and the way back."""

from __future__ import annotations

import json
import signal

import pytest

from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.iam.permissions import Caller
from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from tests.support.chaos import LabAsAws
from tests.support.chaos_runs import (
    MOMENTS,
    at_most_its_schema_is_left,
    experiment,
    nothing_is_left,
    schedules,
)
from tests.support.labs import mostly_soak, until
from tests.support.least_privilege import PATIENT, maker, somebody, table

EXPERIMENTS = {
    "deny-rds": "kms-policy-deny",
    "disable-key": "kms-disable",
    "disconnect-key-store": "kms-keystore-disconnected",
    "schedule-key-deletion": "kms-pending-deletion",
}
"""Fault → the experiment that is about it."""

CONSENT = {
    "CHAOS_ALLOW_KEY_DELETION": "yes",
    "CHAOS_ALLOW_KEY_STORE": "yes",
    "CHAOS_WITHOUT_SWITCH": "yes",
}

IN_STORE = {"disconnect-key-store": "external"}
"""Fault → the custom key store of the key that it takes away."""


def with_its_key(aws, name, **more):
    """A lab whose key is where the fault needs it."""
    return aws(key_store=IN_STORE.get(name, "no"), **more, **CONSENT)


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


@pytest.mark.soak
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_it_passes_on_aws_under_the_printed_policy_and_the_key_is_as_before(aws, name):
    lab_as_aws = with_its_key(aws, name, iam=True, **PATIENT)
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
    lab_as_aws = with_its_key(aws, name, profile="documented")
    before = key_as_it_is(lab_as_aws)
    running = lab_as_aws.chaos.start_run(experiment(EXPERIMENTS[name]))
    running.until_said(MOMENTS[moment])
    running.signal(signal.SIGKILL)
    running.wait(60)
    until(lambda: key_as_it_is(lab_as_aws) == before, timeout=20, every=0.2)
    until(lambda: not running.left(), every=0.2)
    until(lambda: lab_as_aws.cluster_status() == "available", timeout=60, every=0.2)
    assert at_most_its_schema_is_left(lab_as_aws)


# With one action taken away


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """One lab for everything that is refused: nothing of it may change."""
    lab_as_aws = LabAsAws.start(tmp_path_factory.mktemp("faults"), iam=True, key_store="external")
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


# On a key that the run made

OF_ITS_OWN = {
    "delete-key-material": "kms-material-deleted",
    "expire-key-material": "kms-material-expired",
    "put-key-policy": "policy-deny",
}
"""Fault → the experiment that is about it."""
MATERIAL = [name for name in OF_ITS_OWN if name.endswith("-material")]

SHORT = {"CHAOS_MAX_KEY_UNUSABLE": "90"}
"""Shorter than an import token is valid on a lab of this speed."""


def test_every_fault_of_a_key_of_the_runs_own_has_its_experiment():
    assert set(OF_ITS_OWN) == {name for name, each in FAULTS.items() if each.on == "own"}


def made(lab_as_aws):
    """The key that a run has made, as KMS describes it now."""
    kms, found = lab_as_aws.client("kms"), []
    for each in kms.list_keys()["Keys"]:
        said = kms.describe_key(KeyId=each["KeyId"])["KeyMetadata"]
        if said["Origin"] == "EXTERNAL":
            found.append(said)
    (key,) = found
    return {name: key.get(name) for name in ("KeyState", "ExpirationModel", "CurrentKeyMaterialId")}


WITH_MATERIAL = {"KeyState": "Enabled", "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}


def has_its_material(lab_as_aws):
    said = made(lab_as_aws)
    return said["CurrentKeyMaterialId"] and WITH_MATERIAL.items() <= said.items()


@pytest.mark.soak
@pytest.mark.parametrize("name", MATERIAL)
def test_material_comes_back_on_aws_under_the_printed_policies(aws, name):
    lab_as_aws = aws(iam=True, **PATIENT, **SHORT)
    who = maker(lab_as_aws, faults=[name])
    ran = lab_as_aws.chaos.run(experiment(OF_ITS_OWN[name]), **who.env)
    assert ran.status == 0, ran.output
    assert ran.summary["timeline"]["inaccessible"]
    assert lab_as_aws.called(who.access_key) <= table(Caller.RUN, [name]) | table(
        Caller.MAKER, [name]
    )
    # As the deletion of a key leaves it: with its material.
    assert made(lab_as_aws)["KeyState"] == "PendingDeletion"
    assert made(lab_as_aws)["ExpirationModel"] == "KEY_MATERIAL_DOES_NOT_EXPIRE"
    assert schedules(lab_as_aws) == []
    assert nothing_is_left(lab_as_aws)


@pytest.mark.soak
@pytest.mark.parametrize("name", MATERIAL)
@pytest.mark.parametrize("moment", ["impact", "hold", "recovery"])
def test_the_watchdog_of_a_killed_run_imports_the_material(aws, name, moment):
    lab_as_aws = aws(profile="documented", **SHORT)
    running = lab_as_aws.chaos.start_run(experiment(OF_ITS_OWN[name]))
    running.until_said(MOMENTS[moment].replace("wait-for-recovery", "see-it-recover"), 90)
    running.signal(signal.SIGKILL)
    running.wait(60)
    until(lambda: has_its_material(lab_as_aws), timeout=20, every=0.2)
    until(lambda: not running.left(), every=0.2)
    rds = lab_as_aws.client("rds")
    statuses = {each["Status"] for each in rds.describe_db_clusters()["DBClusters"]}
    assert statuses == {"available"}
    restored = lab_as_aws.chaos.kms("restore")
    assert restored.status == 0, restored.output
    assert "ImportKeyMaterial" not in restored.output
    assert made(lab_as_aws)["KeyState"] == "PendingDeletion"
    assert nothing_is_left(lab_as_aws)


@pytest.mark.soak
def test_a_run_that_waits_for_the_expiry_and_is_killed_leaves_no_expiry(aws):
    lab_as_aws = aws(profile="documented", **SHORT)
    running = lab_as_aws.chaos.start_run(experiment("kms-material-expired"))
    running.until_said("Action: let-the-material-expire", 90)
    until(lambda: made(lab_as_aws)["ExpirationModel"] == "KEY_MATERIAL_EXPIRES", timeout=20)
    running.signal(signal.SIGKILL)
    running.wait(60)
    until(lambda: has_its_material(lab_as_aws), timeout=20, every=0.2)
    until(lambda: not running.left(), every=0.2)
    assert lab_as_aws.chaos.kms("restore").status == 0


OF_MATERIAL = [
    (name, action)
    for name in MATERIAL
    for action in dict.fromkeys((*FAULTS[name].needs.inject, *FAULTS[name].needs.undo))
]


@pytest.mark.soak
@pytest.mark.parametrize(("name", "action"), OF_MATERIAL)
def test_without_any_one_of_its_actions_the_step_names_it_and_nothing_stays(aws, name, action):
    lab_as_aws = aws(iam=True, **SHORT)
    who = maker(lab_as_aws, but=action, faults=[name])
    ran = lab_as_aws.chaos.run(experiment(OF_ITS_OWN[name]), **who.env)
    assert ran.status == 1
    assert f"not allowed: {action} on arn:aws:kms:" in ran.summary["reasons"][0]
    assert made(lab_as_aws)["KeyState"] == "PendingDeletion"
    assert nothing_is_left(lab_as_aws)


@pytest.mark.soak
def test_material_that_kms_does_not_take_back_fails_the_run_until_somebody_restores(aws):
    lab_as_aws = aws(profile="documented", CHAOS_HOLD="10", **SHORT)
    misbehaviours = Misbehaviours.of(lab_as_aws.lab)
    running = lab_as_aws.chaos.start_run(experiment("kms-material-deleted"))
    running.until_said(MOMENTS["hold"], 90)
    misbehaviours.order(kind="error", service="kms", operation="ImportKeyMaterial")
    running.until_said("NOT put back", 200)
    misbehaviours.clear()
    ran = running.wait(200)
    assert ran.status == 1
    said = ran.summary["reasons"]
    assert any("ImportKeyMaterial failed with KMSInternal" in each for each in said)
    until(lambda: not running.left(), every=0.2)
    assert lab_as_aws.chaos.kms("restore").status == 0
    assert nothing_is_left(lab_as_aws)


@pytest.mark.soak
def test_a_write_that_is_lost_with_the_material_fails_the_run(aws):
    lab_as_aws = aws(CHAOS_HOLD="10", **SHORT)
    running = lab_as_aws.chaos.start_run(experiment("kms-material-expired"))
    running.until_said(MOMENTS["hold"], 90)
    found = lab_as_aws.client("rds").describe_db_clusters()["DBClusters"]
    (own,) = [name for each in found if (name := each["DBClusterIdentifier"]) != "orders"]
    Misbehaviours.of(lab_as_aws.lab).order(kind="lose-writes", cluster=own, writes=3)
    ran = running.wait(200)
    assert ran.status == 1
    (why,) = [each for each in ran.summary["reasons"] if "lost_writes" in each]
    assert why.startswith("objective missed: lost_writes was ")


@pytest.mark.soak
def test_a_run_that_may_outlive_its_import_token_deletes_nothing(aws):
    lab_as_aws = aws()
    ran = lab_as_aws.chaos.run(experiment("kms-material-deleted"))
    assert ran.status == 1
    assert "AWS takes its undo (the import token) for " in ran.summary["reasons"][0]
    assert "DeleteImportedKeyMaterial" not in lab_as_aws.mutating_calls()
    assert nothing_is_left(lab_as_aws)
