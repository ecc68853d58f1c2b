"""Late answers: how long, and how late at worst."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers.degraded import Degraded, latency_slices
from chaosaws_kms_ext.checkers.phases import Span
from chaosaws_kms_ext.history import MAIN, EventName
from chaosaws_kms_ext.history.columns import Arrivals
from tests.support.histories import (
    SETTINGS,
    at,
    conditions,
    event,
    history,
    load,
    measure,
    ran,
    started,
    verdict,
)

MS = 1_000_000


def answered(*spans):
    """Each span: how many arrivals, and ms that their answers took; None: none came."""
    outcomes = [
        "ok" if took is not None else "timeout" for number, took in spans for _ in range(number)
    ]
    times = [took for number, took in spans for _ in range(number)]
    return [
        o if took is None else o._replace(done=o.due + took * MS)
        for o, took in zip(load("main", *outcomes), times, strict=True)
    ]


def recorded(*spans, injected=200):
    operations = answered(*spans)
    events = [
        *started("main"),
        event(EventName.INJECTED, injected),
        *ran("main", 0, len(operations)),
    ]
    return history(operations, events)


def check(*spans, settings=SETTINGS, injected=200):
    return Degraded().check(recorded(*spans, injected=injected), conditions(True, (), settings))


def test_answers_as_fast_as_before_are_not_late():
    found = check((200, 2), (400, 9))
    assert found.loads[MAIN] == {"degraded": [], "degraded_seconds": 0, "latency_limit_ms": 10.0}
    assert found.rows == ()


def test_a_time_in_which_they_are_late_is_one_and_has_a_worst():
    found = check((200, 2), (100, 2), (200, 11), (100, 40), (300, 2)).loads[MAIN]
    assert found["degraded"] == [
        {
            "begin": "1970-01-01T00:00:22.000Z",
            "end": "1970-01-01T00:00:37.000Z",
            "seconds": 15.0,
            "worst_p99_ms": 40.0,
        }
    ]
    assert found["degraded_seconds"] == 15.0


def test_one_late_answer_in_a_hundred_does_not_count():
    assert check((200, 2), (100, 2), (1, 99), (399, 2)).loads[MAIN]["degraded"] == []


def test_what_is_late_because_of_an_outage_is_a_part_of_that():
    assert check((220, 2), (60, None), (20, 400), (300, 2)).loads[MAIN]["degraded"] == []


def test_the_limit_can_be_set():
    settings = replace(SETTINGS, latency_limit=5.0)
    found = check((200, 2), (200, 9), (200, 2), settings=settings)
    assert found.loads[MAIN]["latency_limit_ms"] == 5.0
    assert found.measured["degraded_seconds"] == 10.0
    assert found.rows == [("degraded", "10.0 s over 5.0 ms; p99 at worst 9.0 ms")]


def test_a_load_that_was_never_steady_is_not_known():
    found = Degraded().check(history(answered((50, 1)), started("main")), conditions(True))
    assert set(found.loads[MAIN].values()) == {None}


def test_an_experiment_can_limit_it():
    found = measure(["main"], recorded((200, 2), (100, 30), (300, 2)), outage=True)
    assert verdict(found, {"name": "degraded", "limit": 300}).word != "failed"
    assert verdict(found, {"name": "degraded", "limit": 299}).word == "failed"


@given(
    took=st.lists(st.integers(1, 50), min_size=1, max_size=120),
    width=st.sampled_from([0.5, 1.0, 2.0]),
)
def test_the_percentile_of_a_slice_is_that_of_its_answers(took, width):
    operations = answered(*((1, each) for each in took))
    found = latency_slices(Arrivals.of(operations), Span(at(0), at(len(took))), width)
    each = round(width * 20)
    assert len(found) == len(took) // each
    for number, its in enumerate(found):
        ordered = sorted(took[number * each : (number + 1) * each])
        assert its.p99 == ordered[-(-99 * each // 100) - 1] * MS
        assert its.span.seconds == pytest.approx(width)
