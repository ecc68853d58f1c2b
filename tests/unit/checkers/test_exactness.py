"""How exact a duration is, and when it says too little to be told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers.exactness import Durations, in_words, of
from chaosaws_kms_ext.history import SECOND, Event


def between(seconds, bound, usual=0.2):
    durations = Durations(usual)
    found = durations.between("x_seconds", (0, 0.0), (round(seconds * SECOND), bound))
    return found, durations


@pytest.mark.parametrize(
    ("seconds", "bound", "told"),
    [
        (10, 5.0, True),
        (10, 5.1, False),
        (0.1, 1.0, True),  # a second is no reason to leave it out
        (0.1, 1.1, False),
    ],
)
def test_a_duration_may_be_off_by_half_of_itself_or_by_a_second(seconds, bound, told):
    found, durations = between(seconds, bound)
    assert (found is not None) == told
    assert durations.bounds == {"x_seconds": bound}
    assert bool(durations.doubts) != told


def test_one_that_is_often_shorter_than_its_bound_is_left_out_without_a_doubt():
    durations = Durations(0.2)
    ends = ((0, 0.0), (SECOND // 10, 1.1))
    assert durations.between("x_seconds", *ends, short=True) is None
    assert durations.doubts == []
    assert durations.bounds == {"x_seconds": 1.1}
    assert durations.between("x_seconds", *ends) is None
    assert len(durations.doubts) == 1


def test_two_looks_are_no_reason_to_leave_it_out():
    assert between(3, 9.9, usual=5.0)[0] == 3
    assert between(3, 10.1, usual=5.0)[0] is None


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.floats(0, 100), st.floats(0, 100))
def test_the_bounds_of_both_ends_add_up(begin, end, first, second):
    durations = Durations(1e9)
    durations.between("x", (begin, first), (end, second))
    assert durations.bounds["x"] == pytest.approx(first + second, abs=0.001)


def test_what_is_not_known_has_no_bound():
    durations = Durations(1.0)
    assert durations.between("x", None, (1, 0.0)) is None
    assert durations.between("x", (1, 0.0), None) is None
    assert durations.keep("x", None, 5.0) is None
    assert (durations.bounds, durations.doubts) == ({}, [])


def test_an_event_that_does_not_say_how_exact_it_is_is_exact():
    assert of(Event(7, "x", {})) == (7, 0.0)
    assert of(Event(7, "x", {"within_seconds": 0.5})) == (7, 0.5)
    assert of(None) is None


def test_in_words():
    assert in_words(38.2, 0.06) == "38.20 s ± 0.06"
    assert in_words(38.2) == "38.20 s"
    assert in_words(None, 0.06) == "not measured"
