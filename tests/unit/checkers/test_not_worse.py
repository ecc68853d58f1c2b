"""A figure against the median of earlier runs: judged from what the run has kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaosaws_kms_ext.checkers import OBJECTIVES
from chaosaws_kms_ext.checkers.not_worse import evaluate, measured_in
from chaosaws_kms_ext.checkers.objectives import (
    BadObjective,
    NotWithin,
    read_not_worse,
    read_objectives,
)
from chaosaws_kms_ext.history.earlier import Earlier, EarlierRun, NotWorse
from chaosaws_kms_ext.report import summary
from chaosaws_kms_ext.report.table import objective_in_words
from chaosaws_kms_ext.report.verdict import Course, decide
from chaosaws_kms_ext.settings import Settings
from tests.support.histories import ENDED, conditions, history, outage_of_main, started


def earlier(*figures, last=3, percent=20.0):
    runs = [EarlierRun(f"x/{number}", value) for number, value in enumerate(figures)]
    return Earlier(NotWorse(last, percent), runs)


LAB = conditions(settings=Settings(lab_speed=60.0))


@pytest.mark.parametrize(
    ("measured", "met"), [(44.4, True), (44.3999, True), (44.4001, False), (1.0, True)]
)
def test_it_is_met_up_to_so_many_percent_above_the_median(measured, met):
    found = evaluate(OBJECTIVES["rto"], measured, LAB, earlier(30.0, 37.0, 90.0))
    assert found["met"] is met
    assert found["name"] == "rto_against_earlier"
    assert (found["limit_seconds"], found["limit_aws_seconds"]) == (44.4, 2664.0)
    assert found["not_worse_than"]["median"] == 37.0
    assert [each["measured"] for each in found["not_worse_than"]["runs"]] == [30.0, 37.0, 90.0]


def test_a_figure_that_has_to_be_high_is_worse_below_the_median():
    its = earlier(0.8, 0.9, 0.5, percent=10.0)
    verdicts = [evaluate(OBJECTIVES["availability"], share, LAB, its) for share in (0.72, 0.71)]
    assert [each["met"] for each in verdicts] == [True, False]
    assert [(each["limit"], each["sense"]) for each in verdicts] == [(0.72, "at least")] * 2


@pytest.mark.parametrize("figure", [38.07, 0.1 + 0.2, 1 / 3, 1e-3])
def test_the_same_figure_again_is_never_worse(figure):
    measured = round(figure, 3)
    its = earlier(measured, last=1, percent=0)
    assert evaluate(OBJECTIVES["rto"], measured, LAB, its)["met"] is True


def test_none_lost_before_means_that_one_is_worse():
    its = earlier(0, 0, 0, percent=1000.0)
    assert [evaluate(OBJECTIVES["lost_writes"], n, LAB, its)["met"] for n in (0, 1)] == [
        True, False,
    ]  # fmt: skip


def test_what_did_not_happen_in_time_is_worse_than_anything():
    found = evaluate(OBJECTIVES["time_to_alarm"], NotWithin(18.0), LAB, earlier(1.0, 2.0, 3.0))
    assert (found["met"], found["not_within_seconds"]) == (False, 18.0)


def test_with_too_few_runs_it_is_not_judged_and_no_verdict_depends_on_it():
    found = evaluate(OBJECTIVES["rto"], 999.0, LAB, earlier(30.0, 37.0))
    assert found["met"] is None
    assert found["limit_seconds"] is None
    said = objective_in_words(found)
    assert said == (
        "not judged: 2 earlier runs of this experiment at this place passed, and 3 are needed"
    )
    assert decide(Course(), [found], []).word == "passed"


def test_a_figure_that_was_not_measured_is_no_pass_where_there_are_enough():
    found = evaluate(OBJECTIVES["rto"], None, LAB, earlier(1.0, 2.0, 3.0))
    verdict = decide(Course(), [found], [])
    assert verdict.word == "inconclusive"
    assert verdict.reasons == ("objective rto_against_earlier could not be judged",)


def test_what_an_earlier_run_measured_is_found_by_the_name_of_the_objective():
    said = {"objectives": [
        {"name": "rto", "measured_seconds": 3.0}, {"name": "lost_writes", "measured": 0},
        {"name": "availability_against_earlier", "measured": 0.5},
    ]}  # fmt: skip
    found = {name: measured_in(said, name) for name in ("rto", "lost_writes", "availability")}
    assert found == {"rto": 3.0, "lost_writes": 0, "availability": 0.5}
    assert measured_in(said, "degraded") is None


# What an experiment asks

HELD = {"last": 5, "percent": 20}


def test_it_stands_beside_a_limit_or_in_its_place():
    asked = [
        "lost_writes", {"name": "rto", "not_worse_than": HELD},
        {"name": "availability", "not_worse_than": HELD},
        {"name": "degraded", "limit": 5, "not_worse_than": {"last": 1, "percent": 0}},
    ]  # fmt: skip
    assert read_objectives(asked) == {"lost_writes": None, "rto": None, "degraded": 5}
    assert read_not_worse(asked) == {
        "rto": NotWorse(5, 20), "availability": NotWorse(5, 20), "degraded": NotWorse(1, 0),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (5, "is an object with the fields last and percent"),
        ({"last": 5}, "is an object with the fields last and percent"),
        ({**HELD, "of": 3}, "is an object with the fields last and percent"),
        ({**HELD, "last": 0}, "last is how many runs, from 1 to 100, not 0"),
        ({**HELD, "last": 2.0}, "last is how many runs"),
        ({**HELD, "last": True}, "last is how many runs"),
        ({**HELD, "percent": -1}, "percent is a number from 0 to 1000, not -1"),
        ({**HELD, "percent": "20"}, "percent is a number"),
        ({**HELD, "percent": float("nan")}, "percent is a number"),
        (None, "is an object with the fields"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(held, said):
    with pytest.raises(BadObjective) as caught:
        read_objectives([{"name": "rto", "not_worse_than": held}])
    assert str(caught.value).startswith("the objective rto: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_share_cannot_be_worse_by_more_than_all_of_it():
    with pytest.raises(BadObjective, match="percent is a number from 0 to 100, not 101"):
        read_not_worse([{"name": "availability", "not_worse_than": {"last": 1, "percent": 101}}])


# A whole judgement


@pytest.mark.parametrize(
    ("figures", "verdict"), [((3.0, 3.0), "passed"), ((0.1, 0.1), "failed"), ((0.1,), "passed")]
)
def test_a_run_is_judged_by_what_it_has_kept(figures, verdict):
    operations, events = outage_of_main()
    its = conditions(True, ["rto"])
    its = replace(its, earlier={"rto": earlier(*figures, last=2)})
    judged = summary.judge(history(operations, [*started("main"), *events, ENDED]), its)
    assert judged.verdict.word == verdict, judged.verdict.reasons
    assert [each["name"] for each in judged.summary["objectives"]] == ["rto", "rto_against_earlier"]
    if verdict == "failed":
        (why,) = judged.verdict.reasons
        assert why.startswith("objective missed: rto_against_earlier was ")
