"""How long a start is tried, and how often a cluster that is not back is named."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.inject.injection import close_recovered
from chaosaws_kms_ext.inject.recovery import Recovery, call_start
from chaosaws_kms_ext.run import Instant, Run
from chaosaws_kms_ext.settings import parse
from tests.support.fault_machine import FaultMachine
from tests.support.fault_programs import ENVIRONMENT, on
from tests.support.faulty_aws import FaultyAws


@pytest.fixture
def aws(tmp_path, monkeypatch):
    """Its cluster has lost its key, and cannot be started therefore."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    its = FaultyAws()
    its.ask("kms", "DisableKey", KeyId=its.key)
    its.sleep(1200)
    assert its.status == "inaccessible-encryption-credentials-recoverable"
    with on(its):
        yield its


def a_run(**env):
    return Run(parse({}, environ={**ENVIRONMENT, **env}), "r")


@pytest.mark.parametrize(
    ("timeout", "since", "least", "most"),
    [("60", 0, 60, 65), ("60", 40, 20, 25), ("60", 90, 0, 5), ("7200", 0, 300, 305)],
)
def test_a_start_that_is_refused_is_tried_no_longer_than_the_recovery_may_take(
    aws, timeout, since, least, most
):
    run, before = a_run(CHAOS_RECOVERY_TIMEOUT=timeout), aws.now()
    with pytest.raises(AwsError, match="KMSKeyNotAccessibleFault"):
        call_start(run, "orders", since)
    assert least <= aws.now() - before <= most


def test_the_recovery_of_a_cluster_counts_from_the_return_of_its_key(aws):
    run = a_run(CHAOS_RECOVERY_TIMEOUT="60", CHAOS_RECOVERY_STRATEGY="start")
    back = run.event(EventName.PUT_BACK, Instant.now(0), key=aws.key, cluster="orders")
    aws.sleep(50)
    before = aws.now()
    with pytest.raises(AwsError):
        Recovery(run, "orders", run.last(EventName.PUT_BACK) or back, lambda: True).look()
    assert aws.now() - before <= 15


def test_a_cluster_that_is_not_back_after_several_faults_of_its_key_is_named_once():
    machine = FaultMachine()
    machine.begin(in_store=False)
    machine.inject(["deny-rds", "disable-key"], True, [])
    machine.time_passes(1200.0)
    machine.put_back([])
    run = machine.run.run
    assert len(run.open_faults.awaiting_cluster) == 2
    (said,) = close_recovered(run)
    assert said.startswith("the cluster orders is inaccessible-")
    assert said.endswith("`chaos kms restore` starts it, and the switch stays armed")
    machine.recover([])
    assert run.open_faults.awaiting_cluster == []
    machine.teardown()
