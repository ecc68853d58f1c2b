"""Putting back what the journal says: every key before any cluster, and nothing in the way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaosaws_kms_ext.faults.disable_key import DisableKey
from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from chaosaws_kms_ext.safety import journal, restoring
from tests.conftest import client, until


@pytest.fixture
def kms(lab):
    return client(lab, "kms")


@pytest.fixture
def rds(lab):
    return client(lab, "rds")


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
            run=run, region=lab.region, lab=lab,
            cluster=cluster, key=key, undo=DisableKey(key).undo(),
        )
    )  # fmt: skip


def test_one_keys_cluster_does_not_keep_another_key_away(lab, kms, monkeypatch):
    monkeypatch.setattr(restoring, "BACK_WITHIN", 1.0)
    orders, other = lab.clusters[0]["key"], disabled(kms)
    misbehaviours = Misbehaviours.of(lab)
    misbehaviours.order(kind="no-recovery", cluster="orders")
    kms.disable_key(KeyId=orders)
    status = lambda: client(lab, "rds").describe_db_clusters()["DBClusters"][0]["Status"]  # noqa: E731
    until(lambda: status().startswith("inaccessible"))
    entries = [left_by(lab, "r1", orders, "orders"), left_by(lab, "r2", other)]
    said = []
    (left,) = restoring.restore(entries, said.append)
    misbehaviours.clear()
    assert (left.run, left.undo.calls) == ("r1", ())
    assert state(kms, other) == state(kms, orders) == "Enabled"
    assert restoring.restore([left], said.append) == [] or until(
        lambda: restoring.restore([left], said.append) == []
    )
    assert journal.open_entries() == []


def test_an_entry_that_makes_no_sense_keeps_no_other_from_its_turn(lab, kms):
    key = disabled(kms)
    entries = [replace(left_by(lab, "r1", key), lab="another"), left_by(lab, "r2", key)]
    said = []
    (left,) = restoring.restore(entries, said.append)
    assert left.run == "r1"
    assert any("NOT put back" in each for each in said)
    assert state(kms, key) == "Enabled"


def test_an_entry_that_cannot_be_closed_is_said_and_its_key_is_back(lab, kms, monkeypatch):
    key = disabled(kms)
    entry = left_by(lab, "r1", key)
    monkeypatch.setattr(journal, "_write", broken)
    monkeypatch.setattr(type(entry), "close", broken)
    said = []
    (left,) = restoring.restore([entry], said.append)
    assert left.undo.calls == ()
    assert "everything is back, but" in said[-1]
    assert state(kms, key) == "Enabled"


def broken(*_):
    raise OSError("read-only")
