"""Whenever a run is killed, its key comes back without anyone remembering to do it."""

from __future__ import annotations

import random
import signal
import time

import pytest

from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from tests.support.chaos_runs import (
    MOMENTS,
    at_most_its_schema_is_left,
    killed_in,
    schedules,
    switch_role,
)
from tests.support.labs import until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(400)]

KILLS = 60
LATEST = 22.0
"""Seconds: a run of these takes about 25."""

PROMISED = 10.0
"""Seconds from the kill until the key is enabled again, by the watchdog."""


def all_is_well(lab_as_aws, running, within=PROMISED):
    """Everything that was promised; the run has just been killed."""
    until(lambda: lab_as_aws.key_state() == "Enabled", within, every=0.1)
    until(lambda: not running.left(), 60, every=0.2)
    until(lambda: lab_as_aws.cluster_status() == "available", 60, every=0.2)
    assert at_most_its_schema_is_left(lab_as_aws)
    assert schedules(lab_as_aws) == []
    fit = lab_as_aws.chaos.kms("doctor")
    assert fit.status == 0, fit.output


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_run_that_is_killed_at_any_moment_leaves_nothing_broken(aws, seed):
    draw = random.Random(f"moment {seed}")
    lab_as_aws = aws(profile=draw.choice(["observed", "documented"]))
    env = {"CHAOS_SWITCH_ROLE": switch_role(lab_as_aws)} if draw.random() < 0.5 else {}
    running = lab_as_aws.chaos.start_run(**env)
    time.sleep(draw.uniform(0.5, LATEST))
    running.signal(signal.SIGKILL)
    running.wait(5)
    all_is_well(lab_as_aws, running)


# What the run is asking of AWS at that moment, and for the how manieth time.
BOUNDARIES = {
    "before the journal": ("rds", "DescribeDBSnapshots", 2),
    "between journal and switch": ("scheduler", "CreateScheduleGroup", 1),
    "in the switch": ("scheduler", "CreateSchedule", 1),
    "between switch and DisableKey": ("kms", "DisableKey", 1),
    "between EnableKey and its verification": ("kms", "EnableKey", 1),
    "while it is disarmed": ("scheduler", "DeleteSchedule", 1),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_run_that_is_killed_between_two_of_its_steps_leaves_nothing_broken(aws, boundary, when):
    """Before: the call has not been made. After: it was, and its answer has not come."""
    service, operation, times = BOUNDARIES[boundary]
    lab_as_aws = aws(profile="documented", CHAOS_SELF_RESTART_WITHIN="5")
    misbehaviours = Misbehaviours.of(lab_as_aws.lab)
    order = {"service": service, "operation": operation, "count": times, "seconds": 3.0}
    misbehaviours.order(kind="delay", **order)
    if when == "after":
        # Carried out at once, and then the answer is lost: the SDK tries again, and waits here.
        misbehaviours.clear()
        misbehaviours.order(kind="error-after", service=service, operation=operation, count=times)
        misbehaviours.order(kind="delay", **{**order, "count": times + 1})
    running = lab_as_aws.chaos.start_run(CHAOS_SWITCH_ROLE=switch_role(lab_as_aws))
    until(lambda: not misbehaviours.holding() or running.process.poll() is not None, 90, every=0.01)
    assert running.process.poll() is None, running.output
    running.signal(signal.SIGKILL)
    running.wait(5)
    all_is_well(lab_as_aws, running, within=20)


@pytest.mark.parametrize("moment", MOMENTS)
def test_with_the_watchdog_alone(aws, moment):
    lab_as_aws = aws(profile="documented")
    running = lab_as_aws.chaos.start_run()
    running.until_said(MOMENTS[moment])
    running.signal(signal.SIGKILL)
    running.wait(5)
    all_is_well(lab_as_aws, running)


def test_with_the_switch_alone(aws):
    """Nothing of the run is left: AWS itself calls EnableKey and StartDBCluster."""
    lab_as_aws = aws(profile="documented", CHAOS_MAX_KEY_UNUSABLE="15")
    running = killed_in(
        lab_as_aws, moment="hold", watchdog=False, CHAOS_SWITCH_ROLE=switch_role(lab_as_aws)
    )
    until(lambda: not running.left(), 5, every=0.2)
    began = time.monotonic()
    assert lab_as_aws.key_state() == "Disabled"
    until(lambda: lab_as_aws.key_state() == "Enabled", 150, every=0.5)
    assert time.monotonic() - began < 150
    until(lambda: lab_as_aws.cluster_status() == "available", 330, every=0.5)
    # The journal and the schedules are still there, and restore closes both without a fault.
    assert lab_as_aws.chaos.kms("restore").status == 0
    assert schedules(lab_as_aws) == []
    assert at_most_its_schema_is_left(lab_as_aws)
