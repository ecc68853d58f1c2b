"""The steps of an experiment, as they are recorded."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.controls.steps import record_begin, record_end, record_steps
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.run import Run
from chaosaws_kms_ext.settings import Settings


def step(name):
    return {"type": "probe", "name": name}


EXPERIMENT = {
    "steady-state-hypothesis": {"title": "t", "probes": [step("a")]},
    "method": [step("b"), {"ref": "a"}],
    "rollbacks": [step("b")],
}


@pytest.fixture
def run():
    return Run(Settings(), "x")


def test_all_steps_are_there_in_order_by_their_names(run):
    record_steps(run, EXPERIMENT, lambda text: text)
    (event,) = run.events
    assert event.name == EventName.STEPS
    assert event.details["steps"] == [
        {"part": "hypothesis", "place": 0, "name": "a"},
        {"part": "method", "place": 0, "name": "b"},
        {"part": "method", "place": 1, "name": "a"},
        {"part": "rollbacks", "place": 0, "name": "b"},
    ]


def test_a_hypothesis_that_is_checked_after_the_method_comes_after_it(run):
    strategy = {"hypothesis": {"strategy": "after-method-only"}}
    record_steps(run, {**EXPERIMENT, "runtime": strategy}, str)
    parts = [each["part"] for each in run.events[0].details["steps"]]
    assert parts == ["method", "method", "hypothesis", "rollbacks"]


def test_an_experiment_without_parts_has_no_steps(run):
    record_steps(run, {}, str)
    assert run.events[0].details == {"steps": []}


def test_a_name_has_no_secret_and_is_no_longer_than_a_name(run):
    experiment = {"method": [step("hunter2 " + "x" * 1_000_000)]}
    record_steps(run, experiment, lambda text: text.replace("hunter2", "***"))
    name = run.events[0].details["steps"][0]["name"]
    assert name.startswith("*** x")
    assert len(name) == 200


def test_two_steps_of_one_name_are_told_apart(run):
    record_begin(run, EXPERIMENT, EXPERIMENT["rollbacks"][0])
    assert run.events[0].details == {"part": "rollbacks", "place": 0}


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ({"status": "succeeded"}, "succeeded"),
        ({"status": "succeeded", "tolerance_met": True}, "succeeded"),
        ({"status": "succeeded", "tolerance_met": False}, "failed"),
        ({"status": "failed"}, "failed"),
        ({"status": "aborted"}, "aborted"),
        ({}, ""),
    ],
)
def test_how_a_step_ended(run, state, status):
    record_end(run, EXPERIMENT, EXPERIMENT["method"][0], state)
    assert run.events[0].details == {"part": "method", "place": 0, "status": status}


def test_what_is_no_step_of_the_experiment_is_not_recorded(run):
    record_begin(run, EXPERIMENT, step("b"))
    record_end(run, EXPERIMENT, step("b"), {"status": "succeeded"})
    assert run.events == []
