"""Each experiment fails when the lab misbehaves, and says what was wrong.

That each passes on a lab that behaves is shown by `pytest experiments/`.
"""

from __future__ import annotations

import json
import re

import pytest

from tests.support.chaos_runs import TRIES, error, experiment

pytestmark = pytest.mark.thorough

KEY = r"arn:aws:kms:eu-west-1:123456789012:key/[0-9a-f-]{36}"
MADE = r"chaos-\d{8}t\d{6}z-[0-9a-f]{6}"


def misbehaving(chaos, name, *misbehaviours, **env):
    """A run on a lab with these misbehaviours, and what its verdict says."""
    ran = chaos.run(
        experiment(name),
        CHAOS_LAB_FAULTS=json.dumps(misbehaviours),
        CHAOS_RECOVERY_STRATEGY="start",
        **env,
    )
    assert ran.status == 1, ran.output
    assert "Traceback" not in ran.output
    return ran


def reasons(ran, verdict="failed"):
    summary = ran.summary
    assert summary["verdict"] == verdict, ran.output
    return summary["reasons"]


def of_orders(kind):
    return {"kind": kind, "cluster": "orders"}


def missed(ran):
    """The objectives that were measured and not met."""
    return [each["name"] for each in ran.summary["objectives"] if each["met"] is False]


def done(ran, part="run"):
    """What was done of the method, by name and status."""
    journal = json.loads((ran.reports / "latest" / "journal.json").read_text())
    return {each["activity"]["name"]: each["status"] for each in journal[part]}


# Copies of snapshots


@pytest.mark.parametrize(
    "name", ["snapshot-rekey", pytest.param("backup-under-same-key", marks=pytest.mark.soak)]
)
def test_a_copy_that_stays_under_its_key_is_found_before_any_key_is_taken_away(chaos, name):
    ran = misbehaving(chaos, name, of_orders("copy-keeps-key"))
    why, *rest = reasons(ran)
    a = ran.summary["key"]
    found = re.fullmatch(
        rf"action copy-under-b: the copy {MADE}-under-b is encrypted under ({KEY}), "
        rf"and not under ({KEY})",
        why,
    )
    assert found
    assert found[1] == a
    assert found[2] != a
    assert rest == ["no fault was injected"]
    assert ran.summary["timeline"]["fault_injected"] is None
    assert list(done(ran).items())[-1] == ("copy-under-b", "failed")
    assert set(done(ran, "rollbacks").values()) == {"succeeded"}


@pytest.mark.soak
def test_a_copy_that_only_claims_to_be_under_another_key_keeps_the_guard_from_taking_the_key(chaos):
    """Aurora's grant for the restored cluster gives it away."""
    ran = misbehaving(chaos, "snapshot-rekey", of_orders("copy-hides-key"))
    assert re.match(
        r"1 other things use the key of orders and would lose it too \(grant to rds\.", ran.said
    )
    assert "Action: query-the-restored-cluster" in ran.output
    assert "Probe: wait-until-the-cluster-is-inaccessible" not in ran.output


@pytest.mark.soak
def test_a_row_that_is_not_as_it_was_in_the_copy_is_found(chaos):
    ran = misbehaving(chaos, "snapshot-rekey", of_orders("row-changed-in-copy"))
    assert (
        reasons(ran)[0]
        == "action the-rows-are-the-same returned False, and its tolerance is not met"
    )
    said = re.search(rf"users has 4 rows in {MADE}-restored and 4 in orders, but not", ran.output)
    assert said
    assert list(done(ran))[-1] == "the-rows-are-the-same"


# The key itself


def test_a_rotation_after_which_old_data_cannot_be_read_is_found(chaos):
    ran = misbehaving(chaos, "key-rotation", of_orders("rotation-breaks-reads"))
    said = reasons(ran)
    assert said[0] == (
        "the steady-state hypothesis did not hold after the method: "
        "what-was-sealed-before-decrypts returned False, and its tolerance is not met"
    )
    assert missed(ran) == ["missed_arrivals"]
    assert any(each.startswith("objective missed: missed_arrivals ") for each in said)
    assert ran.summary["missed_arrivals"] > 100


def test_a_kms_that_ignores_the_encryption_context_is_found(chaos):
    ran = misbehaving(chaos, "encryption-context", {"kind": "context-ignored"})
    assert reasons(ran) == [
        "the steady-state hypothesis did not hold after the method: "
        "no-context-does-not returned True, and its tolerance is not met",
        "objective missed: wrong_contexts was 1, and its limit is 0",
    ]
    assert [(each["same"], each["decrypted"]) for each in ran.summary["contexts"]] == [
        (True, True),
        (False, True),
    ]


def altered(tmp_path, name, change):
    """The experiment, but for what `change` does to its activities by name."""
    content = json.loads(experiment(name).read_text())
    change({each["name"]: each for each in content["method"]})
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.soak
def test_a_deny_that_keeps_aurora_from_nothing_is_found(chaos, tmp_path):
    def spare_the_account(method):
        both = method["deny-everybody-but-us-and-the-account"]["provider"]["arguments"]["policy"]
        method["deny-everybody-but-us"]["provider"]["arguments"]["policy"] = both
        del method["the-policy-does-not-let-aurora"]["tolerance"]

    ran = chaos.run(altered(tmp_path, "policy-deny", spare_the_account))
    assert ran.status == 1
    assert re.match(
        rf"action no-cluster-can-be-made-under-it: a cluster was made under {KEY}, whose key is "
        "Enabled: it should not have been possible",
        reasons(ran)[0],
    )
    assert set(done(ran, "rollbacks").values()) == {"succeeded"}


@pytest.mark.soak
def test_a_deny_that_is_not_the_one_that_was_meant_is_found(chaos, tmp_path):
    def spare_the_account(method):
        both = method["deny-everybody-but-us-and-the-account"]["provider"]["arguments"]["policy"]
        method["deny-everybody-but-us"]["provider"]["arguments"]["policy"] = both

    ran = chaos.run(altered(tmp_path, "policy-deny", spare_the_account))
    assert (
        reasons(ran)[0]
        == "action the-policy-does-not-let-aurora returned True, and its tolerance is not met"
    )


def test_material_that_is_gone_although_nobody_answered_comes_back_and_the_run_fails(chaos):
    silent = {"kind": "cut-after", "service": "kms", "operation": "DeleteImportedKeyMaterial"}
    ran = misbehaving(chaos, "kms-material-deleted", silent)
    assert reasons(ran)[0].startswith(
        "action delete-the-material: kms:DeleteImportedKeyMaterial got no answer: "
    )
    assert list(done(ran))[-1] == "delete-the-material"
    assert set(done(ran, "rollbacks").values()) == {"succeeded"}
    assert not any(each.startswith(("rollback", "left behind")) for each in reasons(ran))


# What a failover, and a short loss, must not do


@pytest.mark.soak
def test_a_failover_that_is_accepted_without_the_key_is_found(chaos):
    ran = misbehaving(chaos, "kms-failover", of_orders("failover-without-key"))
    assert re.match(
        "action another-failover-is-refused: RDS accepted a failover of orders, which is inacc",
        reasons(ran)[0],
    )
    assert list(done(ran))[-1] == "another-failover-is-refused"
    assert set(done(ran, "rollbacks").values()) == {"succeeded"}


@pytest.mark.soak
def test_a_failover_that_rds_refuses_before_the_loss_ends_the_method(chaos):
    ran = misbehaving(chaos, "kms-failover", error("rds", "FailoverDBCluster"))
    assert reasons(ran)[0].startswith("action fail-over: failed issuing a failover for DB cluster")
    assert list(done(ran))[-1] == "fail-over"
    assert ran.summary["timeline"]["fault_injected"] is None


@pytest.mark.soak
def test_a_short_loss_that_is_noticed_is_found(chaos):
    ran = misbehaving(chaos, "kms-flap", {**of_orders("detection-lag"), "seconds": 60})
    assert missed(ran) == ["missed_arrivals"]
    assert ran.summary["blinks"][0]["outage"] is True


@pytest.mark.soak
def test_a_shortest_blink_that_is_noticed_is_found(chaos):
    ran = misbehaving(chaos, "kms-longest-blink", {**of_orders("detection-lag"), "seconds": 20})
    assert missed(ran) == ["longest_blink"]
    assert ran.summary["blink_steps"] == 1
    assert ran.summary["longest_blink_without_outage_seconds"] is None


# What the API does not do


@pytest.mark.parametrize("kind", [pytest.param("throttling", marks=pytest.mark.soak), "error"])
def test_what_cloudtrail_does_not_tell_is_unknown(chaos, kind):
    silent = {"kind": kind, "service": "cloudtrail", "operation": "LookupEvents"}
    ran = misbehaving(chaos, "audit-trail", silent)
    said = reasons(ran, "inconclusive")
    key = ran.summary["key"]
    for call in ("DisableKey", "EnableKey"):
        assert f"{call} of {key}: not delivered within 900 s" in said
    assert any(each.startswith("a failed Decrypt of the database ") for each in said)
    assert any(each.startswith("CloudTrail could not be asked: cloudtrail:Look") for each in said)
    assert said[-1] == "objective misattributed_calls could not be judged"
    assert missed(ran) == []
    assert ran.summary["audit"]["disabled_by"] is None


STEPS = [
    ("cmk-encryption", "kms", "CreateKey", "make-key"),
    ("cmk-encryption", "kms", "CreateAlias", "make-key"),
    ("cmk-encryption", "rds", "CreateDBCluster", "make-cluster"),
    ("cmk-encryption", "rds", "CreateDBInstance", "make-cluster"),
    ("snapshot-rekey", "rds", "CreateDBClusterSnapshot", "snapshot"),
    ("snapshot-rekey", "rds", "CopyDBClusterSnapshot", "copy-under-b"),
    ("snapshot-rekey", "rds", "RestoreDBClusterFromSnapshot", "restore-under-b"),
    ("backup-under-same-key", "rds", "CreateDBInstance", "restore-the-copy-under-b"),
    ("key-rotation", "kms", "RotateKeyOnDemand", "rotate-the-key"),
    ("encryption-context", "kms", "Encrypt", "seal"),
    ("policy-deny", "kms", "PutKeyPolicy", "deny-everybody-but-us"),
    ("audit-trail", "kms", "DisableKey", "disable-the-key"),
    ("kms-material-deleted", "kms", "DeleteImportedKeyMaterial", "delete-the-material"),
    ("kms-material-deleted", "kms", "GetParametersForImport", "make-key"),
    ("kms-material-expired", "kms", "ImportKeyMaterial", "make-key"),
]


@pytest.mark.soak
@pytest.mark.parametrize(("name", "service", "operation", "step"), STEPS)
def test_the_step_that_fails_is_the_reason_and_the_last_of_the_method(
    chaos, name, service, operation, step
):
    ran = misbehaving(chaos, name, error(service, operation, TRIES))
    why = reasons(ran)[0]
    assert why.startswith(f"action {step}: {service}:{operation} failed with ")
    assert list(done(ran).items())[-1] == (step, "failed")
    assert set(done(ran, "rollbacks").values()) <= {"succeeded"}
    assert not any(each.startswith(("rollback", "left behind")) for each in reasons(ran))
