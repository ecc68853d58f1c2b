"""The fault of a disconnected custom key store: every key of it is away until it is connected."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.faults.disconnect_key_store import DisconnectKeyStore
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo import replay as replays
from chaosaws_kms_ext.undo import switch
from chaosaws_kms_ext.undo.replay import replay
from chaosaws_kms_ext.undo.undo import Undo
from tests.support.key_stores import StoreLab, time_of


@pytest.fixture
def lab(tmp_path):
    return StoreLab(tmp_path / "requests.jsonl")


def test_every_key_of_the_store_is_away_until_it_is_connected_again(lab, monkeypatch):
    aws, other, outside = lab.aws(), lab.new_key("other"), lab.new_key("", store=False)
    made = DisconnectKeyStore.of(aws, lab.key)
    assert not made.shows(aws)
    made.inject(aws)
    assert made.shows(aws)
    assert kms.describe(aws, other).state == "Unavailable"
    assert kms.describe(aws, outside).state == "Enabled"
    time_of(lab, monkeypatch, replays)
    replay(aws, Undo.of_json(made.undo().as_json()))
    assert lab.state() == "CONNECTED"
    assert not made.shows(aws)
    assert kms.describe(aws, other).state == "Enabled"


def test_a_key_that_is_in_no_store_is_left_alone(lab):
    plain = lab.new_key("", store=False)
    with pytest.raises(Refused, match=f"the key {plain} is in no custom key store"):
        DisconnectKeyStore.of(lab.aws(), plain)


def test_a_store_that_is_disconnected_already_is_not_taken_for_ours(lab):
    made = DisconnectKeyStore.of(lab.aws(), lab.key)
    lab.ask("kms", "DisconnectCustomKeyStore", CustomKeyStoreId=lab.store)
    with pytest.raises(AwsError, match="CustomKeyStoreInvalidStateException"):
        made.inject(lab.aws())


def test_a_switch_can_put_it_back():
    assert switch.can(DisconnectKeyStore.needs.undo)
