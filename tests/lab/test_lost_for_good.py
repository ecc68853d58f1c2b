"""A cluster that the lab has lost for good: when, and that nothing brings it back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaosaws_kms_lab import data_misbehaviours
from chaosaws_kms_lab.aurora import PROFILES, RECOVERABLE, TERMINAL
from chaosaws_kms_lab.calls import AwsError

WEEK = 7 * 86400.0


@pytest.fixture
def key(own_lab):
    return own_lab.ask("kms", "CreateKey")["KeyMetadata"]["KeyId"]


@pytest.fixture
def status(own_lab, key):
    """A cluster under the key, and how its status is asked for."""
    own_lab.ask(
        "rds", "CreateDBCluster", DBClusterIdentifier="orders", Engine="aurora-postgresql",
        StorageEncrypted=True, KmsKeyId=key,
    )  # fmt: skip
    own_lab.pass_time(60)
    return lambda: own_lab.ask("rds", "DescribeDBClusters")["DBClusters"][0]["Status"]


def lose(own_lab, key, seconds):
    own_lab.ask("kms", "DisableKey", KeyId=key)
    own_lab.pass_time(0)
    own_lab.pass_time(450)
    own_lab.pass_time(seconds)


def test_it_is_lost_after_seven_days_and_not_before(own_lab, key, status):
    lose(own_lab, key, WEEK - 1)
    assert status() == RECOVERABLE
    own_lab.pass_time(1)
    assert status() == TERMINAL


def test_fewer_days_can_be_asked_for(own_lab, key, status):
    own_lab.world.profile = replace(PROFILES["observed"], recoverable=1200)
    lose(own_lab, key, 1199)
    assert status() == RECOVERABLE
    own_lab.pass_time(1)
    assert status() == TERMINAL


def test_its_key_does_not_bring_it_back_and_it_cannot_be_started(own_lab, key, status):
    lose(own_lab, key, WEEK)
    own_lab.ask("kms", "EnableKey", KeyId=key)
    own_lab.pass_time(0)
    own_lab.pass_time(WEEK)
    assert status() == TERMINAL
    with pytest.raises(AwsError) as refused:
        own_lab.ask("rds", "StartDBCluster", DBClusterIdentifier="orders")
    assert refused.value.code == "InvalidDBClusterStateFault"


def test_its_points_in_time_can_be_restored_once_its_key_is_back_and_not_before(
    own_lab, key, status
):
    """AWS Knowledge Center, rds-aurora-inaccessible-state: of the terminal state."""
    own_lab.world.region("eu-west-1").clusters["orders"].restorable_from = own_lab.clock.utc()
    lose(own_lab, key, WEEK)
    restored = {
        "SourceDBClusterIdentifier": "orders",
        "DBClusterIdentifier": "again",
        "UseLatestRestorableTime": True,
    }
    with pytest.raises(AwsError) as refused:
        own_lab.ask("rds", "RestoreDBClusterToPointInTime", **restored)
    assert refused.value.code == "KMSKeyNotAccessibleFault"
    own_lab.ask("kms", "EnableKey", KeyId=key)
    own_lab.pass_time(0)
    assert status() == TERMINAL
    made = own_lab.ask("rds", "RestoreDBClusterToPointInTime", **restored)["DBCluster"]
    assert made["DBClusterIdentifier"] == "again"


def test_a_misbehaviour_brings_it_back_once_its_key_is_usable(own_lab, key, status):
    order = {"kind": "terminal-comes-back", "cluster": "orders"}
    data_misbehaviours.order(own_lab.world, order)
    lose(own_lab, key, WEEK)
    own_lab.pass_time(WEEK)
    assert status() == TERMINAL
    own_lab.ask("kms", "EnableKey", KeyId=key)
    own_lab.pass_time(0)
    own_lab.pass_time(0)
    assert status() == "starting"
