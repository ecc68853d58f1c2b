"""Checkers by their names: one file each, and nothing else that knows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chaosaws_kms_ext import checkers
from chaosaws_kms_ext.checkers import (
    CHECKERS,
    OBJECTIVES,
    Checker,
    Field,
    Objective,
    Result,
    checker,
)
from chaosaws_kms_ext.report import summary
from chaosaws_kms_ext.report.verdict import Course, decide
from chaosaws_kms_ext.settings import Settings
from tests.support.histories import (
    ALL_WELL,
    ENDED,
    conditions,
    history,
    load,
    outage_of_main,
    ran,
    started,
    with_limits,
)

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "adding-a-checker.md"


@pytest.fixture
def registered():
    """What a test registers is forgotten again."""
    before, objectives, folders = dict(CHECKERS), dict(OBJECTIVES), list(checkers.__path__)
    yield CHECKERS
    for kept, now in ((before, CHECKERS), (objectives, OBJECTIVES)):
        now.clear()
        now.update(kept)
    checkers.__path__[:] = folders


def recorded(*loads_):
    operations, events = outage_of_main()
    return history(operations, [*started("main", *loads_), *events, ENDED])


def judged(*objectives):
    return summary.judge(recorded(), conditions(True, objectives))


class Broken(Checker):
    name = "broken"
    place = 1
    objectives = (Objective("unbroken", "breaks"),)
    fields = {"breaks": Field(int | None, "how often")}

    def check(self, history, conditions):
        raise ZeroDivisionError("of nothing")


def test_a_checker_that_fails_leaves_its_own_figures_unknown_and_nothing_passes(registered):
    before = judged("rto")
    assert before.verdict.passed
    checker(Broken)
    after = judged("rto")
    assert after.verdict.word == "inconclusive"
    assert after.verdict.reasons == (
        "the checker broken failed, its figures are not known: ZeroDivisionError('of nothing')",
    )
    assert after.summary["breaks"] is None
    for figure in before.summary:
        if figure not in ("verdict", "reasons"):
            assert after.summary[figure] == before.summary[figure]
    (objective,) = judged("unbroken").summary["objectives"]
    assert objective == {"name": "unbroken", "limit": 0, "measured": None, "met": None}


@pytest.mark.parametrize("name", CHECKERS)
def test_any_checker_may_fail_and_the_others_say_what_they_know(name, monkeypatch):
    def fails(*_):
        raise KeyError("x")

    monkeypatch.setattr(type(CHECKERS[name]), "check", fails)
    judgement = judged(*with_limits(OBJECTIVES))
    assert not judgement.verdict.passed
    failed = f"the checker {name} failed, its figures are not known: KeyError('x')"
    assert failed in judgement.verdict.reasons
    known = {each["name"]: each["met"] for each in judgement.summary["objectives"]}
    for objective in CHECKERS[name].objectives:
        assert known[objective.name] is None


def test_a_name_twice_is_an_error(registered):
    checker(Broken)
    with pytest.raises(ValueError, match="two checkers are called broken"):
        checker(Broken)
    with pytest.raises(ValueError, match="two checkers have a field called breaks"):
        checker(type("Another", (Broken,), {"name": "another"}))
    with pytest.raises(ValueError, match="two checkers have an objective called unbroken"):
        checker(type("Another", (Broken,), {"name": "another", "fields": {}}))


def test_a_field_without_a_type_is_an_error(registered):
    other = {"breaks": "how often"}
    with pytest.raises(TypeError, match="the field breaks of broken is no Field"):
        checker(type("Other", (Broken,), {"fields": other}))
    assert "broken" not in CHECKERS


def test_every_figure_in_a_summary_is_documented_by_its_checker():
    empty = summary.judge(history(events=[ENDED]), conditions())
    full = summary.judge(recorded("copy"), conditions(True, ["rto"]))
    documented = {*summary.HEADER, *(name for each in CHECKERS.values() for name in each.fields)}
    assert set(empty.summary) == set(full.summary) == documented
    assert set(full.summary["loads"]["copy"]) < documented


def test_no_field_is_two_checkers():
    fields = [*summary.HEADER, *(name for each in CHECKERS.values() for name in each.fields)]
    assert len(fields) == len(set(fields))


# The page's example


def load_from(folder):
    """As if the files of this folder were in that of the checkers."""
    checkers.__path__.append(str(folder))
    checkers.load(checkers.__path__, checkers.__name__)


def test_a_file_that_is_broken_is_left_out_and_nothing_passes(registered, tmp_path, monkeypatch):
    """So that `chaos kms restore`, which has no use for it, works in spite of it."""
    assert checkers.BROKEN == {}
    (tmp_path / "broken_one.py").write_text('raise RuntimeError("x")')
    try:
        load_from(tmp_path)
        assert judged("rto").verdict.word == "inconclusive"
        said = "the checker broken_one cannot be used: RuntimeError('x')"
        assert judged("rto").verdict.reasons == (said,)
    finally:
        checkers.BROKEN.clear()
    assert judged("rto").verdict.passed


def test_the_example_of_the_page_is_a_checker(registered, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(code.splitlines()) < 60
    (tmp_path / "longest_silence.py").write_text(code)
    load_from(tmp_path)

    judgement = judged("longest_silence")
    assert judgement.summary["longest_silence_seconds"] == pytest.approx(5, abs=0.1)
    (objective,) = judgement.summary["objectives"]
    assert objective["measured_seconds"] == judgement.summary["longest_silence_seconds"]
    assert objective["met"]
    assert ("longest silence", "5.05 s") in judgement.rows

    shorter = conditions(True, ["longest_silence"], Settings(lab_speed=60, load_rate=20, rto=60))
    missed = summary.judge(recorded(), shorter)
    assert missed.verdict.reasons == (
        "objective missed: longest_silence was 5.0 s, and its limit is 1 s",
    )

    calm = history(load("main", *ALL_WELL), [*started("main"), *ran("main", 0, 200), ENDED])
    well = summary.judge(calm, conditions(objectives=["longest_silence"]))
    assert well.verdict.passed
    assert well.summary["longest_silence_seconds"] < 0.1
    nothing = summary.judge(history(events=[ENDED]), conditions(objectives=["longest_silence"]))
    assert nothing.verdict.word == "inconclusive"


def test_the_verdict_of_a_checkers_failures_is_failed():
    found = Result(failures=["x"])
    assert decide(Course().with_failures(found.failures), [], []).word == "failed"
