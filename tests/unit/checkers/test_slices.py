"""Slices of a record: equal, few, and together the whole of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers.phases import Span
from chaosaws_kms_ext.checkers.slices import MOST, slices_of, width_of
from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.history.columns import Arrivals
from tests.support.histories import START, at, load


@given(
    number=st.integers(0, 80),
    first=st.integers(0, 20),
    length=st.integers(1, 80),
    width=st.sampled_from([0.05, 0.2, 1.0, 7.0]),
)
def test_each_arrival_of_the_time_is_in_one_slice(number, first, length, width):
    operations = load("main", *["ok"] * number)
    span = Span(at(first) - 1, at(first + length) - 1)
    found = [each.due.tolist() for each in slices_of(Arrivals.of(operations), span, width)]
    step = round(width * SECOND)
    slow = [
        [o.due for o in operations if begin <= o.due < min(begin + step, span.end)]
        for begin in range(span.begin, span.end, step)
    ]
    assert found == slow


@given(st.integers(1, 10**15))
def test_there_are_few_of_whole_seconds_however_long_it_was(nanoseconds):
    span = Span(START, START + nanoseconds)
    width = width_of(span)
    assert width >= 1
    assert width == round(width)
    assert len(list(slices_of(Arrivals.of([]), span, width))) <= MOST
