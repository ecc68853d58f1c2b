"""The keys beside that of the storage: each promise of the experiment broken once, and on what
plays AWS, where a cluster may lack some, and a run may die.

That it passes on a lab that behaves is shown by `pytest experiments/`.
"""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import pytest

from chaosaws_kms_ext.iam.permissions import Caller
from tests.support.chaos_runs import at_most_its_schema_is_left, experiment
from tests.support.labs import until
from tests.support.least_privilege import place, put_policy, somebody
from tests.support.usual_policies import policy

pytestmark = pytest.mark.soak

SECONDARY = experiment("kms-secondary-keys")


def misbehaving(chaos, **order):
    ran = chaos.run(SECONDARY, CHAOS_LAB_FAULTS=json.dumps([order]))
    assert ran.status == 1, ran.output
    assert "Traceback" not in ran.output
    assert ran.summary["verdict"] == "failed"
    return ran


def missed(ran):
    return [each["name"] for each in ran.summary["objectives"] if each["met"] is False]


def by_kind(ran):
    return {each["key_of"]: each for each in ran.summary["secondary_keys"]}


def keys_of(lab_as_aws):
    """The secondary keys of the cluster."""
    rds = lab_as_aws.client("rds")
    cluster = rds.describe_db_clusters(DBClusterIdentifier="orders")["DBClusters"][0]
    instance = rds.describe_db_instances(DBInstanceIdentifier="orders-1")["DBInstances"][0]
    return [
        cluster["MasterUserSecret"]["KmsKeyId"],
        instance["PerformanceInsightsKMSKeyId"],
        cluster["ActivityStreamKmsKeyId"],
    ]


def states(lab_as_aws, keys):
    kms = lab_as_aws.client("kms")
    return {kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] for key in keys}


def test_a_cluster_that_goes_down_with_such_a_key_is_found(chaos):
    ran = misbehaving(chaos, kind="secondary-key-stops-cluster", cluster="orders")
    assert "missed_arrivals" in missed(ran)
    assert ran.summary["missed_arrivals"] > 100


def test_a_secret_that_is_read_without_its_key_is_found(chaos):
    ran = misbehaving(chaos, kind="secret-outlives-key")
    assert missed(ran) == ["usable_without_key"]
    its = by_kind(ran)
    assert its["master-secret"]["usable_without_key"] is True
    assert its["performance-insights"]["usable_without_key"] is False


def test_a_cluster_that_lacks_one_is_tried_without_it(chaos):
    ran = chaos.run(SECONDARY, CHAOS_LAB_SECONDARY_KEYS="no")
    assert ran.status == 1
    assert {each["key"] for each in by_kind(ran).values()} == {None}
    assert ran.summary["verdict"] == "inconclusive"
    why = "the cluster has none of these keys, so nothing was tried"
    assert ran.summary["reasons"][0] == why


@pytest.fixture
def played(aws):
    return aws(iam=True, secondary_keys=True, CHAOS_HOLD="3")


@pytest.fixture
def runner(played):
    """Who has the policies `run` and `secondary`, for every key with the tag."""
    its = somebody(played, Caller.RUN)
    anywhere = place(played, its.arn, its.env["CHAOS_SWITCH_ROLE"])
    anywhere = replace(anywhere, key="*")
    both = policy(Caller.RUN, anywhere)
    both["Statement"] += policy(Caller.SECONDARY, anywhere)["Statement"]
    put_policy(played, its.arn.replace(":sts:", ":iam:"), both)
    switch = policy(Caller.SWITCH, anywhere)
    put_policy(played, its.env["CHAOS_SWITCH_ROLE"], switch)
    return its


def test_on_aws_the_printed_policies_are_enough(played, runner):
    stop = played.client("rds").stop_activity_stream
    arn = "arn:aws:rds:eu-west-1:123456789012:cluster:orders"
    secret, insights, _ = keys_of(played)
    stop(ResourceArn=arn)
    ran = played.chaos.run(SECONDARY, **runner.env)
    assert ran.status == 0, ran.output
    its = by_kind(ran)
    assert its["activity-stream"]["key"] is None
    assert (its["master-secret"]["key"], its["performance-insights"]["key"]) == (secret, insights)
    assert its["master-secret"]["cached_login"] is True
    assert states(played, [secret, insights]) == {"Enabled"}
    assert at_most_its_schema_is_left(played)


@pytest.mark.parametrize("step", ["without-the-key-of-the-secret", "without-the-key-of-the-stream"])
def test_after_a_kill_the_watchdog_puts_the_key_back(aws, step):
    played = aws(secondary_keys=True, CHAOS_HOLD="8")
    running = played.chaos.start_run(SECONDARY)
    running.until_said(f"Action: {step}", timeout=100)
    assert "Disabled" in states(played, keys_of(played))
    running.signal(signal.SIGKILL)
    running.wait(60)
    until(lambda: states(played, keys_of(played)) == {"Enabled"})
    until(lambda: not running.left(), every=0.2)
    assert at_most_its_schema_is_left(played)
    assert played.cluster_status() == "available"
