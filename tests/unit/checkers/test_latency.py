"""Latency from the instant an arrival was due."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers import latency
from chaosaws_kms_ext.history import SECOND, Event, EventName, Operation
from chaosaws_kms_ext.history.columns import Arrivals
from tests.support.histories import START, conditions, history, started


def read(took_ms, outcome="ok", due=0):
    return Operation("main", 1, 1, "read", due, due, due + took_ms * 1_000_000, outcome, None)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=300))
def test_percentiles_are_nearest_rank(milliseconds):
    found = latency.latency_between(Arrivals.of([read(ms) for ms in milliseconds]), 0, 1)
    for share, value in ((0.50, found.p50), (0.99, found.p99)):
        assert value in milliseconds
        assert sum(ms <= value for ms in milliseconds) >= share * len(milliseconds)
        assert sum(ms < value for ms in milliseconds) < share * len(milliseconds)


def test_latency_counts_answers_that_were_due_in_the_interval():
    operations = [read(5, due=10), read(7, due=20), read(900, "timeout", due=15)]
    assert latency.latency_between(Arrivals.of(operations), 10, 20) == latency.Latency(5.0, 5.0)
    assert latency.latency_between(Arrivals.of(operations), 30, 40) == latency.Latency(None, None)


def answers(longest, **sizes):
    due = st.integers(0, longest)
    return st.lists(
        st.tuples(due, st.integers(0, 500), st.sampled_from(["ok", "ok", "timeout"])), **sizes
    )


SPARSE = answers(4 * SECOND, min_size=1, max_size=40)
DENSE = answers(SECOND - 1, min_size=150, max_size=250)
"""So many that their 99th percentile is not the longest."""


def ranked(milliseconds, share):
    """The smallest that so many of them do not exceed."""
    fits = (
        ms for ms in milliseconds if sum(o <= ms for o in milliseconds) >= share * len(milliseconds)
    )
    return min(fits, default=None)


@given(SPARSE | DENSE, st.integers(SECOND // 2, 4 * SECOND))
def test_over_time_it_is_what_the_answers_of_each_second_took(asked, length):
    operations = [read(took, outcome, due=START + due) for due, took, outcome in sorted(asked)]
    steady = Event(START, EventName.LOAD_STEADY, {"load": "main"})
    stopped = Event(START + length, EventName.LOAD_STOPPED, {"load": "main"})
    recorded = history(operations, [*started("main"), steady, stopped])
    found = latency.LatencyChecker().check(recorded, conditions()).loads["main"]["latency_slices"]
    assert found["seconds"] == 1
    assert found["begin"] == recorded.in_utc(START)
    slow = [
        [
            took
            for due, took, outcome in asked
            if outcome == "ok" and second <= due < min(second + SECOND, length)
        ]
        for second in range(0, length, SECOND)
    ]
    for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1)):
        assert found[name] == [ranked(each, share) for each in slow]


def test_of_a_load_that_was_never_steady_there_is_none():
    found = latency.LatencyChecker().check(history([read(5)], started("main")), conditions())
    assert found.loads["main"]["latency_slices"] is None
