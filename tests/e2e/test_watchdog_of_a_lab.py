"""A watchdog whose AWS was a lab: it ends with that lab, and says so."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.chaos import LabAsAws, marked
from tests.support.labs import FAST, until

pytestmark = pytest.mark.soak


def journal_of(lab_as_aws):
    folder = lab_as_aws.chaos.folder / "state" / "chaosaws-kms"
    return sorted(each.suffix for each in folder.glob("*")), folder


def ends(lab_as_aws, running):
    lab_as_aws.lab._child.process.send_signal(signal.SIGKILL)
    lab_as_aws.lab._child.process.wait()
    until(lambda: not running.left(), timeout=30, every=0.2)
    suffixes, folder = journal_of(lab_as_aws)
    assert ".json" not in suffixes
    (log,) = folder.glob("*.log")
    assert f"the lab {lab_as_aws.lab.id} that played AWS at {lab_as_aws.lab.endpoint} is gone" in (
        log.read_text()
    )


@pytest.fixture
def hold(tmp_path):
    """Begins a run that holds the outage, with a journal of its own, on a lab of this speed."""
    started = []

    def hold(speed):
        lab_as_aws = LabAsAws.start(
            tmp_path, "documented", speed, CHAOS_HOLD="60", XDG_STATE_HOME=str(tmp_path / "state")
        )
        running = lab_as_aws.chaos.start_run()
        started.append((lab_as_aws, running))
        running.until_said("Action: hold-the-outage")
        return lab_as_aws, running

    yield hold
    for lab_as_aws, running in started:
        running.signal(signal.SIGKILL)
        lab_as_aws.lab.stop()
        for process in marked(*lab_as_aws.chaos.marks):
            process.kill()


def test_a_watchdog_that_puts_back_ends_when_the_lab_is_gone(hold):
    lab_as_aws, running = hold(FAST)
    os.kill(lab_as_aws.lab._child.process.pid, signal.SIGSTOP)  # so that nothing is answered
    running.signal(signal.SIGKILL)
    running.wait(5)
    assert running.left()
    ends(lab_as_aws, running)


def test_one_that_waits_for_the_cluster_does_too(hold):
    lab_as_aws, running = hold(20)
    running.signal(signal.SIGKILL)
    running.wait(5)
    until(lambda: lab_as_aws.cluster_status() == "starting", timeout=30)
    ends(lab_as_aws, running)
