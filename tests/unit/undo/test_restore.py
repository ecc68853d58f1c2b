"""Putting back what the journal says: every key before any cluster, and nothing in the way."""

from __future__ import annotations

import json
from dataclasses import replace

from chaosaws_kms_ext.aws import names
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.faults.disable_key import DisableKey
from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from chaosaws_kms_ext.undo import bring_back, journal, restore
from chaosaws_kms_ext.undo.switch import Armed
from chaosaws_kms_ext.undo.undo import Call, Undo
from tests.support.labs import client, until


def disabled(kms):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.disable_key(KeyId=key)
    return key


def state(kms, key):
    return kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]


def left_by(lab, run, key, cluster=""):
    """The entry of a run that was killed."""
    return journal.write(
        journal.new_entry(
            run=run,
            region=lab.region,
            lab=lab,
            cluster=cluster,
            key=key,
            undo=DisableKey(key).undo(),
        )
    )


def test_one_keys_cluster_does_not_keep_another_key_away(lab, kms, monkeypatch):
    monkeypatch.setattr(bring_back, "BACK_WITHIN", 1.0)
    orders, other = lab.clusters[0]["key"], disabled(kms)
    misbehaviours = Misbehaviours.of(lab)
    misbehaviours.order(kind="no-recovery", cluster="orders")
    kms.disable_key(KeyId=orders)
    status = lambda: client(lab, "rds").describe_db_clusters()["DBClusters"][0]["Status"]  # noqa: E731
    until(lambda: status().startswith("inaccessible"))
    entries = [left_by(lab, "r1", orders, "orders"), left_by(lab, "r2", other)]
    said = []
    (left,) = restore.restore(entries, said.append)
    misbehaviours.clear()
    assert (left.run, left.undo.calls) == ("r1", ())
    assert state(kms, other) == state(kms, orders) == "Enabled"
    assert restore.restore([left], said.append) == [] or until(
        lambda: restore.restore([left], said.append) == []
    )
    assert journal.open_entries() == []


def test_an_entry_that_makes_no_sense_keeps_no_other_from_its_turn(lab, kms):
    key = disabled(kms)
    entries = [replace(left_by(lab, "r1", key), lab="another"), left_by(lab, "r2", key)]
    said = []
    (left,) = restore.restore(entries, said.append)
    assert left.run == "r1"
    assert any("NOT put back" in each for each in said)
    assert state(kms, key) == "Enabled"


def test_an_entry_that_cannot_be_closed_is_said_and_its_key_is_back(lab, kms, monkeypatch):
    key = disabled(kms)
    entry = left_by(lab, "r1", key)
    monkeypatch.setattr(journal, "_write", broken)
    monkeypatch.setattr(type(entry), "close", broken)
    said = []
    (left,) = restore.restore([entry], said.append)
    assert left.undo.calls == ()
    assert "everything is back, but" in said[-1]
    assert state(kms, key) == "Enabled"


def broken(*_):
    raise OSError("read-only")


def test_of_two_policies_of_one_key_the_first_one_is_put_back_last(lab, kms):
    """Two runs that were killed, the second of which knew only what the first had left."""
    key = kms.create_key()["KeyMetadata"]["Arn"]
    old = kms.get_key_policy(KeyId=key)["Policy"]
    broken = json.dumps(json.loads(old) | {"Id": "broken"})
    kms.put_key_policy(KeyId=key, Policy=json.dumps(json.loads(old) | {"Id": "more"}))

    def left(run, policy, made):
        put = Call("kms", "PutKeyPolicy", {"KeyId": key, "PolicyName": "default", "Policy": policy})
        entry = journal.new_entry(
            run=run, region=lab.region, lab=lab, cluster="", key=key, undo=Undo((put,))
        )
        return journal.write(replace(entry, made=made))

    entries = [
        left("r1", old, "2026-11-27T10:00:00+00:00"),
        left("r2", broken, "2026-11-27T10:00:05+00:00"),
    ]
    assert restore.restore(entries, lambda _: None) == []
    assert json.loads(kms.get_key_policy(KeyId=key)["Policy"]) == json.loads(old)


def test_schedules_that_make_no_undo_are_named_and_not_passed_over(lab, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    key = lab.clusters[0]["key"]
    enable = Call("kms", "EnableKey", {"KeyId": key})
    two = [
        Armed(name, enable, "r1", "somebody", "orders", key) for name in names.schedules(key)[:2]
    ]
    aws = Aws(lab.region, lab.endpoint, lab=lab.credentials)
    entries, (problem,) = restore.entries_from_schedules(aws, two, keep=False)
    assert entries == []
    assert f"{two[0].name}, {two[1].name} of run r1 are not as we make them" in problem
