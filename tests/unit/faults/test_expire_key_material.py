"""The fault of expired key material, on a key of the run's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.faults import expire_key_material as module
from chaosaws_kms_ext.faults.expire_key_material import ExpireKeyMaterial
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.inject.injection import close_recovered
from chaosaws_kms_ext.kms import actions
from chaosaws_kms_ext.undo.replay import is_back, replay
from tests.support.labs import client
from tests.support.own_run import own_run

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers]

DOES_NOT = "KEY_MATERIAL_DOES_NOT_EXPIRE"


@pytest.fixture(autouse=True)
def run(lab, monkeypatch):
    """A run in this process, on the lab, without any control."""
    monkeypatch.setattr(module, "AHEAD", 4.0)
    with own_run(lab, monkeypatch) as run:
        yield run


def described(lab, key):
    said = client(lab, "kms").describe_key(KeyId=key)["KeyMetadata"]
    return said["KeyState"], said.get("ExpirationModel"), said.get("ValidTo")


def test_the_key_is_away_from_the_expiry_on_and_comes_back_without_one(lab, run):
    key = actions.create_key("k", origin="EXTERNAL")["key"]
    assert described(lab, key) == ("Enabled", DOES_NOT, None)
    begin = datetime.now(UTC)
    actions.inject_fault("expire-key-material", key_id=key)
    assert datetime.now(UTC) - begin >= timedelta(seconds=4)
    assert described(lab, key)[0] == "PendingImport"
    # When it was away is known better than when KMS was asked for it.
    opened, injected = run.last(EventName.JOURNAL_OPENED), run.last(EventName.INJECTED, key=key)
    within = injected.details["within_seconds"]
    assert (injected.at - opened.at) / 1e9 - within > 0.5
    actions.undo_faults()
    assert described(lab, key) == ("Enabled", DOES_NOT, None)
    assert close_recovered(run) == []


def test_who_comes_before_it_has_expired_takes_the_expiry_away(lab, run, monkeypatch):
    """A run that dies while it waits."""
    monkeypatch.setattr(module, "AHEAD", 600.0)
    monkeypatch.setattr(module, "EXPIRED_WITHIN", -600.0)
    key = actions.create_key("k", origin="EXTERNAL")["key"]
    aws = Aws.of(run)
    made = ExpireKeyMaterial.of(aws, key, material=run.key_materials[key])
    assert is_back(aws, made.undo())
    with pytest.raises(Exception, match="to expire: not within 0 s"):
        made.inject(aws)
    state, model, valid_to = described(lab, key)
    assert (state, model) == ("Enabled", "KEY_MATERIAL_EXPIRES")
    assert timedelta(seconds=500) < valid_to - datetime.now(UTC) < timedelta(seconds=601)
    assert not is_back(aws, made.undo())
    for _ in range(2):
        replay(aws, made.undo())
        assert described(lab, key) == ("Enabled", DOES_NOT, None)
