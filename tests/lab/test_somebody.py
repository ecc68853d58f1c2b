"""Somebody else in the account takes a key away, and CloudTrail has their name."""

from __future__ import annotations

import json

import pytest

from chaosaws_kms_lab.data_misbehaviours import BadOrder, described, order, read
from chaosaws_kms_lab.somebody import Somebody
from tests.support.labs import until
from tests.support.trail import DELIVERY, look


@pytest.fixture
def kms(own_lab):
    return own_lab.client("kms")


@pytest.fixture
def key(own_lab, kms):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    own_lab.client("rds").create_db_cluster(
        DBClusterIdentifier="c",
        Engine="aurora-postgresql",
        StorageEncrypted=True,
        KmsKeyId=key,
        MasterUsername="app",
        MasterUserPassword="not-for-anybody",
    )
    return key


def state(kms, key):
    return kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]


def ordered(own_lab, **fields):
    wanted = {"kind": "key-taken-away", "cluster": "c", "after": 0, **fields}
    misbehaviour = order(own_lab.world, wanted)
    Somebody(own_lab.world, own_lab.dispatch.handle_and_audit).begin(misbehaviour)
    return misbehaviour


def test_the_key_is_away_for_so_long_and_cloudtrail_names_them(own_lab, kms, key):
    misbehaviour = ordered(own_lab, seconds=1)
    until(lambda: state(kms, key) == "Disabled", every=0.01)
    until(lambda: misbehaviour.over, every=0.01)
    assert state(kms, key) == "Enabled"
    own_lab.pass_time(DELIVERY)
    for call in ("DisableKey", "EnableKey"):
        (event,) = look(own_lab, EventName=call)
        assert event["userIdentity"]["arn"] == "arn:aws:iam::123456789012:user/somebody"


def test_a_policy_that_denies_goes_again_and_the_key_stays_enabled(own_lab, kms, key):
    def policy():
        return json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])

    before = policy()
    misbehaviour = ordered(own_lab, seconds=1, call="PutKeyPolicy")
    until(lambda: len(policy()["Statement"]) > len(before["Statement"]), every=0.01)
    assert state(kms, key) == "Enabled"
    until(lambda: misbehaviour.over, every=0.01)
    assert policy() == before


def test_an_order_that_is_cleared_gives_the_key_back_at_once(own_lab, kms, key):
    misbehaviour = ordered(own_lab, seconds=3600)
    until(lambda: state(kms, key) == "Disabled", every=0.01)
    misbehaviour.over = True
    until(lambda: state(kms, key) == "Enabled", every=0.01)


def test_an_order_that_is_cleared_before_takes_nothing(own_lab, kms, key):
    misbehaviour = ordered(own_lab, after=0.2, seconds=1)
    misbehaviour.over = True
    with pytest.raises(AssertionError):
        until(lambda: state(kms, key) == "Disabled", timeout=0.5, every=0.01)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "key-taken-away needs seconds: AWS seconds, more than 0 and at most 604800"),
        ({"seconds": 1, "after": -1}, "after is AWS seconds from 0 to 604800"),
        (
            {"seconds": 1, "call": "DeleteKey"},
            "call is DisableKey or PutKeyPolicy, not 'DeleteKey'",
        ),
        ({"seconds": 1, "when": "now"}, "when is for"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(fields, why):
    with pytest.raises(BadOrder, match=why.replace(",", ",?")):
        read({"kind": "key-taken-away", "cluster": "c", **fields})


def test_an_order_is_shown_as_it_can_be_given_again():
    given = {"kind": "key-taken-away", "cluster": "c", "after": 5.0, "seconds": 9.0}
    assert described(read(given)) == {**given, "call": "DisableKey"}
