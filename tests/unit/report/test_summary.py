"""The figures of a run, from histories written down here: one load, several, none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers import OBJECTIVES
from chaosaws_kms_ext.history import (
    EventName,
    Operation,
)
from chaosaws_kms_ext.history.aws_calls import AwsCall
from chaosaws_kms_ext.report import summary
from chaosaws_kms_ext.report.table import table
from tests.support.examples import examples
from tests.support.histories import (
    ALL_WELL,
    ENDED,
    READY,
    SEALED,
    SETTINGS,
    at,
    conditions,
    event,
    history,
    load,
    measure,
    outage_of_main,
    outcomes,
    ran,
    started,
    told,
    tried,
    verdict,
    written,
)
from tests.support.small_run import stored


def test_a_load_beside_the_outage_has_its_own_figures():
    operations, events = outage_of_main()
    operations += load("copy", *ALL_WELL)
    events += ran("copy", 0, 200)
    measured = measure(["main", "copy"], history(operations, events), outage=True)
    figures = measured.figures
    assert measured.doubts == ()
    assert figures["outage_seconds"] == pytest.approx(5, abs=0.1)
    assert figures["missed_arrivals"] is None
    copy = measured.loads["copy"]
    assert set(copy) < set(figures)
    assert (copy["missed_arrivals"], copy["outage_seconds"]) == (0, None)
    assert copy["operations"]["ok"] == 200
    assert copy["writes"] == {"acknowledged": 100, "present": 100, "lost": 0, "unknown": 0}
    assert measured.measured["missed_arrivals"] == 0
    assert measured.measured["lost_writes"] == 0
    assert verdict(measured, "rto", "lost_writes", "missed_arrivals").passed


def test_what_any_load_loses_or_misses_counts():
    operations, events = outage_of_main()
    copy = load("copy", *["ok"] * 50, "lost", *["ok"] * 149)
    events += ran("copy", 0, 200)
    rows = {"main": written(operations, but=(3,)), "copy": written(copy, but=(5, 7))}
    measured = measure(["main", "copy"], history([*operations, *copy], events, rows), outage=True)
    assert measured.measured["lost_writes"].sum == 3
    assert measured.measured["missed_arrivals"] == 1
    assert measured.loads["copy"]["lost_writes"] == [[1, 5], [1, 7]]
    assert measured.figures["lost_writes"] == [[1, 3]]
    told = verdict(measured, "lost_writes", "missed_arrivals")
    assert told.word == "failed"
    assert "objective missed: missed_arrivals was 1, and its limit is 0" in told.reasons
    lost = "objective missed: lost_writes of the loads main, copy was 3, and its limit is 0"
    assert lost in told.reasons


def test_without_an_outage_the_load_main_is_spared_too():
    operations = load("main", *["ok"] * 100, "timeout", *["ok"] * 99)
    measured = measure(["main"], history(operations, ran("main", 0, 200)))
    assert measured.measured["missed_arrivals"] == 1
    assert measured.figures["missed_arrivals"] == 1
    assert measured.figures["hang"] == {"open_sessions": None, "new_connections": None}
    assert measured.doubts == ()


def test_an_outage_that_was_to_be_and_was_not_injected_is_inconclusive():
    operations = load("main", *ALL_WELL)
    measured = measure(["main"], history(operations, ran("main", 0, 200)), outage=True)
    assert verdict(measured, "missed_arrivals").word == "inconclusive"
    assert measured.doubts == ("no fault was injected",)


def test_a_load_that_was_killed_misses_what_it_did_not_ask():
    operations, events = outage_of_main()
    operations += load("copy", *["ok"] * 120)
    events += ran("copy", 0, 200)
    measured = measure(["main", "copy"], history(operations, events), outage=True)
    assert measured.measured["missed_arrivals"] == 79
    assert verdict(measured, "missed_arrivals").word == "failed"


@pytest.mark.parametrize("missing", [EventName.LOAD_STEADY, EventName.LOAD_STOPPED])
def test_a_load_that_was_never_steady_or_stopped_leaves_it_unknown(missing):
    events = [e for e in ran("main", 0, 200) if e.name != missing]
    measured = measure(["main"], history(load("main", *["timeout"] * 200), events))
    assert measured.measured["missed_arrivals"] is None
    assert verdict(measured, "missed_arrivals").word == "inconclusive"


def test_a_load_of_which_nothing_was_recorded_is_not_passed_over():
    """Of two that were started, one has left nothing at all."""
    operations = load("main", *ALL_WELL)
    events = [*ran("main", 0, 200), *ran("copy", 0, 200)]
    measured = measure(["main", "copy"], history(operations, events))
    assert measured.measured["missed_arrivals"] is None
    assert measured.measured["lost_writes"] is None
    assert measured.loads["copy"]["operations"]["ok"] == 0
    assert verdict(measured).word == "inconclusive"


def test_without_any_load_nothing_is_counted_and_nothing_is_missing():
    measured = measure([], history())
    assert measured.doubts == ()
    assert (measured.measured["missed_arrivals"], measured.measured["lost_writes"]) == (None, None)
    assert verdict(measured).passed
    for objective in OBJECTIVES:
        assert verdict(measured, objective).word == "inconclusive"


def test_a_run_whose_only_load_is_another_than_main_is_judged_by_it():
    operations = load("copy", *ALL_WELL)
    measured = measure(["copy"], history(operations, ran("copy", 0, 200)))
    assert measured.measured["lost_writes"] == 0
    assert measured.measured["missed_arrivals"] == 0
    assert verdict(measured, "lost_writes", "missed_arrivals").passed


def test_rows_of_one_load_that_were_not_read_back_leave_all_losses_unknown():
    operations = [*load("main", *ALL_WELL), *load("copy", *ALL_WELL)]
    events = [*ran("main", 0, 200), *ran("copy", 0, 200)]
    rows = {"main": written(operations[:200])}
    measured = measure(["main", "copy"], history(operations, events, rows))
    assert measured.measured["lost_writes"] is None
    assert measured.doubts == (
        "of the load copy: lost writes could not be counted: the rows could not be read back",
    )


def test_a_load_that_did_not_run_is_in_doubt_by_its_name():
    stood = Operation("copy", 0, 1, "stall", at(10), at(10), at(50), "ok", None)
    operations = [*load("copy", *ALL_WELL), stood]
    measured = measure(["copy"], history(operations, ran("copy", 0, 200)))
    (doubt,) = measured.doubts
    assert doubt.startswith("of the load copy: the load's own process did not run for 2.0 s")


@settings(max_examples=examples(40))
@given(st.dictionaries(st.sampled_from(["main", "a", "b", "c"]), outcomes, min_size=1))
def test_each_load_is_measured_as_if_it_were_alone(loads):
    operations = [o for name, some in loads.items() for o in load(name, *some)]
    events = [e for name, some in loads.items() for e in ran(name, 0, len(some))]
    together = measure(loads, history(operations, events))
    alone = {
        name: measure([name], history(load(name, *some), ran(name, 0, len(some))))
        for name, some in loads.items()
    }
    for name, its in alone.items():
        found = together.figures if name == "main" else together.loads[name]
        same = its.figures if name == "main" else its.loads[name]
        for figure in ("missed_arrivals", "operations", "writes", "lost_writes", "latency_ms"):
            assert found[figure] == same[figure]
    for figure in ("missed_arrivals", "lost_writes"):
        figures = [its.measured[figure] for its in alone.values()]
        total = None if None in figures else sum(figures)
        assert together.measured[figure] == total
    assert sorted(together.doubts) == sorted(w for i in alone.values() for w in i.doubts)


@settings(max_examples=examples(60))
@given(outcomes, st.integers(0, 59))
def test_a_load_that_fails_once_more_is_never_taken_for_better(some, place):
    def missed(outcomes):
        operations = load("copy", *outcomes)
        return measure(["copy"], history(operations, ran("copy", 0, len(outcomes))))

    worse = missed([*some[:place], "lost", *some[place + 1 :]]).measured["missed_arrivals"]
    assert worse >= (missed(some).measured["missed_arrivals"] or 0)


# What a person sees


def test_the_table_shows_every_load_and_attempt_and_who_did_it():
    operations, events = outage_of_main()
    operations += load("copy", *["ok"] * 100, "lost", *["ok"] * 99)
    events += [
        *ran("copy", 0, 200),
        SEALED,
        tried({"a": "1"}, True),
        tried({"a": "2"}, False),
        READY,
        told(enabled=None),
        event(EventName.RESTORE_ORDERED, 0, cluster="copy", snapshot="s"),
        event(EventName.FIRST_ANSWER, 120, cluster="copy", within_seconds=0.2),
    ]
    names = ["rto", "missed_arrivals", "replacement_rto", "misattributed_calls"]
    recorded = history(operations, [*started("main", "copy"), *events, ENDED])
    shown = table(summary.judge(recorded, conditions(True, names)), "reports/x")
    for line in (
        "load copy            1 of 200 arrivals missed; 100 acknowledged · 0 unknown · 0 lost",
        "time to replacement  6.00 s ± 0.20",
        'the same context, {"a": "1"}: decrypted',
        'another context, {"a": "2"}: refused',
        "disabled by                    arn:me at 2026-11-23T10:00:00Z",
        "enabled by                     not measured",
        "objective missed_arrivals      MISSED: 1, limit 0",
        "objective misattributed_calls  could not be judged: not measured, limit 0",
    ):
        assert " ".join(line.split()) in " ".join(shown.split())


def test_the_table_says_for_how_long_an_alarm_did_not_go_off():
    operations, events = outage_of_main()
    quiet = event(EventName.ALARM, 0, alarm="errors", state="OK", before=None)
    recorded = history(operations, [*started("main"), *events, quiet, ENDED])
    asked, settings = (
        [{"name": "time_to_alarm", "limit": 60}],
        replace(SETTINGS, alarms=("errors",)),
    )
    judged = summary.judge(recorded, conditions(True, asked, settings))
    shown = " ".join(table(judged, "reports/x").split())
    assert "· no alarm within 3.00 s ·" in shown
    assert "objective time_to_alarm MISSED: not within 3.00 s, limit 1 s (60 AWS seconds) " in shown
    assert '"not_within_seconds": 3.0' in judged.as_text()
    assert judged.verdict.word == "failed"


def test_the_table_ends_by_naming_the_page_if_there_is_one(tmp_path):
    (tmp_path / "report.html").touch()
    shown = table(summary.judge(history(events=[ENDED]), conditions()), str(tmp_path))
    assert shown.splitlines()[-2].split() == ["report", f"{tmp_path}/report.html"]


def test_the_table_of_a_run_about_nothing_of_others_is_short():
    shown = table(summary.judge(history(events=[ENDED]), conditions()), "reports/x")
    assert [line.split("  ")[0] for line in shown.splitlines()[1:-1]] == [
        "experiment",
        "verdict",
        "files",
    ]


def test_what_came_after_the_run_was_judged_changes_nothing(tmp_path):
    folder = stored(tmp_path)
    judged = summary.judge_again(folder).as_text()
    late = {
        "aws-calls.jsonl": AwsCall(at(9000), 3.0, "rds", "DescribeEvents", "", "ok")._asdict(),
        "events.jsonl": event(EventName.STATUS, 9000, key="k", cluster="deleted")._asdict(),
    }
    for name, line in late.items():
        with (folder / "history" / name).open("a") as file:
            file.write(json.dumps(line) + "\n")
    assert summary.judge_again(folder).as_text() == judged
