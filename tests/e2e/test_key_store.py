"""Whole runs that disconnect a custom key store: when it does not come back, who else is in it, and
whoever puts it back when the run is gone."""

from __future__ import annotations

import json
import re
import signal

import pytest

from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from tests.support.chaos_runs import (
    MOMENTS,
    at_most_its_schema_is_left,
    experiment,
    nothing_is_left,
    schedules,
    watchdogs,
)
from tests.support.clusters import becomes, new_writer
from tests.support.labs import until
from tests.support.least_privilege import switch_role

pytestmark = pytest.mark.soak

EXPERIMENT = experiment("kms-keystore-disconnected")
CONSENT = {"CHAOS_ALLOW_KEY_STORE": "yes", "CHAOS_WITHOUT_BACKUP": "yes"}
SLOW = {"kind": "key-store-slow", "seconds": 7 * 86400}
CONNECTING = "not put back yet: CustomKeyStores[0].ConnectionState is CONNECTING"


def store_of(lab_as_aws):
    (found,) = lab_as_aws.client("kms").describe_custom_key_stores()["CustomKeyStores"]
    return found


def state(lab_as_aws):
    return store_of(lab_as_aws)["ConnectionState"]


def misbehaving(chaos, *orders, **env):
    return chaos.run(EXPERIMENT, CHAOS_LAB_FAULTS=json.dumps(orders), CHAOS_HOLD="60", **env)


# On the lab


@pytest.mark.parametrize("code", ["XKS_PROXY_NOT_REACHABLE", "INVALID_CREDENTIALS"])
def test_a_store_that_fails_to_connect_fails_the_run_with_the_code(chaos, code):
    ran = misbehaving(chaos, {"kind": "key-store-fails", "code": code})
    assert ran.status == 1, ran.output
    assert "Traceback" not in ran.output
    assert ran.summary["verdict"] == "failed"
    said = [each for each in ran.summary["reasons"] if "connect-the-key-store" in each]
    assert f"CustomKeyStores[0].ConnectionState is FAILED ({code}), not CONNECTED" in said[0]
    assert "fix-keystore or xks-troubleshooting" in said[0]


def test_a_store_that_takes_longer_than_allowed_fails_the_run(chaos):
    ran = misbehaving(chaos, SLOW, CHAOS_CONNECT_TIMEOUT="600")
    assert ran.status == 1, ran.output
    assert "Traceback" not in ran.output
    said = [each for each in ran.summary["reasons"] if "connect-the-key-store" in each]
    assert "ConnectionState is CONNECTING, not CONNECTED after 2 s" in said[0]


def test_a_store_that_is_disconnected_although_nobody_answered_is_connected(chaos):
    silent = {"kind": "cut-after", "service": "kms", "operation": "DisconnectCustomKeyStore"}
    ran = misbehaving(chaos, silent)
    assert ran.status == 1
    assert "Traceback" not in ran.output
    assert any(each.startswith("action disconnect-the-key") for each in ran.summary["reasons"])
    assert not any(each.startswith(("rollback", "left")) for each in ran.summary["reasons"])


@pytest.mark.parametrize("kind", ["throttling", "error", "error-after", "cut", "cut-after"])
@pytest.mark.parametrize("operation", ["ConnectCustomKeyStore", "DescribeCustomKeyStores"])
def test_what_aws_does_not_answer_at_first_is_asked_again(aws, kind, operation):
    lab_as_aws = aws(key_store="external", **CONSENT)
    running = lab_as_aws.chaos.start_run(EXPERIMENT)
    running.until_said(MOMENTS["hold"])
    order = {"kind": kind, "service": "kms", "operation": operation, "count": 7}
    Misbehaviours.of(lab_as_aws.lab).order(**order)
    ran = running.wait(200)
    assert ran.status == 0, ran.output
    assert state(lab_as_aws) == "CONNECTED"
    assert nothing_is_left(lab_as_aws)


def test_the_doctor_counts_what_is_in_the_store(aws):
    lab_as_aws = aws(key_store="external", **CONSENT)
    key, _ = beside(lab_as_aws)
    asked = ("doctor", "--fault", "disconnect-key-store")
    ran = lab_as_aws.chaos.kms(*asked)
    assert ran.status == 1
    assert f"(key {key}, " in ran.output
    assert "set CHAOS_BLAST_RADIUS=3" in ran.output
    ran = lab_as_aws.chaos.kms(*asked, CHAOS_BLAST_RADIUS="3")
    assert ran.status == 0, ran.output
    assert "the custom key store shop (cks-" in ran.output
    # A fault of the key alone has nothing to do with them.
    assert lab_as_aws.chaos.kms("doctor").status == 0


def test_a_write_that_is_lost_meanwhile_fails_the_run(chaos):
    ran = misbehaving(chaos, {"kind": "lose-writes", "cluster": "orders", "writes": 3})
    assert ran.status == 1
    (why,) = [each for each in ran.summary["reasons"] if "lost_writes" in each]
    assert why.startswith("objective missed: lost_writes was ")


def test_a_key_that_is_in_no_store_is_refused(chaos):
    ran = chaos.run(EXPERIMENT, CHAOS_LAB_KEY_STORE="no")
    assert ran.status == 1
    assert "the-key-store-is-connected" in ran.output or "no custom key store" in ran.output


@pytest.mark.parametrize("kind", ["cloudhsm"])
def test_a_store_of_cloudhsm_comes_back_too(chaos, kind):
    ran = chaos.run(EXPERIMENT, CHAOS_LAB_KEY_STORE=kind, CHAOS_HOLD="60")
    assert ran.status == 0, ran.output


# On AWS


def beside(lab_as_aws, allowed=True):
    """A cluster under another key of the same store."""
    kms, store = lab_as_aws.client("kms"), store_of(lab_as_aws)["CustomKeyStoreId"]
    tags = [{"TagKey": "chaos:allow", "TagValue": "kms"}] if allowed else []
    key = kms.create_key(
        Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=store, XksKeyId="beside", Tags=tags
    )["KeyMetadata"]["Arn"]
    return key, new_writer(
        lab_as_aws.client("rds"),
        StorageEncrypted=True,
        KmsKeyId=key,
        Tags=[{"Key": "chaos:allow", "Value": "kms"}],
    )


def test_nothing_is_disconnected_without_consent_to_all_that_is_in_the_store(aws):
    lab_as_aws = aws(key_store="external", **CONSENT)
    key, cluster = beside(lab_as_aws, allowed=False)
    name = cluster["DBClusterIdentifier"]
    ran = lab_as_aws.chaos.run(EXPERIMENT)
    assert ran.status == 1
    assert "3 other things use the key of orders or another of its custom key store" in ran.said
    assert f"(key {key}, cluster {name}, instance {name}-1): " in ran.said
    ran = lab_as_aws.chaos.run(EXPERIMENT, CHAOS_BLAST_RADIUS="3")
    assert ran.status == 1
    assert f"the key {key}, which is in the same custom key store, does not carry" in ran.said
    ran = lab_as_aws.chaos.run(EXPERIMENT, CHAOS_ALLOW_KEY_STORE="no")
    assert ran.status == 1
    assert "set CHAOS_ALLOW_KEY_STORE=yes" in ran.said
    assert state(lab_as_aws) == "CONNECTED"
    assert "DisconnectCustomKeyStore" not in lab_as_aws.mutating_calls()


def test_clusters_under_other_keys_of_the_store_are_brought_back(aws):
    lab_as_aws = aws(
        key_store="external", profile="documented", CHAOS_SELF_RESTART_WITHIN="2", **CONSENT
    )
    _, cluster = beside(lab_as_aws)
    ran = lab_as_aws.chaos.run(EXPERIMENT, CHAOS_BLAST_RADIUS="3")
    assert ran.status == 0, ran.output
    rds = lab_as_aws.client("rds")
    becomes(rds, cluster, "available")
    assert lab_as_aws.mutating_calls().count("StartDBCluster") >= 2
    assert nothing_is_left(lab_as_aws)


@pytest.mark.parametrize("moment", ["hold", CONNECTING])
def test_the_watchdog_of_a_killed_run_brings_back_the_clusters_under_other_keys(aws, moment):
    lab_as_aws = aws(key_store="external", profile="documented", speed=60, **CONSENT)
    _, cluster = beside(lab_as_aws)
    running = lab_as_aws.chaos.start_run(EXPERIMENT, CHAOS_BLAST_RADIUS="3")
    running.until_said(MOMENTS.get(moment, moment), 120)
    running.signal(signal.SIGKILL)
    running.wait(60)
    until(lambda: state(lab_as_aws) == "CONNECTED", timeout=60, every=0.2)
    until(lambda: not running.left(), every=0.2)
    assert lab_as_aws.cluster_status() == "available"
    assert lab_as_aws.cluster_status(cluster["DBClusterIdentifier"]) == "available"
    assert at_most_its_schema_is_left(lab_as_aws)


def test_the_switch_connects_the_store_when_the_whole_machine_is_gone(aws):
    lab_as_aws = aws(
        key_store="external", profile="documented", CHAOS_MAX_KEY_UNUSABLE="20", **CONSENT
    )
    role = switch_role(lab_as_aws, faults=["disconnect-key-store"])
    running = lab_as_aws.chaos.start_run(EXPERIMENT, CHAOS_SWITCH_ROLE=role, CHAOS_HOLD="60")
    running.until_said(MOMENTS["hold"])
    key_id = lab_as_aws.key.rpartition("/")[2]
    assert schedules(lab_as_aws) == [f"start-{key_id}", f"undo-{key_id}"]
    (its,) = watchdogs_of(running)
    its.kill()
    running.signal(signal.SIGKILL)
    running.wait(60)
    assert state(lab_as_aws) == "DISCONNECTED"
    until(lambda: state(lab_as_aws) == "CONNECTED", timeout=150, every=1)
    restored = lab_as_aws.chaos.kms("restore")
    assert restored.status == 0, restored.output
    until(lambda: lab_as_aws.cluster_status() == "available", timeout=60)
    assert schedules(lab_as_aws) == []


def test_what_failed_is_put_back_by_restore_once_somebody_has_mended_it(aws):
    lab_as_aws = aws(key_store="external", **CONSENT)
    misbehaviours = Misbehaviours.of(lab_as_aws.lab)
    misbehaviours.order(kind="key-store-fails", code="XKS_PROXY_ACCESS_DENIED")
    running = lab_as_aws.chaos.start_run(EXPERIMENT)
    ran = running.wait(200)
    assert ran.status == 1
    assert "XKS_PROXY_ACCESS_DENIED" in " ".join(ran.summary["reasons"])
    (its,) = watchdogs_of(running)
    its.kill()
    shown = lab_as_aws.chaos.kms("restore")
    assert shown.status == 1
    assert "is FAILED (XKS_PROXY_ACCESS_DENIED), not CONNECTED" in shown.output
    misbehaviours.clear()
    store = store_of(lab_as_aws)["CustomKeyStoreId"]
    lab_as_aws.client("kms").disconnect_custom_key_store(CustomKeyStoreId=store)
    restored = lab_as_aws.chaos.kms("restore")
    assert restored.status == 0, restored.output
    assert "calls kms:ConnectCustomKeyStore" in restored.output
    assert state(lab_as_aws) == "CONNECTED"
    assert nothing_is_left(lab_as_aws)


def watchdogs_of(running):
    running.run_id = re.search(r"Run (\S+) on aws", running.output)[1]
    return watchdogs(running)
