"""The figures of a run, from histories written down here: one load, several, none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers import OBJECTIVES
from chaosaws_kms_ext.history import (
    SECOND,
    Anchor,
    Conditions,
    Event,
    EventName,
    History,
    Operation,
    WrittenRow,
    utc,
)
from chaosaws_kms_ext.report import summary
from chaosaws_kms_ext.report.table import table
from chaosaws_kms_ext.report.verdict import Course, decide
from chaosaws_kms_ext.settings import Settings

RATE = 20.0
GAP = round(SECOND / RATE)
START = 7 * SECOND
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
SETTINGS = Settings(lab_speed=60, load_rate=RATE)


def at(number):
    """The instant of an arrival."""
    return START + number * GAP


def load(name, *outcomes, begin=0):
    """One arrival every 50 ms, each second a write."""
    return [
        Operation(
            name, 1, number, "write" if number % 2 else "read", at(number), at(number),
            at(number) + (1 if outcome == "ok" else 2000) * SECOND // 1000, outcome, None,
        )
        for number, outcome in enumerate(outcomes, begin)
    ]  # fmt: skip


def written(operations, but=()):
    return frozenset(
        WrittenRow(o.writer, o.sequence)
        for o in operations
        if o.kind == "write" and o.outcome == "ok" and o.sequence not in but
    )


def event(name, number, **details):
    return Event(at(number), name, details)


def ran(name, first, last):
    """A load's events."""
    return [
        event(EventName.LOAD_STEADY, first, load=name),
        event(EventName.LOAD_STOPPED, last, load=name),
    ]


def history(operations=(), events=(), rows=None, rates=None):
    names = {o.load for o in operations}
    return History(
        list(operations),
        sorted(events, key=lambda each: each.at),
        {
            name: written([o for o in operations if o.load == name]) for name in names
        } if rows is None else rows,
        dict.fromkeys(names, RATE) if rates is None else rates,
        Anchor(0, 0),
    )  # fmt: skip


def conditions(outage=False, objectives=(), settings=SETTINGS):
    return Conditions(
        run="r",
        experiment="x",
        started=utc(NOW),
        settings=settings,
        region="eu-west-1",
        expects_outage=outage,
        objectives=tuple(objectives),
    )


def started(*loads):
    """The events of loads that should have been."""
    return [
        event(EventName.LOAD_STARTED, -1, load=load, reconnect_spacing_seconds=0.05)
        for load in loads
    ]


def measure(loads, recorded, outage=False, settings=SETTINGS):
    """What was measured of a run in which these loads should have been."""
    events = [*started(*loads), *recorded.events]
    return summary.measure(replace(recorded, events=events), conditions(outage, (), settings))


ENDED = event(EventName.ENDED, 400, **Course().details())

ALL_WELL = ["ok"] * 200


def outage_of_main():
    """Answered, 5 s of nothing, answered again; what happened meanwhile."""
    operations = load("main", *["ok"] * 100, *["timeout"] * 100, *["ok"] * 100)
    events = [
        event(EventName.INJECTED, 90, key="arn:k"),
        event(EventName.STATUS, 120, key="Disabled", meaning="recoverable"),
        event(EventName.PUT_BACK, 150, key="arn:k"),
        event(EventName.STATUS, 190, key="Enabled", meaning="accessible"),
        *ran("main", 0, 300),
    ]
    witnessed = [
        Operation("main", 0, n, kind, at(110), at(110), at(150) + 1, "timeout", None)
        for n, kind in enumerate(["session", "connect"])
    ]
    return [*operations, *witnessed], events


def verdict(measured, *objectives, settings=SETTINGS):
    judged = [
        OBJECTIVES[name].judge(
            measured.measured[OBJECTIVES[name].figure], conditions(settings=settings)
        )
        for name in objectives
    ]
    return decide(Course(), judged, measured.unmeasured)


def test_a_load_beside_the_outage_has_its_own_figures():
    operations, events = outage_of_main()
    operations += load("copy", *ALL_WELL)
    events += ran("copy", 0, 200)
    measured = measure(["main", "copy"], history(operations, events), outage=True)
    figures = measured.figures
    assert measured.unmeasured == ()
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
    assert measured.measured["lost_writes"] == 3
    assert measured.measured["missed_arrivals"] == 1
    assert measured.loads["copy"]["lost_writes"] == [[1, 5], [1, 7]]
    assert measured.figures["lost_writes"] == [[1, 3]]
    told = verdict(measured, "lost_writes", "missed_arrivals")
    assert told.word == "failed"
    assert "objective missed: missed_arrivals 1 of 0" in told.reasons


def test_without_an_outage_the_load_main_is_spared_too():
    operations = load("main", *["ok"] * 100, "timeout", *["ok"] * 99)
    measured = measure(["main"], history(operations, ran("main", 0, 200)))
    assert measured.measured["missed_arrivals"] == 1
    assert measured.figures["missed_arrivals"] == 1
    assert measured.figures["hang"] == {"open_sessions": None, "new_connections": None}
    assert measured.unmeasured == ()


def test_an_outage_that_was_to_be_and_was_not_injected_is_inconclusive():
    operations = load("main", *ALL_WELL)
    measured = measure(["main"], history(operations, ran("main", 0, 200)), outage=True)
    assert verdict(measured, "missed_arrivals").word == "inconclusive"
    assert measured.unmeasured == ("no fault was injected",)


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
    assert measured.unmeasured == ()
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
    assert measured.unmeasured == (
        "of the load copy: lost writes could not be counted: the rows could not be read back",
    )


def test_a_load_that_stood_still_is_in_doubt_by_its_name():
    stood = Operation("copy", 0, 1, "stall", at(10), at(10), at(50), "ok", None)
    operations = [*load("copy", *ALL_WELL), stood]
    measured = measure(["copy"], history(operations, ran("copy", 0, 200)))
    (doubt,) = measured.unmeasured
    assert doubt.startswith("of the load copy: the load itself stood still for 2.0 s")


OUTCOMES = ["ok", "error", "timeout", "lost", "unsent", "aborted"]
outcomes = st.lists(st.sampled_from(OUTCOMES), min_size=60, max_size=80)


@given(st.dictionaries(st.sampled_from(["main", "a", "b", "c"]), outcomes, min_size=1))
def test_each_load_is_measured_as_if_it_were_alone(loads):
    operations = [o for name, some in loads.items() for o in load(name, *some)]
    events = [e for name, some in loads.items() for e in ran(name, 0, len(some))]
    together = measure(loads, history(operations, events))
    alone = {
        name: measure([name], history(load(name, *some), ran(name, 0, len(some)))
        )
        for name, some in loads.items()
    }  # fmt: skip
    for name, its in alone.items():
        found = together.figures if name == "main" else together.loads[name]
        same = its.figures if name == "main" else its.loads[name]
        for figure in ("missed_arrivals", "operations", "writes", "lost_writes", "latency_ms"):
            assert found[figure] == same[figure]
    for figure in ("missed_arrivals", "lost_writes"):
        figures = [its.measured[figure] for its in alone.values()]
        total = None if None in figures else sum(figures)
        assert together.measured[figure] == total
    assert sorted(together.unmeasured) == sorted(w for i in alone.values() for w in i.unmeasured)


@given(outcomes, st.integers(0, 59))
def test_a_load_that_fails_once_more_is_never_taken_for_better(some, place):
    def missed(outcomes):
        operations = load("copy", *outcomes)
        return measure(["copy"], history(operations, ran("copy", 0, len(outcomes))))

    worse = missed([*some[:place], "lost", *some[place + 1 :]]).measured["missed_arrivals"]
    assert worse >= (missed(some).measured["missed_arrivals"] or 0)


# Replacement


def replaced(*events):
    return measure([], history(events=events))


def test_the_time_to_replacement_is_from_the_order_to_the_first_answer():
    measured = replaced(
        event(EventName.RESTORE_ORDERED, 0, cluster="copy", snapshot="s"),
        event(EventName.RESTORED, 100, cluster="copy"),
        event(EventName.FIRST_ANSWER, 120, cluster="copy", within_seconds=0.2),
    )
    assert measured.figures["replacement"] == {
        "cluster": "copy",
        "time_to_available_seconds": 5.0,
        "time_to_first_answer_seconds": 6.0,
        "error_bound_seconds": 0.2,
    }
    assert verdict(measured, "replacement_rto").passed
    hurried = Settings(lab_speed=60, replacement_rto=300)
    told = verdict(measured, "replacement_rto", settings=hurried)
    assert told.reasons == ("objective missed: replacement_rto 6.0 s of 5 s",)


@pytest.mark.parametrize(
    "events",
    [
        [],
        [event(EventName.RESTORE_ORDERED, 0, cluster="copy", snapshot="s")],
        [event(EventName.FIRST_ANSWER, 9, cluster="copy", within_seconds=0.2)],
        [
            event(EventName.RESTORE_ORDERED, 0, cluster="copy", snapshot="s"),
            event(EventName.FIRST_ANSWER, 9, cluster="orders", within_seconds=0.2),
        ],
    ],
)
def test_what_was_not_restored_or_never_answered_replaces_nothing(events):
    measured = replaced(*events)
    assert measured.figures["replacement"] is None
    assert verdict(measured, "replacement_rto").word == "inconclusive"


def test_another_clusters_answer_before_is_no_replacement():
    measured = replaced(
        event(EventName.FIRST_ANSWER, 1, cluster="orders", within_seconds=0.2),
        event(EventName.RESTORE_ORDERED, 2, cluster="copy", snapshot="s"),
        event(EventName.FIRST_ANSWER, 22, cluster="copy", within_seconds=0.2),
    )
    assert measured.measured["time_to_replacement"] == 1.0


# Encryption contexts


SEALED = event(EventName.SEALED, 0, digest="d", context={"a": "1"})


def tried(context, decrypted, digest="d"):
    return event(EventName.DECRYPTED, 1, digest=digest, context=context, decrypted=decrypted)


@pytest.mark.parametrize(
    ("attempts", "wrong"),
    [
        ([tried({"a": "1"}, True), tried({"a": "2"}, False)], 0),
        ([tried({"a": "1"}, True), tried({"a": "2"}, True)], 1),
        ([tried({"a": "1"}, False), tried({"a": "2"}, True), tried({}, True)], 3),
        ([tried({"a": "1"}, True)], None),
        ([tried({"a": "2"}, False)], None),
        ([tried({"a": "1"}, True), tried({"a": "1"}, True, digest="another")], 1),
        ([], None),
    ],
)
def test_contexts_are_wrong_where_they_decrypt_otherwise_than_they_should(attempts, wrong):
    measured = replaced(SEALED, *attempts)
    assert measured.measured["wrong_contexts"] == wrong
    word = {None: "inconclusive", 0: "passed"}.get(wrong, "failed")
    assert verdict(measured, "wrong_contexts").word == word


# Audit


READY = event(EventName.READY, 0, caller="arn:me")


def told(disabled="arn:me", enabled="arn:me", unknown=()):
    def by(who):
        return who and {"who": who, "when": "2026-11-23T10:00:00Z"}

    return event(
        EventName.AUDIT, 1, disabled_by=by(disabled), enabled_by=by(enabled), failed_decrypts=3,
        unknown=list(unknown),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("events", "wrong"),
    [
        ([READY, told()], 0),
        ([READY, told(disabled="arn:you")], 1),
        ([READY, told("arn:you", "arn:you")], 2),
        ([READY, told(enabled=None)], None),
        ([READY], None),
        ([told()], None),
    ],
)
def test_calls_are_misattributed_where_the_trail_names_another(events, wrong):
    measured = replaced(*events)
    assert measured.measured["misattributed_calls"] == wrong
    word = {None: "inconclusive", 0: "passed"}.get(wrong, "failed")
    assert verdict(measured, "misattributed_calls").word == word


def test_what_the_trail_did_not_tell_is_unmeasured():
    measured = replaced(READY, told(unknown=["no failed Decrypt was delivered"]))
    assert measured.unmeasured == ("no failed Decrypt was delivered",)


# What a person sees


def test_the_table_shows_every_load_and_attempt_and_who_did_it():
    operations, events = outage_of_main()
    operations += load("copy", *["ok"] * 100, "lost", *["ok"] * 99)
    events += [
        *ran("copy", 0, 200), SEALED, tried({"a": "1"}, True), tried({"a": "2"}, False), READY,
        told(enabled=None), event(EventName.RESTORE_ORDERED, 0, cluster="copy", snapshot="s"),
        event(EventName.FIRST_ANSWER, 120, cluster="copy", within_seconds=0.2),
    ]  # fmt: skip
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
        "objective missed_arrivals      MISSED: 1 of 0",
        "objective misattributed_calls  could not be judged: not measured of 0",
    ):
        assert " ".join(line.split()) in " ".join(shown.split())


def test_the_table_of_a_run_about_nothing_of_others_is_short():
    shown = table(summary.judge(history(events=[ENDED]), conditions()), "reports/x")
    assert [line.split("  ")[0] for line in shown.splitlines()[1:-1]] == [
        "experiment", "verdict", "files",
    ]  # fmt: skip
