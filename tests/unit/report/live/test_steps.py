"""The list of steps: what is done, what is going on, what is to come."""

from __future__ import annotations

from chaosaws_kms_ext.history import Event, EventName
from chaosaws_kms_ext.report.live.steps import FIRST, LAST, steps_of
from tests.support.live_runs import STEPS

HYPOTHESIS, METHOD, ROLLBACK = ((each["part"], each["place"]) for each in STEPS)
PLAN = Event(0, EventName.STEPS, {"steps": STEPS})
READY = Event(1, EventName.READY, {})
STOPPED = Event(8, EventName.LOAD_STOPPED, {"load": "main"})
ENDED = Event(9, EventName.ENDED, {})


def began(where):
    return Event(2, EventName.STEP_BEGAN, {"part": where[0], "place": where[1]})


def ended(where, status="succeeded"):
    details = {"part": where[0], "place": where[1], "status": status}
    return Event(3, EventName.STEP_ENDED, details)


def both(where, status="succeeded"):
    return began(where), ended(where, status)


def states(*events, over=False):
    return [step.state for step in steps_of(events, over)]


def test_it_has_what_the_run_does_before_and_after_the_experiment_too():
    names = [step.name for step in steps_of([PLAN], False)]
    assert names == [FIRST, *(each["name"] for each in STEPS), LAST]


def test_a_run_from_its_begin_to_its_end():
    so_far = [PLAN]
    assert states(*so_far) == ["now", "to come", "to come", "to come", "to come"]
    so_far.append(READY)
    assert states(*so_far) == ["done", "to come", "to come", "to come", "to come"]
    so_far.append(began(HYPOTHESIS))
    assert states(*so_far) == ["done", "now", "to come", "to come", "to come"]
    so_far += [ended(HYPOTHESIS), began(METHOD)]
    assert states(*so_far) == ["done", "done", "now", "to come", "to come"]
    so_far += [ended(METHOD), *both(ROLLBACK)]
    assert states(*so_far) == ["done", "done", "done", "done", "now"]
    assert states(*so_far, STOPPED, ENDED, over=True) == ["done"] * 5


def test_what_failed_and_what_was_left_out_is_told_apart():
    so_far = [PLAN, READY, *both(HYPOTHESIS, "failed"), began(ROLLBACK)]
    assert states(*so_far) == ["done", "failed", "not done", "now", "to come"]


def test_of_a_run_that_was_killed_nothing_goes_on():
    so_far = [PLAN, READY, *both(HYPOTHESIS), began(METHOD)]
    assert states(*so_far, over=True) == ["done", "done", "failed", "not done", "not done"]
    assert states(PLAN, over=True) == ["not done"] * 5


def test_a_run_of_a_version_that_records_no_steps_has_begin_and_end():
    assert states(READY) == ["done", "to come"]


def test_events_that_are_not_as_they_should_be_are_no_steps():
    for steps in ("x", [None, 1], {"a": 1}, None):
        assert states(Event(0, EventName.STEPS, {"steps": steps})) == ["now", "to come"]
    assert (
        len(states(Event(0, EventName.STEPS, {"steps": [{"place": []}]}), began(("x", None)))) == 3
    )
