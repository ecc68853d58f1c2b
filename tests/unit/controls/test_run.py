"""The control's hooks, called as Chaos Toolkit calls them: on values, without any experiment."""

from __future__ import annotations

import copy
import re

import pytest
from chaoslib.exceptions import InterruptExecution
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.controls import run as control
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.report.verdict import of_journal
from chaosaws_kms_ext.resources.ledger import Ledger, Resource
from chaosaws_kms_ext.settings import Settings
from chaosaws_kms_ext.undo.store import ORIGIN, Origin

OURS = {"type": "python", "module": "chaosaws_kms_ext.kms.probes", "func": "key_state"}


@pytest.fixture(autouse=True)
def run():
    yield runs.begin(Settings(), "x")
    runs.end()


def step(name="what-is-it", **more):
    return {"type": "probe", "name": name, "provider": OURS, **more}


def done(output, status="succeeded"):
    return {"status": status, "output": output}


def after(activity, state, configuration=None, part="method"):
    """What the hook does with a step of this part of an experiment."""
    experiment = {part: [activity]}
    control.after_activity_control(
        context=activity, state=state, experiment=experiment, configuration=configuration
    )


# What later activities get


def test_what_an_activity_returned_is_there_for_later_ones():
    known = {"table": "users"}
    after(step("make-key B"), done({"key": "arn:k", "key_id": "k"}), known)
    after(step("state"), done("Enabled"), known)
    assert known == {
        "table": "users",
        "make_key_B_key": "arn:k",
        "make_key_B_key_id": "k",
        "state": "Enabled",
    }


@pytest.mark.parametrize(
    ("activity", "state"),
    [
        (step(), done({"key": "k"}, "failed")),
        (step(provider={**OURS, "module": "chaosaws.rds.probes"}), done({"key": "k"})),
        (step(provider={"type": "process", "path": "true"}), done({"key": "k"})),
    ],
)
def test_what_failed_or_is_not_ours_leaves_nothing(activity, state):
    known = {}
    after(activity, state, known, part="rollbacks")
    assert known == {}


@given(
    st.text(min_size=1, max_size=20), st.dictionaries(st.sampled_from(["key", "key_id"]), st.text())
)
def test_the_names_can_stand_in_an_experiment(name, output):
    known = {}
    after(step(name), done(output), known)
    assert list(known.values()) == list(output.values())
    assert all(re.fullmatch(r"\w+", key, re.ASCII) for key in known)


# Tolerances in a method


@pytest.mark.parametrize(
    ("tolerance", "output"),
    [
        (True, True),
        (False, False),
        ("CUSTOMER", "CUSTOMER"),
        ("${wanted}", "arn:k"),
        ([0, 1], 0.5),
        ({"type": "range", "range": [0.99, 1.0]}, 0.995),
        ({"type": "regex", "pattern": "^En", "target": "state"}, {"state": "Enabled"}),
    ],
    ids=str,
)
def test_a_probe_of_the_method_is_held_against_its_tolerance(tolerance, output):
    state = done(output)
    after(step(tolerance=tolerance), state, {"wanted": "arn:k"})
    assert state["tolerance_met"] is True


@pytest.mark.parametrize(
    ("tolerance", "output"),
    [
        (True, False),
        (True, None),
        ("${wanted}", "arn:other"),
        ("${nobody}", "arn:k"),
        # What cannot be asked
        (None, True),
        (0.5, 0.5),
        ([0, 1], {"rows": 4}),
        ([0, 1], "x"),
        ({}, True),
        ({"type": "magic"}, True),
        ({"type": "range"}, 1),
        ({"type": "range", "range": [0, 1]}, {"a": 1}),
        ({"type": "regex", "pattern": "("}, "x"),
        ({"type": "regex"}, "x"),
        ({"type": "jsonpath", "path": "$["}, {}),
        ({"type": "probe", "provider": {"type": "python"}}, True),
    ],
    ids=str,
)
def test_a_tolerance_that_is_not_met_or_cannot_be_asked_ends_the_method(run, tolerance, output):
    activity, state = step(tolerance=tolerance), done(output)
    with pytest.raises(InterruptExecution, match="what-is-it failed"):
        after(activity, state, {"wanted": "arn:k"})
    assert state["tolerance_met"] is False
    assert run.failed_at == "what-is-it"
    journal = {"steady_states": {}, "run": [{**state, "activity": activity}]}
    (failure,) = of_journal(journal, "failed").failures
    assert failure.startswith("action what-is-it returned ")


def test_without_the_hook_a_tolerance_is_not_met():
    """An activity may have a control of our control's name, which then replaces it."""
    journal = {"steady_states": {}, "run": [{**done(True), "activity": step(tolerance=True)}]}
    assert of_journal(journal, "failed").failures == (
        "action what-is-it returned True, and its tolerance is not met",
    )


@pytest.mark.parametrize("part", ["rollbacks", "hypothesis"])
def test_what_fails_elsewhere_ends_nothing(run, part):
    for state in (done(None, "failed"), done(False)):
        after(step(tolerance=True), state, part=part)
    assert run.failed_at == ""


def test_a_step_that_fails_ends_the_method_and_the_first_is_named(run):
    for name in ("first", "second"):
        with pytest.raises(InterruptExecution, match="first failed: nothing more of the method"):
            after(step(name), done(None, "failed"))
    assert run.failed_at == "first"


# What was refused


@pytest.fixture
def refused(run):
    run.event(EventName.GUARD_REFUSED, why="not this one")
    return run


@pytest.fixture
def ledger(tmp_path, run):
    made = Ledger(Origin(*[""] * len(ORIGIN)), "", tmp_path / "made.json")
    run.ledger = made
    return made


def test_what_the_guard_refused_before_anything_changed_is_refused(refused, ledger):
    assert control._refused_by_guard(refused) == "not this one"


def test_what_was_refused_after_a_fault_is_not_called_so(refused):
    refused.event(EventName.INJECTED, key="k")
    assert control._refused_by_guard(refused) == ""


def test_what_was_refused_while_something_made_is_left_is_not_called_so(refused, ledger):
    """A run that was refused has changed nothing."""
    ledger.things.append(Resource("key", "chaos-x", "made", "arn:k"))
    assert control._refused_by_guard(refused) == ""


def test_an_activity_is_not_changed_by_the_question():
    activity = step(tolerance={"type": "range", "range": [0, 1]})
    before = copy.deepcopy(activity)
    after(activity, done(1))
    assert activity == before
