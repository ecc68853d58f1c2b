"""What an experiment can ask for, and in which words it is refused."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.checkers.objectives import (
    BadObjective,
    EachLoad,
    NotWithin,
    Objective,
    read_objectives,
)
from chaosaws_kms_ext.report.verdict import in_words
from tests.support.histories import conditions


def test_an_objective_is_a_name_or_has_a_limit_of_its_own():
    asked = ["rto", {"name": "lost_writes"}, {"name": "availability", "limit": 0.9}]
    assert read_objectives(asked) == {"rto": None, "lost_writes": None, "availability": 0.9}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["speed"], "no objective is called speed: there are rto, "),
        ([{"name": "speed", "limit": 1}], "no objective is called speed"),
        (
            [7],
            "an object with a name and a limit (or not_worse_than), not 7",
        ),
        ([{"limit": 7}], "an objective is a name, or an object"),
        ([{"name": "rto", "most": 7}], "an objective is a name, or an object"),
        (["rto", "rto"], "the objective rto is there twice"),
        (["availability"], 'availability needs a limit: {"name": "availability", "limit": …}'),
        ([{"name": "availability", "limit": 90}], "a share from 0 to 1, not 90"),
        ([{"name": "rto", "limit": -1}], "the limit of rto is AWS seconds, not -1"),
        ([{"name": "rto", "limit": "1"}], "the limit of rto is AWS seconds, not '1'"),
        ([{"name": "rto", "limit": True}], "the limit of rto is AWS seconds, not True"),
        ([{"name": "lost_writes", "limit": float("nan")}], "is a number, not nan"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(asked, said):
    with pytest.raises(BadObjective) as caught:
        read_objectives(asked)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_limit_of_the_experiment_goes_before_the_setting():
    asked = Objective("rto", "x", "rto", "seconds").evaluate(2.0, conditions(), 60)
    assert (asked["limit_seconds"], asked["limit_aws_seconds"], asked["met"]) == (1.0, 60, False)
    usual = Objective("rto", "x", "rto", "seconds").evaluate(2.0, conditions())
    assert (usual["limit_seconds"], usual["met"]) == (60.0, True)


def test_what_did_not_happen_in_its_time_meets_no_limit():
    asked = Objective("alarm", "x", None, "seconds")
    assert asked.evaluate(NotWithin(3.0), conditions(), 7200) == {
        "name": "alarm", "limit_seconds": 120.0, "limit_aws_seconds": 7200,
        "measured_seconds": None, "not_within_seconds": 3.0, "met": False,
    }  # fmt: skip


def test_a_figure_may_have_to_be_at_least_something():
    objective = Objective("availability", "x", None, "share", at_least=True)
    assert objective.evaluate(0.5, conditions(), 0.5)["met"] is True
    missed = objective.evaluate(0.49, conditions(), 0.5)
    assert missed == {
        "name": "availability", "limit": 0.5, "measured": 0.49, "met": False, "sense": "at least",
    }  # fmt: skip
    assert objective.evaluate(None, conditions(), 0.5)["met"] is None


# The worst of several


RTO = Objective("rto", "x", None, "seconds")
THERE = Objective("availability", "x", None, "share", at_least=True)


def of(objective, limit, **figures):
    return objective.evaluate(EachLoad.of(figures), conditions(), limit)


@pytest.mark.parametrize(
    ("found", "met", "loads"),
    [
        (of(RTO, 600, main=2.0, second=3.0), True, ["second"]),
        (of(RTO, 600, main=3.0, second=2.0), True, None),
        (of(RTO, 150, main=2.0, second=3.0), False, ["second"]),
        (of(RTO, 600, main=2.0, second=None), None, ["second"]),
        (of(RTO, 60, main=2.0, second=None), False, None),
        (of(RTO, 600, main=None, second=20.0), False, ["second"]),
        (of(RTO, 600, main=20.0, second=NotWithin(3.0)), False, ["second"]),
        (of(THERE, 0.5, main=0.9, second=0.6), True, ["second"]),
        (of(THERE, 0.5, main=0.1, second=0.2), False, None),
        (of(RTO, 600, main=2.0), True, None),
    ],
)
def test_missed_comes_before_unknown_and_unknown_before_met(found, met, loads):
    assert (found["met"], found.get("loads")) == (met, loads)
    assert in_words({**found, "measured_seconds": 0.0}).startswith(
        f"{found['name']} of the load second was" if loads else f"{found['name']} was"
    )


def test_counts_are_added_up_and_one_that_is_not_known_leaves_the_sum_unknown():
    lost = Objective("lost_writes", "x")
    assert lost.evaluate(EachLoad({"main": 1, "b": 0, "c": 2}, summed=True), conditions()) == {
        "name": "lost_writes", "limit": 0, "measured": 3, "met": False, "loads": ["main", "c"],
    }  # fmt: skip
    assert lost.evaluate(EachLoad({"main": 1, "b": None}, summed=True), conditions())["met"] is None
    assert EachLoad.of({"main": 0, "b": 0}, summed=True) == 0
