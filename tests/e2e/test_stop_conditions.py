"""What ends a run at once, with the undo: alarms, `chaos kms restore`, Ctrl-C, safeguards."""

from __future__ import annotations

import json
import shutil
import signal
import time

import pytest

from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from tests.support.alarms import put_alarm
from tests.support.chaos import EXPERIMENT
from tests.support.chaos_runs import MOMENTS
from tests.support.clusters import RECOVERABLE
from tests.support.labs import until

pytestmark = pytest.mark.thorough

AT_ONCE = 20_000.0
"""A speed at which the cluster is inaccessible at the first look."""
FAR = {"CHAOS_HOLD": "60", "CHAOS_RECOVERY_STRATEGY": "start"}
"""The hold ends by what is tried here or not at all; then the cluster is back at once."""
LONG_ENOUGH = 6.0
"""Seconds of the hold after which the outage, begun 5 s before, is long enough to be measured."""


def set_alarm(lab_as_aws, name, state="ALARM"):
    lab_as_aws.client("cloudwatch").set_alarm_state(
        AlarmName=name, StateValue=state, StateReason="a test"
    )


def in_the_hold(lab_as_aws, **env):
    running = lab_as_aws.chaos.start_run(**{**FAR, **env})
    running.until_said(MOMENTS["hold"])
    assert lab_as_aws.key_state() == "Disabled"
    return running


def before_the_hold(lab_as_aws, **env):
    """The same some seconds earlier, where it makes no difference."""
    running = lab_as_aws.chaos.start_run(**{**FAR, **env})
    running.until_said(MOMENTS["impact"])
    until(lambda: lab_as_aws.key_state() == "Disabled")
    return running


def aborted(ran, *words):
    assert ran.status == 1
    assert "Traceback" not in ran.output
    summary = ran.summary
    assert summary["verdict"] == "aborted"
    for word in words:
        assert word in summary["reasons"][0], summary["reasons"]
    return summary


def not_waited_for(running):
    """What a run does after its key is back is shown elsewhere."""
    running.until_said(MOMENTS["recovery"])
    running.signal(signal.SIGINT)
    return running.wait(20)


def nothing_is_left(lab_as_aws):
    return lab_as_aws.chaos.kms("restore").output.startswith("Nothing to put back: ")


def calls(lab_as_aws, operation):
    lines = lab_as_aws.lab.requests.read_text().splitlines()
    return sum(json.loads(line)["operation"] == operation for line in lines)


# Alarms


def test_an_alarm_that_goes_off_ends_the_run_and_the_key_is_back_in_seconds(aws):
    lab_as_aws = aws(speed=AT_ONCE, CHAOS_STOP_ALARMS="orders-errors, checkout-latency")
    put_alarm(lab_as_aws.client("cloudwatch"), "orders-errors")
    put_alarm(lab_as_aws.client("cloudwatch"), "checkout-latency")
    running = in_the_hold(lab_as_aws)
    set_alarm(lab_as_aws, "checkout-latency")
    until(lambda: lab_as_aws.key_state() == "Enabled")
    ran = not_waited_for(running)
    aborted(ran, "the CloudWatch alarm checkout-latency went off")
    assert "Stopped by the CloudWatch alarm checkout-latency went off: the key is" in ran.output
    assert "Stopped again, by SIGINT: " in ran.output
    assert lab_as_aws.key_state() == "Enabled"


@pytest.mark.soak
def test_without_alarms_that_can_be_watched_nothing_begins(aws):
    lab_as_aws = aws(CHAOS_STOP_ALARMS="orders-errors")

    def refused():
        ran = lab_as_aws.chaos.run()
        assert ran.status == 1
        assert not ran.reports.exists()
        return ran.said

    why = "CHAOS_STOP_ALARMS names orders-errors, and there is no such alarm"
    assert refused() == why
    put_alarm(lab_as_aws.client("cloudwatch"), "orders-errors")
    set_alarm(lab_as_aws, "orders-errors")
    assert refused() == "the alarm orders-errors of CHAOS_STOP_ALARMS is in state ALARM already"
    set_alarm(lab_as_aws, "orders-errors", "OK")
    misbehaviours = Misbehaviours.of(lab_as_aws.lab)
    misbehaviours.order(kind="expired-token", service="cloudwatch", operation="DescribeAlarms")
    said = refused()
    assert said.startswith("the alarms of CHAOS_STOP_ALARMS cannot be read: ")
    misbehaviours.clear()
    assert calls(lab_as_aws, "DisableKey") == 0
    assert nothing_is_left(lab_as_aws)


# `chaos kms restore` from another shell


def test_restore_from_another_shell_is_noticed_and_ends_the_run(aws):
    lab_as_aws = aws("documented", AT_ONCE)
    running = in_the_hold(lab_as_aws)
    restored = lab_as_aws.chaos.kms("restore")
    assert restored.status == 0, restored.output
    assert "the key is back" in restored.output
    assert "the cluster orders is available" in restored.output
    ran = not_waited_for(running)
    aborted(ran, "`chaos kms restore`")
    assert (
        "Stopped by `chaos kms restore`, which closed the entry of the undo journal: " in ran.output
    )
    assert calls(lab_as_aws, "EnableKey") == 2  # both of the restore, which does it once more
    until(lambda: lab_as_aws.cluster_status() == "available")
    assert nothing_is_left(lab_as_aws)
    again = lab_as_aws.chaos.start_run()
    again.until_said("Steady state hypothesis is met!")
    again.signal(signal.SIGTERM)
    again.wait()
    assert lab_as_aws.key_state() == "Enabled"


@pytest.mark.soak
def test_a_journal_that_vanishes_keeps_no_key_away(aws):
    lab_as_aws = aws(speed=AT_ONCE)
    running = before_the_hold(lab_as_aws)
    shutil.rmtree(lab_as_aws.chaos.folder / "state")
    until(lambda: lab_as_aws.key_state() == "Enabled")
    aborted(not_waited_for(running), "the entry of the undo journal is gone")
    assert nothing_is_left(lab_as_aws)


# Interrupts


@pytest.mark.soak
def test_ctrl_c_once_puts_back_and_measures_and_says_so_in_one_line(aws):
    lab_as_aws = aws(speed=AT_ONCE)
    running = in_the_hold(lab_as_aws)
    time.sleep(LONG_ENOUGH)
    running.signal(signal.SIGINT)
    ran = running.wait()
    summary = aborted(ran, "SIGINT")
    assert summary["time_to_recovery_seconds"] > 0
    assert summary["time_to_impact_seconds"] > 0
    (line,) = [line for line in ran.output.splitlines() if "Stopped by" in line]
    assert line.endswith(
        "Stopped by SIGINT: the key is put back, and the recovery measured; once more (Ctrl-C), "
        "and only the key is put back."
    )
    assert lab_as_aws.cluster_status() == "available"
    assert nothing_is_left(lab_as_aws)


@pytest.mark.soak
def test_ctrl_c_twice_puts_back_only_and_says_so(aws):
    lab_as_aws = aws("documented", AT_ONCE)
    # It would wait 60 s before it starts the cluster.
    running = before_the_hold(lab_as_aws, CHAOS_RECOVERY_STRATEGY="wait-then-start")
    until(lambda: lab_as_aws.cluster_status() == RECOVERABLE)
    running.signal(signal.SIGINT)
    ran = not_waited_for(running)
    summary = aborted(ran, "SIGINT")
    assert summary["time_to_recovery_seconds"] is None
    again = "Stopped again, by SIGINT: the key is put back, without waiting for the recovery."
    assert again in ran.output
    assert lab_as_aws.key_state() == "Enabled"
    assert calls(lab_as_aws, "EnableKey") == 1
    assert "`chaos kms restore` starts it" in " ".join(summary["reasons"])


# Safeguards of chaosaddons


SAFEGUARD = """
import pathlib

def all_is_well():
    return not pathlib.Path({there!r}).exists()
"""


@pytest.fixture
def guarded(tmp_path):
    """The experiment with a safeguard that fails once a file is there."""
    alarm = tmp_path / "something-is-wrong"
    (tmp_path / "safeguard.py").write_text(SAFEGUARD.format(there=str(alarm)))
    experiment = json.loads(EXPERIMENT.read_text())
    probe = {
        "name": "all-is-well", "type": "probe", "tolerance": True, "frequency": 0.2,
        "provider": {"type": "python", "module": "safeguard", "func": "all_is_well"},
    }  # fmt: skip
    provider = {
        "type": "python", "module": "chaosaddons.controls.safeguards",
        "arguments": {"probes": [probe]},
    }  # fmt: skip
    experiment["controls"].append({"name": "safeguards", "provider": provider})
    path = tmp_path / "guarded.json"
    path.write_text(json.dumps(experiment))
    return path, alarm


@pytest.mark.soak
def test_a_safeguard_of_chaosaddons_that_fails_ends_the_run_with_the_key_back(aws, guarded):
    path, wrong = guarded
    lab_as_aws = aws(speed=AT_ONCE, PYTHONPATH=str(path.parent))
    running = lab_as_aws.chaos.start_run(path, **FAR)
    running.until_said(MOMENTS["hold"])
    wrong.touch()
    running.until_said("Safeguard 'all-is-well' triggered the end")
    until(lambda: lab_as_aws.key_state() == "Enabled")
    aborted(not_waited_for(running), "SIGUSR1")
    assert lab_as_aws.mutating_calls()[:2] == ["DisableKey", "EnableKey"]
    until(lambda: not running.left(), every=0.2)
