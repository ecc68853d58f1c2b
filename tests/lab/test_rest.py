"""When the lab need not look at its clusters and keys many times a second."""

from __future__ import annotations

import json

import pytest

from chaosaws_kms_lab import kms
from tests.support.clusters import AVAILABLE

SOON = 0.5
"""Seconds."""

DAY = 86400

UNTIL_A_DATE = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*",
        "Condition": {"DateLessThan": {"aws:CurrentTime": "2200-01-01T00:00:00Z"}},
    }],
})  # fmt: skip


@pytest.fixture
def key(own_lab):
    """The key of an available cluster."""
    key = own_lab.ask("kms", "CreateKey")["KeyMetadata"]["Arn"]
    own_lab.ask(
        "rds", "CreateDBCluster", DBClusterIdentifier="c", Engine="aurora-postgresql",
        StorageEncrypted=True, KmsKeyId=key,
    )  # fmt: skip
    own_lab.pass_time(60)
    own_lab.pass_time(0)
    return key


def status(own_lab):
    (cluster,) = own_lab.ask("rds", "DescribeDBClusters")["DBClusters"]
    return cluster["Status"]


def test_a_cluster_that_is_being_created_does_not_rest(own_lab):
    own_lab.ask("rds", "CreateDBCluster", DBClusterIdentifier="c", Engine="aurora-postgresql")
    own_lab.pass_time(0)
    assert not own_lab.rds.at_rest


def test_an_available_cluster_rests_until_its_key_is_lost(own_lab, key):
    assert status(own_lab) == AVAILABLE
    assert own_lab.rds.at_rest
    own_lab.ask("kms", "DisableKey", KeyId=key)
    for _ in range(10):
        own_lab.pass_time(100)
        assert not own_lab.rds.at_rest


def test_under_a_policy_that_depends_on_time_nothing_rests(own_lab, key):
    own_lab.ask("kms", "PutKeyPolicy", KeyId=key, Policy=UNTIL_A_DATE)
    own_lab.pass_time(0)
    assert status(own_lab) == AVAILABLE
    assert not own_lab.rds.at_rest


def test_a_key_rests_until_its_deletion_is_near(own_lab, key):
    assert kms.at_rest(own_lab.world, SOON)
    own_lab.ask("kms", "ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
    own_lab.pass_time(7 * DAY - 10)
    assert kms.at_rest(own_lab.world, SOON)
    own_lab.pass_time(9.9)
    assert not kms.at_rest(own_lab.world, SOON)


def test_a_rotation_that_is_near_ends_the_rest(own_lab, key):
    own_lab.ask("kms", "EnableKeyRotation", KeyId=key, RotationPeriodInDays=90)
    assert kms.at_rest(own_lab.world, SOON)
    own_lab.pass_time(90 * DAY - 0.1)
    assert not kms.at_rest(own_lab.world, SOON)
