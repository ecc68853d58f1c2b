"""Actions and probes by themselves, and what Chaos Toolkit finds of them."""

from __future__ import annotations

import importlib
import inspect
import json

import pytest
from chaoslib.exceptions import ActivityFailed, InvalidActivity
from chaoslib.provider.python import validate_python_activity

from chaosaws_kms_ext import discover
from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.aurora import actions as aurora_actions
from chaosaws_kms_ext.aurora import probes as aurora_probes
from chaosaws_kms_ext.history.aws_calls import read_aws_calls
from chaosaws_kms_ext.kms import actions as kms_actions
from chaosaws_kms_ext.kms import probes as kms_probes
from chaosaws_kms_ext.load import probes as load_probes
from tests.support.labs import client, until

EVERYTHING = {
    "answered_share", "audit_events", "aurora_has_its_grant", "canaries_are_answered",
    "cancel_key_deletion", "clean_up", "cluster_is_available", "cluster_is_inaccessible",
    "cluster_members", "clusters_using_key", "copy_cluster_snapshot", "create_cluster_snapshot",
    "create_encrypted_cluster", "create_is_refused", "create_key", "decrypts", "delete_cluster",
    "delete_cluster_snapshot", "dependents", "disable_key", "enable_key", "encrypted_under",
    "encryption_state", "failover_is_refused", "find_longest_blink", "first_answer", "flap_key",
    "grants", "hold", "inject_fault", "key_is_enabled", "key_manager", "key_policy",
    "key_policy_allows", "key_policy_lets", "key_state", "key_store_state", "latency_p99",
    "lose_secondary_key", "pending_maintenance", "proxy_reaches_writer", "proxy_targets",
    "put_key_policy", "read_back_from", "restore_cluster", "restore_is_refused",
    "restore_key_policy", "restore_latest", "restore_latest_is_refused", "rotate_key",
    "rotation_is_listed", "rotation_status", "rows_equal", "rows_unchanged", "run_on",
    "schedule_key_deletion", "sealed", "secondary_told", "secondary_works",
    "seconds_until_deletion", "snapshot_encryption", "start_cluster", "start_load",
    "stays_terminal", "stop_load", "table_checksum", "undo_faults", "wait_for_recovery",
    "wait_until_dependents_are_back", "wait_until_dependents_fail", "wait_until_inaccessible",
    "wait_until_key_is_back", "wait_until_key_is_taken", "wait_until_proxy_loses_writer",
    "wait_until_proxy_reaches_writer", "wait_until_recovered", "wait_until_terminal",
    "wait_until_writer", "watch_secondary_loss", "who_took_the_key",
}  # fmt: skip


@pytest.fixture
def on_lab(lab, on_aws):
    return client(lab, "kms"), client(lab, "rds")


def status_of(rds):
    return rds.describe_db_clusters(DBClusterIdentifier="orders")["DBClusters"][0]["Status"]


def test_everything_is_discovered_with_its_document(chaos):
    found = {a["name"]: a for a in discover()["activities"]}
    assert set(found) == EVERYTHING
    for activity in found.values():
        assert activity["doc"]
        function = getattr(importlib.import_module(activity["mod"]), activity["name"])
        assert list(inspect.signature(function).parameters)[-2:] == ["configuration", "secrets"]
    out = chaos.folder / "discovery.json"
    arguments = ("--no-install", "--discovery-path", str(out), "chaostoolkit-aws-kms")
    assert chaos.start("discover", *arguments).wait().status == 0
    assert {a["name"] for a in json.loads(out.read_text())["activities"]} == EVERYTHING


@pytest.mark.usefixtures("on_lab")
@pytest.mark.soak
def test_a_key_goes_and_comes_back_without_any_control(monkeypatch):
    monkeypatch.setenv("CHAOS_SELF_RESTART_WITHIN", "1")
    assert kms_probes.key_is_enabled(key_id="alias/orders")
    state = aurora_probes.encryption_state()
    assert state["key_manager"] == "CUSTOMER"
    assert state["encryption_type"] == "sse-kms"
    assert (state["meaning"], state["terminal_not_before"]) == ("accessible", None)

    taken = kms_actions.disable_key(key_id="alias/orders")
    assert taken["key"] == state["key"]
    assert kms_probes.key_state(key_id=taken["key"]) == "Disabled"
    assert aurora_probes.wait_until_inaccessible()
    assert aurora_probes.cluster_is_inaccessible()
    state = aurora_probes.encryption_state()
    assert state["meaning"] == "recoverable"
    assert state["terminal_not_before"] is not None

    with pytest.raises(ActivityFailed, match="has not been put back"):
        aurora_actions.wait_for_recovery()
    assert kms_actions.enable_key() == {"undone": [taken["key"]]}
    recovered = aurora_actions.wait_for_recovery()
    assert recovered == {
        "recovered": True,
        "path": "start-db-cluster",
        "as_fast_as_before": False,  # there is no load
    }
    assert aurora_probes.cluster_is_available()


def test_rollbacks_act_only_on_what_this_run_did(on_lab):
    kms, _ = on_lab
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.disable_key(KeyId=key)
    assert kms_actions.enable_key()["why"] == "nothing to undo"
    assert aurora_actions.wait_for_recovery()["why"] == "nothing to wait for"
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"


def test_nothing_waits_for_a_fault_that_was_not_injected(on_lab):
    for activity in (aurora_probes.wait_until_inaccessible, aurora_actions.hold):
        with pytest.raises(ActivityFailed, match="this run has taken no key away"):
            activity()


def test_a_key_that_somebody_puts_back_ends_the_wait(on_lab):
    kms, rds = on_lab
    until(lambda: status_of(rds) == "available")
    taken = kms_actions.disable_key()
    kms.enable_key(KeyId=taken["key"])
    with pytest.raises(ActivityFailed, match="usable again: somebody put it back"):
        aurora_probes.wait_until_inaccessible()
    kms_actions.enable_key()


@pytest.mark.usefixtures("on_lab")
def test_required_arguments_are_asked_for_before_anything_runs():
    for found in discover()["activities"]:
        function = getattr(importlib.import_module(found["mod"]), found["name"])
        required = {
            name: "x"
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.default is inspect.Parameter.empty
        }
        for missing in required:
            given = {name: "x" for name in required if name != missing}
            provider = {
                "type": "python",
                "module": found["mod"],
                "func": found["name"],
                "arguments": given,
            }
            with pytest.raises(InvalidActivity, match=f"'{missing}'"):
                validate_python_activity({"name": "x", "provider": provider})


def test_starting_a_cluster_that_runs_is_no_error(on_lab):
    _, rds = on_lab
    until(lambda: status_of(rds) == "available")
    assert aurora_actions.start_cluster() == {"cluster": "orders"}


@pytest.mark.parametrize("probe", [load_probes.answered_share, load_probes.latency_p99])
def test_a_load_probe_fails_without_the_control(on_lab, probe):
    with pytest.raises(ActivityFailed, match="no load runs"):
        probe()


def test_a_refusal_of_aws_is_one_sentence(on_lab):
    with pytest.raises(ActivityFailed) as refused:
        kms_probes.key_state(key_id="alias/nobody")
    assert str(refused.value).startswith("kms:DescribeKey failed with NotFoundException: ")


def test_chaostoolkit_aws_works_beside_ours(on_lab):
    from chaosaws.rds.probes import cluster_status

    assert cluster_status(cluster_id="orders", configuration={"aws_region": "eu-west-1"})


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_either_region_variable_will_do(on_lab, monkeypatch, variable):
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(ActivityFailed, match="no AWS Region is set"):
        kms_probes.key_state(key_id="alias/orders")
    monkeypatch.setenv(variable, "eu-west-1")
    assert kms_probes.key_state(key_id="alias/orders") == "Enabled"


def test_without_a_lab_and_without_a_target_nothing_is_called(lab, monkeypatch):
    """The default target is the lab: without the control none runs, and AWS is not it."""
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)
    runs.end()
    for activity in (kms_actions.disable_key, aurora_actions.start_cluster):
        with pytest.raises(ActivityFailed, match="the target is the lab, and none runs"):
            activity(cluster_id="orders")
    runs.end()


@pytest.mark.usefixtures("on_aws")
def test_every_call_that_a_run_makes_is_recorded_in_their_order(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("CHAOS_REPORTS_DIR", str(tmp_path))

    def answered():
        seen = [json.loads(line) for line in lab.requests.read_text().splitlines()]
        return [f"{each['service']}:{each['operation']}" for each in seen]

    before = len(answered())
    assert kms_probes.key_is_enabled(key_id="alias/orders")
    folder = runs.current().open_folder()
    aurora_probes.encryption_state()
    with pytest.raises(ActivityFailed, match="alias/nobody"):
        kms_probes.key_state(key_id="alias/nobody")
    made = read_aws_calls(folder / "history")
    assert [each.name for each in made] == [
        "kms:DescribeKey",
        "rds:DescribeDBClusters",
        "rds:DescribeDBInstances",
        "kms:DescribeKey",
        "kms:DescribeKey",
    ]
    assert [each.outcome for each in made] == ["ok"] * 4 + ["NotFoundException"]
    # What went on before the test may still ask in between.
    asked = iter(answered()[before:])
    assert all(each.name in asked for each in made)
