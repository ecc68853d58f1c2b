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
from chaosaws_kms_ext.checkers.base import expects_outage, hit_loads
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.report import summary
from chaosaws_kms_ext.report.verdict import Course, decide
from chaosaws_kms_ext.settings import Settings
from tests.support.histories import (
    ALL_WELL,
    ENDED,
    conditions,
    event,
    history,
    load,
    measure,
    outage_of_main,
    ran,
    started,
    verdict,
    with_limits,
    written,
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


# A load on another cluster under the key is measured as `main` is, and held to the same.


KEY, ANOTHER = "arn:k", "arn:another"


def started_on(name, cluster, key, at=-2):
    details = {"load": name, "cluster": cluster, "key": key, "reconnect_spacing_seconds": 0.05}
    return event(EventName.LOAD_STARTED, at, **details)


def two_clusters(second, back=240, start=None):
    """`main` is away from 100 to 200; what became of `second` on another cluster, which is
    available again at `back`."""
    operations, events = outage_of_main()
    injected = next(each for each in events if each.name == EventName.INJECTED)
    events.remove(injected)
    events += [
        event(EventName.INJECTED, 90, **injected.details, others=["carts"]),
        started_on("second", "carts", KEY),
        event(EventName.OTHER_STATUS, 125, of="carts", key="Disabled", meaning="recoverable"),
        event(EventName.OTHER_STATUS, back, of="carts", key="Enabled", meaning="accessible"),
        *ran("second", 0, 300),
    ]
    if start:
        events.append(event(EventName.START_CALLED, start, cluster="carts"))
    return [*operations, *load("second", *second)], events


LATER = ["ok"] * 105 + ["timeout"] * 145 + ["ok"] * 50


def measured(operations, events, rows=None):
    return measure(["main"], history(operations, events, rows), outage=True)


def test_each_cluster_has_its_own_times_and_its_own_way_back():
    found = measured(*two_clusters(LATER, start=200))
    second = found.loads["second"]
    assert found.figures["time_to_recovery_seconds"] == pytest.approx(2.5, abs=0.1)
    assert second["time_to_recovery_seconds"] == pytest.approx(5.0, abs=0.1)
    assert second["time_to_impact_seconds"] == pytest.approx(0.7, abs=0.1)
    assert second["time_to_inaccessible_seconds"] == 1.75
    assert second["time_to_available_seconds"] == 4.5
    assert second["recovery"]["start_called_after_seconds"] == 2.5
    paths = (found.figures["recovery_path"], second["recovery_path"])
    assert paths == ("self-restart", "start-db-cluster")
    assert second["missed_arrivals"] is None
    assert second["recovery_curve"]["all"] == second["time_to_recovery_seconds"]


def test_the_worse_counts_and_is_named():
    said = verdict(measured(*two_clusters(LATER)), {"name": "rto", "limit": 180})
    assert said.word == "failed"
    assert (
        "objective missed: rto of the load second was 5.0 s, and its limit is 3 s" in said.reasons
    )
    # The load `main` alone would have met it, and is named by nobody where it is the worse.
    quick = ["ok"] * 100 + ["timeout"] * 80 + ["ok"] * 120
    said = verdict(measured(*two_clusters(quick, back=175)), {"name": "rto", "limit": 120})
    assert "objective missed: rto was 2.5 s, and its limit is 2 s" in said.reasons


def test_a_second_that_never_came_back_fails_no_less_than_it_is_in_doubt():
    gone = ["ok"] * 105 + ["timeout"] * 195
    found = measured(*two_clusters(gone))
    assert any(
        each.startswith("of the load second: the outage could not be") for each in found.doubts
    )
    said = verdict(found, {"name": "rto", "limit": 3600})
    assert said.word == "inconclusive"
    assert "objective rto could not be judged" in said.reasons
    # What `main` has missed is missed, whatever became of the other.
    assert verdict(found, {"name": "rto", "limit": 60}).word == "failed"


def test_a_second_that_went_on_answering_is_a_doubt():
    """It is under the key, so it should have gone: something else may have answered."""
    found = measured(*two_clusters(["ok"] * 300))
    assert any("of the load second: the outage could not be measured" in e for e in found.doubts)


def test_a_write_that_the_second_lost_is_named_by_its_load():
    operations, events = two_clusters(LATER)
    loads = {name: [o for o in operations if o.load == name] for name in ("main", "second")}
    rows = {"main": written(loads["main"]), "second": written(loads["second"], but=(3, 5))}
    said = verdict(measured(operations, events, rows), "lost_writes")
    missed = "objective missed: lost_writes of the load second was 2, and its limit is 0"
    assert missed in said.reasons


@pytest.mark.parametrize(
    "begun",
    [
        started_on("second", "carts", ANOTHER),
        started_on("second", "carts", KEY, at=160),  # the key was back before
        event(EventName.LOAD_STARTED, -2, load="second", reconnect_spacing_seconds=0.05),
    ],
    ids=["another key", "after the fault", "an older record"],
)
def test_any_other_load_should_not_be_affected(begun):
    operations, events = two_clusters(LATER)
    events = [e for e in events if e.details.get("cluster") != "carts"] + [begun]
    recorded = history(operations, events)
    assert not expects_outage(recorded, conditions(outage=True), "second")
    found = measured(operations, events)
    assert found.loads["second"]["missed_arrivals"] == 145
    assert found.loads["second"]["outage_seconds"] is None


def test_where_no_fault_was_injected_the_key_of_the_run_says_which_are_hit():
    target = event(EventName.TARGET, -5, cluster="orders", key=KEY)
    recorded = history(load("second", "ok"), [target, started_on("second", "carts", KEY)])
    assert hit_loads(recorded, conditions(outage=True)) == ("main", "second")
    assert hit_loads(recorded, conditions()) == ("main",)
