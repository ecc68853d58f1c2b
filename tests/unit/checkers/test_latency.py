"""Latency from the instant an arrival was due."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers import latency
from chaosaws_kms_ext.history import Operation
from chaosaws_kms_ext.history.columns import Arrivals


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
