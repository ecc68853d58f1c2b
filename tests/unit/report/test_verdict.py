"""The verdict, fail-closed, as pure values."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.checkers import OBJECTIVES
from chaosaws_kms_ext.checkers.objectives import read_objectives
from chaosaws_kms_ext.history import Conditions
from chaosaws_kms_ext.report.verdict import Course, decide, of_journal
from chaosaws_kms_ext.settings import Settings
from tests.support.histories import with_limits

LAB = Settings(lab_speed=60, rto=3600)


def evaluated(settings=LAB, **measured):
    """Objectives by name, with what was measured."""
    conditions = Conditions(run="r", experiment="x", started="", settings=settings)
    limits = read_objectives(with_limits(measured))
    return [
        OBJECTIVES[name].evaluate(figure, conditions, limits[name])
        for name, figure in measured.items()
    ]


def judged(ttr, lost):
    return evaluated(rto=ttr, lost_writes=lost)


def test_only_a_run_in_which_all_is_well_and_known_passes():
    assert decide(Course(), judged(59.9, 0), []).word == "passed"


@pytest.mark.parametrize(
    ("ttr", "lost", "reason"),
    [
        (60.1, 0, "objective missed: rto was 60.1 s, and its limit is 60 s"),
        (1.0, 3, "objective missed: lost_writes was 3, and its limit is 0"),
    ],
)
def test_a_missed_objective_fails(ttr, lost, reason):
    verdict = decide(Course(), judged(ttr, lost), [])
    assert (verdict.word, verdict.reasons) == ("failed", (reason,))


@pytest.mark.parametrize(("ttr", "lost"), [(None, 0), (1.0, None)])
def test_an_objective_that_cannot_be_judged_is_inconclusive(ttr, lost):
    assert decide(Course(), judged(ttr, lost), []).word == "inconclusive"


def test_a_figure_that_cannot_be_trusted_is_inconclusive():
    verdict = decide(Course(), judged(1.0, 0), ["no silence followed the fault"])
    assert (verdict.word, verdict.reasons) == ("inconclusive", ("no silence followed the fault",))


def test_failures_come_before_doubts_and_interrupts_before_failures():
    assert decide(Course(failures=("x",)), judged(None, 0), ["y"]).word == "failed"
    assert decide(Course(interrupted=True, failures=("x",)), [], []).word == "aborted"
    assert decide(Course(refused="z", interrupted=True), [], []).word == "refused"


def ran(name, status="succeeded", **more):
    return {"activity": {"name": name}, "status": status, **more}


NEVER_CHECKED = "the steady-state hypothesis was never checked"
NOT_HELD_BEFORE = "the steady-state hypothesis did not hold before the method"
NOT_HELD_AFTER = "the steady-state hypothesis did not hold after the method"
HELD_BEFORE = {"before": {"steady_state_met": True, "probes": []}}


def probe(name, **more):
    """A probe of a method that had a tolerance, and has run."""
    return {**ran(name, **more), "activity": {"name": name, "tolerance": True}}


@pytest.mark.parametrize(
    ("journal", "said"),
    [
        (
            {
                "steady_states": {
                    "before": {
                        "steady_state_met": False,
                        "probes": [ran("key-is-enabled", tolerance_met=False, output=False)],
                    }
                }
            },
            "the steady-state hypothesis did not hold before the method: "
            "key-is-enabled returned False, and its tolerance is not met",
        ),
        ({"steady_states": {"before": None}}, NEVER_CHECKED),
        (
            {"steady_states": {"before": None, "after": None}},
            NEVER_CHECKED,
        ),
        (
            {"steady_states": {"before": {"steady_state_met": None, "probes": []}}},
            NOT_HELD_BEFORE,
        ),
        (
            {"steady_states": {**HELD_BEFORE, "after": {"steady_state_met": None, "probes": []}}},
            NOT_HELD_AFTER,
        ),
        (
            {
                "deviated": True,
                "steady_states": {
                    "after": {
                        "steady_state_met": False,
                        "probes": [ran("copy-is-there", tolerance_met=False, output=0)],
                    }
                },
            },
            "the steady-state hypothesis did not hold after the method: "
            "copy-is-there returned 0, and its tolerance is not met",
        ),
        (
            {
                "steady_states": HELD_BEFORE,
                "run": [probe("rows-equal", tolerance_met=False, output=2)],
            },
            "action rows-equal returned 2, and its tolerance is not met",
        ),
        (
            {"steady_states": HELD_BEFORE, "run": [probe("rows-equal", output=True)]},
            "action rows-equal returned True, and its tolerance is not met",
        ),
        (
            {"steady_states": HELD_BEFORE, "rollbacks": [probe("is-back", tolerance_met=None)]},
            "rollback is-back returned None, and its tolerance is not met",
        ),
        (
            {
                "steady_states": HELD_BEFORE,
                "experiment": {"method": [{"name": "a"}, {"ref": "a"}], "rollbacks": []},
                "run": [ran("a")],
            },
            "action a did not run",
        ),
        (
            {
                "steady_states": HELD_BEFORE,
                "experiment": {"rollbacks": [{"name": "enable-the-key"}, {"name": "b"}]},
                "rollbacks": [ran("b")],
            },
            "rollback enable-the-key did not run",
        ),
        (
            {"steady_states": HELD_BEFORE, "run": [{"activity": {"name": "in-the-background"}}]},
            "action in-the-background: did not run",
        ),
        (
            {
                "steady_states": HELD_BEFORE,
                "run": [
                    ran(
                        "disable-the-key",
                        "failed",
                        exception=[
                            "Traceback …\n",
                            "chaoslib.exceptions.ActivityFailed: "
                            "chaoslib.exceptions.ActivityFailed: "
                            "not allowed: kms:DisableKey\n",
                        ],
                    )
                ],
            },
            "action disable-the-key: not allowed: kms:DisableKey",
        ),
        (
            {"steady_states": HELD_BEFORE, "rollbacks": [ran("enable-the-key", "failed")]},
            "rollback enable-the-key: failed",
        ),
        (
            {"steady_states": HELD_BEFORE, "deviated": True},
            NOT_HELD_AFTER,
        ),
    ],
)
def test_what_failed_is_read_from_the_journal(journal, said):
    (failure,) = of_journal(journal, "completed").failures
    assert failure.startswith(said)


def test_where_the_gate_stays_shut_nothing_of_the_method_is_missed():
    journal = {
        "steady_states": {"before": {"steady_state_met": False}},
        "experiment": {"method": [{"name": "a"}], "rollbacks": []},
    }
    assert of_journal(journal, "completed").failures == (
        "the steady-state hypothesis did not hold before the method",
    )


def test_what_comes_after_a_failure_is_not_missed():
    journal = {
        "steady_states": HELD_BEFORE,
        "experiment": {"method": [{"name": "a"}, {"name": "b"}], "rollbacks": []},
        "run": [ran("a", "failed")],
    }
    for status in ("completed", "failed", "interrupted"):
        assert of_journal(journal, status).failures == ("action a: failed",)
    assert of_journal({**journal, "run": []}, "interrupted").failures == ()


def test_a_hypothesis_asked_afterwards_alone_will_do():
    journal = {"steady_states": {"before": None, "after": {"steady_state_met": True}}}
    assert of_journal(journal, "completed") == Course()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_figure_that_objectives_are_held_against_can_be_missing(name):
    (judged_,) = evaluated(**{name: None})
    assert judged_["met"] is None
    assert decide(Course(), [judged_], []).word == "inconclusive"


AT_MOST_NONE = [
    name
    for name, objective in OBJECTIVES.items()
    if objective.limit in (0, None) and not objective.at_least
]


@pytest.mark.parametrize("name", AT_MOST_NONE)
def test_what_has_to_be_none_is_missed_by_one(name):
    assert evaluated(**{name: 0})[0]["met"] is True
    assert evaluated(**{name: 1})[0]["met"] is False


def test_a_replacement_is_held_against_its_own_objective():
    settings = Settings(lab_speed=60, rto=60, replacement_rto=600)
    rto, replacement = evaluated(settings, rto=1.5, replacement_rto=9.0)
    assert (rto["met"], replacement["met"]) == (False, True)
    assert (replacement["limit_seconds"], replacement["limit_aws_seconds"]) == (10, 600)


def test_a_journal_without_failures_has_none():
    journal = {"steady_states": HELD_BEFORE, "run": [ran("a")], "rollbacks": [ran("b")]}
    assert of_journal(journal, "completed") == Course()
    assert of_journal(journal, "interrupted").interrupted
    assert of_journal(journal, "failed").failures
