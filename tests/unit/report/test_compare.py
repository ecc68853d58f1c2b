"""What changed between two runs, and whether that can be an error of measuring."""

from __future__ import annotations

import copy

import pytest

from chaosaws_kms_ext.report.compare import compare
from tests.support.kept import EVIL


@pytest.fixture
def run(summary):
    """One with every figure."""
    its = copy.deepcopy(summary)
    its |= {"verdict": "passed", "reasons": [], "time_to_recovery_seconds": 38.0}
    its["bounds"] = {**its["bounds"], "time_to_recovery_seconds": 0.5, "outage_seconds": 0.1}
    its["writes"] = {"acknowledged": 10, "present": 10, "lost": 0, "unknown": 0}
    its["objectives"] = [{"name": "rto", "limit_seconds": 60, "met": True}]
    return its


def row(found, what):
    (its,) = [each for each in found.rows if each.what == what]
    return its


def test_the_same_run_does_not_differ(run):
    found = compare(run, copy.deepcopy(run))
    assert found.comparable
    assert not found.differs
    for each in found.rows:
        assert each.a == each.b
        assert each.meaning == "the same" or each.meaning.startswith("within the bounds")


@pytest.mark.parametrize(
    ("seconds", "differs", "says"),
    [
        (38.9, False, "within the bounds (1 s together)"),
        (39.0, False, "within the bounds (1 s together)"),
        (39.001, True, "1.001 s longer: more than the bounds (1 s together)"),
        (30.0, True, "8 s shorter: more than the bounds (1 s together)"),
    ],
)
def test_a_duration_differs_where_it_is_further_than_both_bounds(run, seconds, differs, says):
    found = compare(run, {**run, "time_to_recovery_seconds": seconds})
    its = row(found, "time to recovery")
    assert (its.meaning, its.differs, found.differs) == (says, differs, differs)
    assert (its.a, its.b) == ("38 s ± 0.5", f"{seconds:.15g} s ± 0.5")


def test_figures_are_those_of_the_summaries(run):
    found = compare(run, {**run, "outage_seconds": run["outage_seconds"] + 5})
    its = row(found, "outage")
    assert its.a == f"{run['outage_seconds']:.15g} s ± 0.1"
    assert its.b == f"{run['outage_seconds'] + 5:.15g} s ± 0.1"
    assert row(found, "availability").a == f"{run['availability']}"


def test_a_duration_without_a_bound_is_told_and_decides_nothing(run):
    other = {**run, "time_to_recovery_seconds": 99.0, "bounds": {}}
    found = compare(run, other)
    assert row(found, "time to recovery").meaning == "61 s longer; no bound is known"
    assert not found.differs
    found = compare(run, {**run, "availability": 0.01, "lost_service_seconds": 500.0})
    assert row(found, "service lost").meaning.endswith("s more; no bound is known")
    assert not found.differs


def test_what_one_run_has_not_measured_is_said(run):
    found = compare(run, {**run, "time_to_recovery_seconds": None, "writes": None})
    assert row(found, "time to recovery").b == "not measured"
    assert row(found, "lost writes").meaning == "measured in one of them only"
    assert not found.differs


def test_lost_writes_verdicts_and_objectives_are_exact(run):
    worse = {**run, "writes": {**run["writes"], "lost": 1}}
    assert row(compare(run, worse), "lost writes").differs
    assert row(compare(run, {**run, "verdict": "failed"}), "verdict").differs
    missed = {**run, "objectives": [{"name": "rto", "limit_seconds": 60, "met": False}]}
    its = row(compare(run, missed), "objective rto")
    assert (its.a, its.b, its.differs) == ("met", "missed", True)
    unasked = row(compare(run, {**run, "objectives": []}), "objective rto")
    assert (unasked.b, unasked.differs) == ("not asked", False)


AWS = {"target": "aws", "lab": None}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (AWS, "target (lab and aws)"),
        ({"experiment": "policy-deny"}, "experiment (kms-disable and policy-deny)"),
        ({"lab": {"speed": 300.0, "profile": "observed"}}, "lab speed (60 and 300)"),
        (
            {"lab": {"speed": 60.0, "profile": "documented"}},
            "lab profile (observed and documented)",
        ),
    ],
)
def test_runs_that_are_not_alike_are_not_compared_in_figures(run, changed, says):
    found = compare(run, {**run, **changed, "verdict": "failed"})
    assert list(found.differ_in) == [says]
    assert not found.comparable
    told = {each.what for each in found.rows}
    assert "verdict" in told
    assert not told & {"time to recovery", "outage", "lost writes", "availability"}


def test_what_else_was_not_the_same_is_said(run):
    other = {**run, "cluster": "billing", "lab": {**run["lab"], "tls": True}}
    settings = ({"hold": 600.0, "rto": 1.0, "lab_tls": "no"}, {"hold": 60.0, "lab_tls": "yes"})
    found = compare(run, other, settings)
    assert found.comparable
    assert found.notes == [
        f"cluster: {run['cluster'] or 'none'} and billing",
        "the lab's TLS: none and True",
        "CHAOS_HOLD: 600 and 60",
    ]


def test_text_of_others_stays_text_and_short(run):
    other = {**run, "verdict": EVIL * 10_000, "recovery_path": EVIL, "cluster": EVIL}
    other["bounds"] = {"time_to_recovery_seconds": EVIL}
    found = compare({**run, "recovery_path": "x"}, other)
    for said in (*found.notes, *(cell for each in found.rows for cell in (each.what, each.b))):
        assert said.isprintable()
        assert len(said) < 200
