"""Which of the kept runs a new one is held against."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.history.earlier import NotWorse
from chaosaws_kms_ext.report.earlier import earlier_of
from chaosaws_kms_ext.report.setups import setup_of
from tests.support.kept import keep

ASKED = {"rto": NotWorse(2, 20)}


def objectives(seconds):
    return [{"name": "rto", "measured_seconds": seconds, "limit_seconds": 60, "met": True}]


@pytest.fixture
def kept(tmp_path, summary):
    """Keeps runs with these times to recovery, the oldest first, each changed as said."""
    times = iter(range(1, 29))

    def keep_run(seconds, experiment="", **changed):
        more = {"verdict": "passed", "objectives": objectives(seconds), **changed}
        return keep(tmp_path, summary, f"2026-01-{next(times):02}T000000Z", experiment, **more)

    return keep_run


def figures(tmp_path, summary, asked=ASKED):
    return [each.measured for each in earlier_of(tmp_path, setup_of(summary), asked)["rto"].runs]


def test_they_are_the_last_that_passed_the_newest_first(kept, tmp_path, summary):
    for seconds in (1.0, 2.0, 3.0):
        kept(seconds)
    kept(4.0, verdict="failed")
    kept(5.0, verdict="inconclusive")
    assert figures(tmp_path, summary) == [3.0, 2.0]
    found = earlier_of(tmp_path, setup_of(summary), ASKED)["rto"]
    assert [each.run for each in found.runs] == [
        "kms-disable/2026-01-03T000000Z", "kms-disable/2026-01-02T000000Z",
    ]  # fmt: skip
    assert found.median == 2.5


@pytest.mark.parametrize(
    "changed",
    [
        {"experiment": "policy-deny"}, {"cluster": "billing"}, {"lab__speed": 300.0},
        {"lab__profile": "documented"}, {"target": "aws", "lab": None}, {"region": "us-east-1"},
    ],
)  # fmt: skip
def test_only_runs_of_the_same_kind_count(kept, tmp_path, summary, changed):
    kept(1.0)
    kept(2.0, **changed)
    assert figures(tmp_path, summary) == [1.0]


def test_runs_that_were_not_held_to_it_or_did_not_measure_it_are_left_out(kept, tmp_path, summary):
    kept(1.0)
    kept(2.0, objectives=[])
    kept(None)
    kept("3")
    kept(float("inf"))
    (kept(4.0) / "summary.json").write_text("{")
    assert figures(tmp_path, summary) == [1.0]


def test_where_nothing_is_kept_there_is_none(tmp_path, summary):
    assert figures(tmp_path, summary) == []
    assert figures(tmp_path / "none", summary) == []
    assert earlier_of(tmp_path / "none", setup_of(summary), {}) == {}
