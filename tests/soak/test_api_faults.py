"""AWS misbehaves at each call of a run in turn: whatever the run says of it, the key comes back."""

from __future__ import annotations

import json
import time

import pytest

from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from tests.support.chaos_runs import MOMENTS, at_most_its_schema_is_left, schedules, switch_role
from tests.support.labs import until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(400)]

CALLS = [
    ("sts", "GetCallerIdentity"),
    ("iam", "SimulatePrincipalPolicy"),
    ("rds", "DescribeDBClusters"),
    ("rds", "DescribeDBInstances"),
    ("rds", "DescribeDBClusterSnapshots"),
    ("rds", "DescribeDBSnapshots"),
    ("rds", "DescribeGlobalClusters"),
    ("rds", "DescribeBlueGreenDeployments"),
    ("rds", "DescribeEvents"),
    ("rds", "StartDBCluster"),
    ("kms", "DescribeKey"),
    ("kms", "ListGrants"),
    ("kms", "ListResourceTags"),
    ("kms", "DisableKey"),
    ("kms", "EnableKey"),
    ("scheduler", "CreateScheduleGroup"),
    ("scheduler", "CreateSchedule"),
    ("scheduler", "GetSchedule"),
    ("scheduler", "DeleteSchedule"),
]

KINDS = {
    "throttled for ever": {"kind": "throttling"},
    "500 for ever": {"kind": "error"},
    "done, then 500, once": {"kind": "error-after", "count": 1},
    "done, then cut, five times": {"kind": "cut-after", "count": 5},
    "no answer in time, once": {"kind": "delay", "seconds": 25, "count": 1},
}

CLIENT_TRIES_ON_FOR = 150.0
"""Seconds: five times 20 s without an answer, and what lies between."""


def comes_back(lab_as_aws, running, misbehaviours):
    """The run ends by itself, says what it has to say, and the key is back, or comes back."""
    ran = running.wait(CLIENT_TRIES_ON_FOR + 120)
    assert "Traceback" not in ran.output, ran.output
    misbehaviours.clear()
    until(lambda: lab_as_aws.key_state() == "Enabled", 40, every=0.2)
    until(lambda: not running.left(), 40, every=0.2)
    if ran.status:
        restored = lab_as_aws.chaos.kms("restore")
        assert restored.status == 0, restored.output
    until(lambda: lab_as_aws.cluster_status() == "available", 60, every=0.2)
    assert at_most_its_schema_is_left(lab_as_aws)
    assert schedules(lab_as_aws) == []
    return ran


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("service", "operation"), CALLS, ids=[".".join(call) for call in CALLS])
def test_the_key_comes_back_whatever_a_call_meets(aws, service, operation, kind):
    lab_as_aws = aws(profile="documented", CHAOS_SELF_RESTART_WITHIN="2")
    env = {"CHAOS_SWITCH_ROLE": switch_role(lab_as_aws)}
    misbehaviours = Misbehaviours.of(lab_as_aws.lab)
    misbehaviours.order(service=service, operation=operation, **KINDS[kind])
    ran = comes_back(lab_as_aws, lab_as_aws.chaos.start_run(**env), misbehaviours)
    if KINDS[kind].get("count") == 1 and ran.status:
        verdict = json.loads((ran.reports / "latest" / "summary.json").read_text())["verdict"]
        assert verdict in ("failed", "inconclusive"), ran.output


@pytest.mark.parametrize("moment", ["impact", "hold", "recovery"])
@pytest.mark.parametrize(
    "order",
    [
        {"kind": "throttling", "service": "*"},
        {"kind": "error", "service": "*"},
        {"kind": "cut", "service": "*"},
        {"kind": "expired-token", "service": "*"},
        {"kind": "stale", "service": "kms", "operation": "DescribeKey", "seconds": 8},
    ],
    ids=lambda order: order["kind"],
)
def test_the_key_comes_back_when_everything_fails_for_a_while(aws, order, moment):
    """Credentials that have expired are renewed by nobody: the watchdog waits until they are."""
    lab_as_aws = aws(profile="documented", CHAOS_SELF_RESTART_WITHIN="2")
    misbehaviours = Misbehaviours.of(lab_as_aws.lab)
    running = lab_as_aws.chaos.start_run(CHAOS_SWITCH_ROLE=switch_role(lab_as_aws))
    running.until_said(MOMENTS[moment])
    misbehaviours.order(**order)
    time.sleep(12)
    misbehaviours.clear()
    comes_back(lab_as_aws, running, misbehaviours)
