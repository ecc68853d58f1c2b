"""Ctrl-C, SIGTERM and SIGKILL at any moment: the key comes back, and nothing of ours is left."""

from __future__ import annotations

import signal
import time

import psutil
import pytest

from tests.support.chaos import Chaos
from tests.support.chaos_runs import MOMENTS
from tests.support.labs import until

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
OFTEN = {(signal.SIGTERM, "impact")}
"""What `make test` runs; `make soak` runs all."""


@pytest.fixture
def chaos(tmp_path):
    """The program itself, with its own lab and watchdog."""
    return Chaos(tmp_path, forks=False)


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        pytest.param(
            number,
            moment,
            id=f"{number.name}-{moment}",
            marks=[] if (number, moment) in OFTEN else pytest.mark.soak,
        )
        for number in SIGNALS
        for moment in MOMENTS
    ],
)
def test_nothing_of_ours_is_left(chaos, number, moment):
    running = chaos.start_run()
    running.until_said(MOMENTS[moment])
    running.signal(number)
    until(lambda: not running.left(), every=0.2)
    ran = running.wait(20)
    assert ran.status != 0
    if number != signal.SIGKILL:
        assert "Traceback" not in ran.output
        if moment in ("impact", "hold", "recovery"):
            assert ran.summary["verdict"] == "aborted"


@pytest.mark.parametrize(
    ("number", "moment"), [(signal.SIGINT, "hold"), (signal.SIGTERM, "impact")]
)
@pytest.mark.soak
def test_an_interrupt_still_puts_the_key_back(aws, number, moment):
    lab_as_aws = aws()
    running = lab_as_aws.chaos.start_run()
    running.until_said(MOMENTS[moment])
    until(lambda: lab_as_aws.key_state() == "Disabled")
    running.signal(number)
    until(lambda: lab_as_aws.key_state() == "Enabled")
    ran = running.wait()
    assert ran.status == 1
    assert ran.summary["verdict"] == "aborted"
    assert lab_as_aws.cluster_status() == "available"
    assert lab_as_aws.chaos.kms("restore").output.startswith("Nothing to put back: ")


@pytest.mark.soak
def test_a_signal_that_would_skip_the_rollbacks_does_not(aws):
    lab_as_aws = aws()
    running = lab_as_aws.chaos.start_run()
    running.until_said(MOMENTS["impact"])
    until(lambda: lab_as_aws.key_state() == "Disabled")
    running.signal(signal.SIGUSR2)
    until(lambda: lab_as_aws.key_state() == "Enabled")
    running.signal(signal.SIGKILL)
    running.wait()


@pytest.mark.parametrize("pause", [0.001, 0.0, 0.01, 0.3])
@pytest.mark.soak
def test_two_interrupts_close_together_still_put_the_key_back(aws, pause):
    lab_as_aws = aws()
    running = lab_as_aws.chaos.start_run()
    running.until_said(MOMENTS["impact"])
    until(lambda: lab_as_aws.key_state() == "Disabled")
    running.signal(signal.SIGINT)
    time.sleep(pause)
    running.signal(signal.SIGINT)
    until(lambda: lab_as_aws.key_state() == "Enabled")
    assert running.wait().status == 1


@pytest.mark.soak
def test_a_cluster_that_an_interrupt_left_down_is_said_and_restored(aws):
    lab_as_aws = aws(profile="documented")
    running = lab_as_aws.chaos.start_run()
    running.until_said(MOMENTS["recovery"])
    running.signal(signal.SIGINT)
    ran = running.wait()
    assert ran.status == 1
    assert "inaccessible-encryption-credentials-recoverable: `chaos kms restore`" in ran.output
    assert lab_as_aws.key_state() == "Enabled"
    assert lab_as_aws.chaos.kms("restore").status == 0
    until(lambda: lab_as_aws.cluster_status() == "available")
    assert lab_as_aws.chaos.kms("restore").output.startswith("Nothing to put back: ")


@pytest.mark.soak
def test_after_a_sigkill_of_run_and_watchdog_the_next_run_refuses_and_restore_puts_everything_back(
    aws,
):
    lab_as_aws = aws(profile="documented")
    running = lab_as_aws.chaos.start_run()
    running.until_said(MOMENTS["hold"])
    for child in psutil.Process(running.process.pid).children():
        if "chaosaws_kms_ext.undo.watchdog" in child.cmdline():
            child.kill()
    running.signal(signal.SIGKILL)
    running.wait(60)
    assert lab_as_aws.key_state() == "Disabled"
    until(lambda: not running.left(), every=0.2)

    refused = lab_as_aws.chaos.run()
    assert refused.status == 1
    assert "put it back with `chaos kms restore`" in refused.said
    assert lab_as_aws.key_state() == "Disabled"

    restored = lab_as_aws.chaos.kms("restore")
    assert restored.status == 0
    assert "the key is back" in restored.output
    assert lab_as_aws.key_state() == "Enabled"
    until(lambda: lab_as_aws.cluster_status() == "available")
    assert lab_as_aws.chaos.kms("restore").output.startswith("Nothing to put back: ")


@pytest.mark.soak
def test_what_a_killed_run_left_of_its_lab_is_no_business_of_the_next(chaos):
    running = chaos.start_run()
    running.until_said(MOMENTS["hold"])
    running.signal(signal.SIGKILL)
    running.wait(60)
    until(lambda: not running.left(), every=0.2)
    assert chaos.kms("restore").output.startswith("Nothing to put back: ")
    running = chaos.start_run()
    running.until_said("Steady state hypothesis is met!")
    running.signal(signal.SIGTERM)
    running.wait()


@pytest.mark.soak
def test_a_lab_run_that_restore_ends_does_not_fail(chaos):
    """The run ends its lab while restore still waits for the cluster."""
    running = chaos.start_run(CHAOS_HOLD="60000")
    running.until_said(MOMENTS["hold"])
    restored = chaos.kms("restore")
    assert restored.status == 0, restored.output
    assert "the key is back" in restored.output
    ran = running.wait()
    assert ran.status == 1
    assert "Stopped by `chaos kms restore`" in ran.output
    assert chaos.kms("restore").output.startswith("Nothing to put back: ")
