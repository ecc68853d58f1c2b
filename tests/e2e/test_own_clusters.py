"""Clusters of a run's own: what it is about then, what cannot be made, when a copy answers."""

from __future__ import annotations

import json

import pytest
from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.aurora import actions as aurora
from chaosaws_kms_ext.aurora import probes as aurora_probes
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.kms import actions as kms_actions
from chaosaws_kms_ext.kms import probes as kms_probes
from chaosaws_kms_ext.load import probes as load_probes
from tests.support.labs import FAST, client

pytestmark = pytest.mark.thorough

ROOT = "arn:aws:iam::123456789012:root"
DENY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"},
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["kms:CreateGrant", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*"],
            "Resource": "*",
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:root"}},
        },
    ],
}
"""Which spares nobody here: even the lab's own user is another principal."""


@pytest.fixture
def run(lab, monkeypatch):
    """A run about nothing of others, in this process, without any control."""
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CHAOS_LAB_SPEED", str(FAST))
    monkeypatch.setenv("CHAOS_RECOVERY_STRATEGY", "start")
    monkeypatch.setenv("CHAOS_PROVISION_TIMEOUT", str(60 * FAST))
    monkeypatch.setenv("CHAOS_RECOVERY_TIMEOUT", str(40 * FAST))
    runs.end()
    run = runs.current()
    run.lab = lab
    yield run
    kms_actions.enable_key()
    aurora.clean_up()
    runs.end()


def clusters(lab):
    found = client(lab, "rds").describe_db_clusters()["DBClusters"]
    return {each["DBClusterIdentifier"] for each in found}


def test_the_first_cluster_that_a_run_makes_is_what_it_is_about(run):
    with pytest.raises(ActivityFailed, match="no cluster was named"):
        aurora_probes.cluster_is_available()
    key, other = (kms_actions.create_key(name)["key"] for name in ("one", "other"))
    first = aurora.create_encrypted_cluster(key)
    assert run.target.cluster.id == first["cluster"]
    assert run.target.key.arn == key
    assert run.watcher.latest.cluster.id == first["cluster"]
    assert run.last(EventName.STATUS).details["meaning"] == "accessible"
    assert aurora_probes.cluster_is_available()
    assert kms_probes.key_is_enabled()

    second = aurora.create_encrypted_cluster(other, "second")
    assert run.target.cluster.id == first["cluster"] != second["cluster"]
    assert aurora_probes.encrypted_under(key_id=other, cluster_id=second["cluster"])
    assert not aurora_probes.encrypted_under(key_id=other, cluster_id=first["cluster"])


@pytest.mark.parametrize("how", ["disabled", "denied"])
def test_no_cluster_is_made_under_a_key_that_may_not_be_used(lab, run, how):
    key = kms_actions.create_key(how)["key"]
    before = clusters(lab)
    if how == "disabled":
        client(lab, "kms").disable_key(KeyId=key)
    else:
        kms_actions.put_key_policy(key, DENY)
    answer = aurora.create_is_refused(key)
    assert answer["refused"] is True
    assert answer["code"] == "KMSKeyNotAccessibleFault", answer
    assert clusters(lab) == before
    if how == "denied":
        kms_actions.restore_key_policy()
    else:
        client(lab, "kms").enable_key(KeyId=key)


def test_a_cluster_that_can_be_made_after_all_fails_and_is_removed(lab, run):
    key = kms_actions.create_key("fine")["key"]
    before = clusters(lab)
    with pytest.raises(ActivityFailed, match="whose key is Enabled: it should not have been") as no:
        aurora.create_is_refused(key)
    assert str(no.value).startswith(f"a cluster was made under {key}")
    assert clusters(lab) == before
    assert [resource.kind for resource in run.ledger.things] == ["key"]


def test_a_copy_answers_for_the_first_time_with_its_error(run):
    key = kms_actions.create_key("k")["key"]
    first = aurora.create_encrypted_cluster(key)
    snapshot = aurora.create_cluster_snapshot()["snapshot"]
    copy = aurora.restore_cluster(snapshot)["cluster"]
    answer = load_probes.first_answer(copy)
    assert answer["cluster"] == copy != first["cluster"]
    told = run.last(EventName.FIRST_ANSWER)
    assert told.details == answer
    assert told.at > run.last(EventName.RESTORED, cluster=copy).at
    assert run.settings.status_poll <= answer["within_seconds"] < 10


def test_a_database_that_lets_nobody_in_is_not_waited_for(run, monkeypatch):
    key = kms_actions.create_key("k")["key"]
    cluster = aurora.create_encrypted_cluster(key)["cluster"]
    monkeypatch.setattr(
        load_probes,
        "conninfo_for",
        lambda run, cluster: (
            f"host={cluster.raw['Endpoint']} port={cluster.raw['Port']} user=nobody dbname=postgres"
        ),
    )
    with pytest.raises(ActivityFailed, match="the database cannot be used: ") as failed:
        load_probes.first_answer(cluster)
    assert "\n" not in str(failed.value)
    assert run.last(EventName.FIRST_ANSWER) is None


def test_a_second_outage_is_recovered_from_as_the_first(lab, run):
    """That a cluster was started after the first says nothing of the second."""
    key = kms_actions.create_key("k")["key"]
    cluster = aurora.create_encrypted_cluster(key)["cluster"]
    for number in (1, 2):
        kms_actions.put_key_policy(key, {**DENY, "Id": str(number)}, cluster)
        assert aurora_probes.wait_until_inaccessible()
        kms_actions.restore_key_policy()
        recovered = aurora.wait_for_recovery()
        assert (recovered["recovered"], recovered["path"]) == (True, "start-db-cluster")
    started = [e for e in run.events if e.name == EventName.START_CALLED]
    assert len(started) == 2
    calls = [json.loads(line)["operation"] for line in lab.requests.read_text().splitlines()]
    assert calls.count("StartDBCluster") >= 2
