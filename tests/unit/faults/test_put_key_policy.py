"""The fault of a key policy, on a key of the run's own: injected, put back, left to others."""

from __future__ import annotations

import json

import pytest
from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.faults.put_key_policy import PutKeyPolicy
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.inject import injection
from chaosaws_kms_ext.inject.injection import _answered, close_recovered
from chaosaws_kms_ext.kms import actions
from chaosaws_kms_ext.undo import journal, replay, restore
from chaosaws_kms_ext.undo.undo import Undo
from tests.support.own_run import own_run

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers]

ROOT = "arn:aws:iam::123456789012:root"
OF_IAM = {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}
DENY = {
    "Version": "2012-10-17",
    "Statement": [
        OF_IAM,
        {"Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*"},
    ],
}


@pytest.fixture(autouse=True)
def run(lab, monkeypatch):
    """A run in this process, on the lab, without any control."""
    monkeypatch.setattr(injection, "IN_FLIGHT", 0.1)
    with own_run(lab, monkeypatch) as run:
        yield run


@pytest.fixture
def key(kms, run):
    """One that this run has made."""
    tags = [{"TagKey": "chaos:run", "TagValue": run.id}]
    return kms.create_key(Tags=tags)["KeyMetadata"]["Arn"]


def policy_of(kms, key):
    return json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])


def puts(lab):
    """How often a policy was to be put."""
    lines = [json.loads(line) for line in lab.requests.read_text().splitlines()]
    return sum(each["operation"] == "PutKeyPolicy" for each in lines)


def test_its_undo_is_the_old_policy_and_survives_the_disk():
    old = json.dumps({"Version": "2012-10-17", "Statement": [OF_IAM]}, indent=2)
    undo = PutKeyPolicy("arn:k", old, DENY).undo()
    (call,) = undo.calls
    assert call.operation == "PutKeyPolicy"
    assert call.params == {"KeyId": "arn:k", "PolicyName": "default", "Policy": old}
    assert Undo.of_json(json.loads(json.dumps(undo.as_json()))) == undo


def test_a_policy_goes_and_comes_back(lab, kms, run, key):
    before = policy_of(kms, key)
    assert actions.put_key_policy(key, DENY) == {"key": key}
    assert policy_of(kms, key) == DENY
    (entry,) = journal.open_entries()
    assert (entry.key, entry.cluster, entry.key_is_away) == (key, "", True)
    assert run.last(EventName.INJECTED, key=key).details["fault"] == "put-key-policy"

    assert actions.restore_key_policy() == {"undone": [key]}
    assert policy_of(kms, key) == before
    assert run.last(EventName.PUT_BACK, key=key)
    assert close_recovered(run) == []
    assert journal.open_entries() == []
    assert actions.restore_key_policy()["why"] == "nothing to undo"


def test_the_old_policy_is_back_however_kms_writes_it(lab, kms, key):
    spread = json.dumps({"Statement": [OF_IAM], "Version": "2012-10-17"}, indent=7)
    undo = PutKeyPolicy(key, spread, DENY).undo()
    kms.put_key_policy(KeyId=key, Policy=json.dumps(json.loads(spread), sort_keys=True))
    assert replay.is_back(Aws(lab.region, lab.endpoint, lab=lab.credentials), undo)
    kms.put_key_policy(KeyId=key, Policy=json.dumps(DENY))
    assert not replay.is_back(Aws(lab.region, lab.endpoint, lab=lab.credentials), undo)


def test_a_second_policy_waits_for_the_first_to_be_back(lab, kms, run, key):
    """Whoever puts back after us may do so in any order."""
    actions.put_key_policy(key, DENY)
    before = puts(lab)
    with pytest.raises(ActivityFailed, match=r"has changed .* already: put that back first"):
        actions.put_key_policy(key, {**DENY, "Id": "another"})
    assert puts(lab) == before
    actions.restore_key_policy()
    close_recovered(run)
    actions.put_key_policy(key, {**DENY, "Id": "another"})
    assert policy_of(kms, key)["Id"] == "another"
    actions.restore_key_policy()


def test_a_cluster_that_is_not_under_the_key_is_refused_before_anything_is_done(lab, key):
    before = puts(lab)
    for cluster, said in {
        "orders": f"the cluster orders is not encrypted under {key}",
        "nobody": "there is no DB cluster nobody",
        "$(reboot)": r"there is no DB cluster \$\(reboot\)",
        "x" * 10_000_000: "must be named by 1 to 2048 printable letters",
        "arn:aws:rds:us-east-1:123456789012:cluster:orders": "there is no DB cluster arn:",
        7: "must be named by 1 to 2048 printable letters",
    }.items():
        with pytest.raises(ActivityFailed, match=said) as failed:
            actions.put_key_policy(key, DENY, cluster)
        assert len(str(failed.value)) < 5000
    assert puts(lab) == before
    assert journal.open_entries() == []


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"Version": "2012-10-17", "Statement": []},
        {"Version": "2012-10-17", "Statement": "; rm -rf /"},
        {"Version": "2012-10-17", "Statement": [{**OF_IAM, "Principal": {"AWS": "..$(id)"}}]},
        {**DENY, "Id": "x" * 10_000_000},
    ],
    ids=lambda policy: str(policy)[:40],
)
def test_what_kms_takes_for_no_policy_leaves_the_old_one(kms, key, policy):
    before = policy_of(kms, key)
    with pytest.raises(ActivityFailed) as failed:
        actions.put_key_policy(key, policy)
    said = str(failed.value)
    assert 10 < len(said) < 5000
    assert "\n" not in said
    assert policy_of(kms, key) == before
    actions.restore_key_policy()
    assert policy_of(kms, key) == before


def test_a_policy_that_nobody_could_change_again_is_refused(kms, key):
    """Its lockout safety check: KMS API reference, PutKeyPolicy."""
    read = {**OF_IAM, "Action": "kms:DescribeKey"}
    with pytest.raises(ActivityFailed, match="MalformedPolicyDocumentException"):
        actions.put_key_policy(key, {"Version": "2012-10-17", "Statement": [read]})
    assert policy_of(kms, key)["Statement"][0]["Action"] == "kms:*"
    actions.restore_key_policy()


def test_a_call_without_an_answer_is_undone_twice_though_one_before_had_one(lab, kms, run, key):
    """It may be carried out after its undo; that the first fault was answered says nothing."""
    actions.put_key_policy(key, DENY)
    before = puts(lab)
    actions.restore_key_policy()
    assert puts(lab) == before + 1
    close_recovered(run)
    with pytest.raises(ActivityFailed):
        actions.put_key_policy(key, {**DENY, "Statement": []})
    (entry,) = run.open_faults.key_away
    assert not _answered(run, entry)
    before = puts(lab)
    actions.restore_key_policy()
    assert puts(lab) == before + 2


def test_whoever_comes_after_a_dead_run_puts_the_policy_back(lab, kms, run, key):
    old = policy_of(kms, key)
    actions.put_key_policy(key, DENY)
    said = []
    (entry,) = journal.open_entries()
    assert restore.restore([entry], said.append) == []
    assert policy_of(kms, key) == old
    assert said == [
        restore.named(entry),
        *[f"  calls {entry.undo.calls[0].whole}"] * 2,  # the run's own may still be on its way
        "  the key is back",
    ]
    assert journal.open_entries() == []
    # And the run itself, should it live, does nothing more.
    before = puts(lab)
    actions.restore_key_policy()
    assert puts(lab) == before
    assert run.last(EventName.PUT_BACK).details["by"] == "chaos kms restore"


@pytest.mark.parametrize("whose", ["somebody's", "another run's"])
def test_a_key_of_anybody_elses_keeps_its_policy(lab, kms, whose):
    tags = [] if whose == "somebody's" else [{"TagKey": "chaos:run", "TagValue": "20260101-a"}]
    key = kms.create_key(Tags=tags)["KeyMetadata"]["Arn"]
    before = puts(lab)
    with pytest.raises(ActivityFailed, match="this run did not make it"):
        actions.put_key_policy(key, DENY)
    assert puts(lab) == before
