"""Histories of runs, written down as values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import strategies as st

from chaosaws_kms_ext.checkers import OBJECTIVES
from chaosaws_kms_ext.checkers.objectives import read_objectives
from chaosaws_kms_ext.history import (
    SECOND,
    Anchor,
    Conditions,
    Event,
    EventName,
    Operation,
    WrittenRow,
    utc,
)
from chaosaws_kms_ext.history.columns import ReadBack, Recorded
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.report import summary
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
            name,
            1,
            number,
            "write" if number % 2 else "read",
            at(number),
            at(number),
            at(number) + (1 if outcome == "ok" else 2000) * SECOND // 1000,
            outcome,
            None,
        )
        for number, outcome in enumerate(outcomes, begin)
    ]


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


def history(operations=(), events=(), rows=None):
    """`rows`: load → the rows that are there; where not given, those that have to be."""
    its = {name: [o for o in operations if o.load == name] for name in {o.load for o in operations}}
    if rows is None:
        rows = {name: written(each) for name, each in its.items()}
    return History(
        {name: Recorded.of(RATE, each) for name, each in its.items()},
        sorted(events, key=lambda each: each.at),
        {name: ReadBack.of(each) for name, each in rows.items()},
        Anchor(0, 0),
    )


def with_limits(asked):
    """Objectives as an experiment asks for them; those without any limit get one of 0."""
    return [
        {"name": each, "limit": 0}
        if isinstance(each, str) and each in OBJECTIVES and OBJECTIVES[each].limit is None
        else each
        for each in asked
    ]


VERSIONS = {"python": "3.11"}
"""Not looked up for each of thousands of histories."""


def conditions(outage=False, objectives=(), settings=SETTINGS):
    return Conditions(
        run="r",
        experiment="x",
        started=utc(NOW),
        settings=settings,
        region="eu-west-1",
        expects_outage=outage,
        objectives=read_objectives(objectives),
        versions=VERSIONS,
    )


def started(*loads):
    """The events of loads that should have been."""
    return [
        event(EventName.LOAD_STARTED, -1, load=load, reconnect_spacing_seconds=0.05)
        for load in loads
    ]


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


OUTCOMES = ["ok", "error", "timeout", "lost", "unsent", "aborted"]


outcomes = st.lists(st.sampled_from(OUTCOMES), min_size=60, max_size=80)


def measure(loads, recorded, outage=False, settings=SETTINGS):
    """What was measured of a run in which these loads should have been."""
    events = [*started(*loads), *recorded.events]
    return summary.measure(replace(recorded, events=events), conditions(outage, (), settings))


def verdict(measured, *objectives, settings=SETTINGS):
    judged = [
        OBJECTIVES[name].evaluate(
            measured.measured[OBJECTIVES[name].figure], conditions(settings=settings), limit
        )
        for name, limit in read_objectives(with_limits(objectives)).items()
    ]
    return decide(Course(), judged, measured.doubts)


def replaced(*events):
    return measure([], history(events=events))


def told(disabled="arn:me", enabled="arn:me", unknown=()):
    def by(who):
        return who and {"who": who, "when": "2026-11-23T10:00:00Z", "event_id": "1"}

    return event(
        EventName.AUDIT,
        1,
        key="arn:k",
        cluster="orders",
        complete=not unknown,
        first_failed_decrypt="2026-11-23T10:00:05+00:00",
        disabled_by=by(disabled),
        enabled_by=by(enabled),
        failed_decrypts=3,
        unknown=list(unknown),
    )


SEALED = event(EventName.SEALED, 0, digest="d", context={"a": "1"})


def tried(context, decrypted, digest="d"):
    return event(EventName.DECRYPTED, 1, digest=digest, context=context, decrypted=decrypted)


READY = event(EventName.READY, 0, caller="arn:me")
