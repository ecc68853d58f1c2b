"""The search for the longest harmless blink, as a value: against every lag there can be."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.inject.bisection import LONGEST, MOST_STEPS, BadSearch, Bisection

SEARCHES = st.builds(
    lambda shortest, more, resolution, steps, outages: Bisection(
        shortest, shortest + more, resolution, steps, outages
    ),
    st.floats(1, 1000),
    st.floats(1, 5000),
    st.floats(1, 500),
    st.integers(1, MOST_STEPS),
    st.integers(1, MOST_STEPS),
)
LAGS = st.floats(0.5, 7000)


def searched(search, lag, at_once=True):
    """The search to its end, where a blink has an outage from `lag` on; it ends at the outage."""
    while (seconds := search.next) is not None:
        assert search.shortest <= seconds < search.longest
        outage = seconds >= lag
        search = search.after(lag if outage and at_once else seconds, outage)
        assert len(search.tried) <= search.steps
    return search


@given(SEARCHES, LAGS, st.booleans())
def test_the_lag_lies_between_what_was_found(search, lag, at_once):
    found = searched(search, lag, at_once)
    assert found.lower is None or found.lower < lag
    assert found.upper is None or found.upper >= lag
    assert found.why_over
    assert sum(each.outage for each in found.tried) <= search.outages


@given(SEARCHES, LAGS)
def test_nothing_but_what_it_was_told_ends_it_early(search, lag):
    found = searched(search, lag, at_once=False)
    lower, upper = found.lower, found.upper
    near = lower is not None and (upper or search.longest) - lower <= search.resolution
    outages = sum(each.outage for each in found.tried)
    spent = len(found.tried) == search.steps or outages == search.outages
    assert near or spent or (lower is None and upper is not None)


@given(st.floats(1, 1000), st.floats(1, 5000), st.floats(1, 500), LAGS)
def test_with_steps_and_outages_enough_it_is_as_exact_as_was_asked(shortest, more, exact, lag):
    search = Bisection(shortest, shortest + more, exact, MOST_STEPS, MOST_STEPS)
    found = searched(search, lag, at_once=False)
    assert len(found.tried) <= 1 + math.ceil(math.log2(max(more / exact, 1))) + 1
    if found.lower is not None and found.upper is not None:
        assert found.upper - found.lower <= exact


@given(SEARCHES, LAGS)
def test_it_stops_at_its_last_outage(search, lag):
    found = searched(search, lag)
    *before, last = found.tried
    assert sum(each.outage for each in before) < search.outages
    if sum(each.outage for each in found.tried) == search.outages:
        assert last.outage


def test_a_lag_that_is_not_always_the_same_ends_it():
    search = Bisection(60, 900, 10, 9, 9).after(60, False).after(480, False).after(400, True)
    assert search.next is None
    assert "not always the same" in search.why_over


GOOD = {"shortest": 60, "longest": 900, "resolution": 60, "steps": 6, "outages": 1}


def test_good_bounds_are_taken():
    assert Bisection.asked(**GOOD) == Bisection(60, 900, 60, 6, 1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"shortest": 0}, "`shortest` is a number of AWS seconds"),
        ({"shortest": "60"}, "`shortest` is a number of AWS seconds"),
        ({"shortest": True}, "`shortest` is a number"),
        ({"longest": math.nan}, "`longest` is a number"),
        ({"longest": math.inf}, "`longest` is a number"),
        ({"longest": LONGEST + 1}, "at most 604800"),
        ({"longest": 60}, "`shortest` (60) must be less than `longest` (60)"),
        ({"resolution": -1}, "`resolution` is a number"),
        ({"resolution": None}, "`resolution` is a number"),
        ({"steps": 0}, "`steps` is a number from 1 to 20"),
        ({"steps": 2.5}, "`steps` is a number from 1 to 20"),
        ({"steps": 10**9}, "`steps` is a number from 1 to 20"),
        ({"outages": 0}, "`outages` is a number from 1 to 20"),
        ({"outages": "x" * 10_000}, "`outages` is a number"),
    ],
)
def test_bad_bounds_are_one_sentence(wrong, said):
    with pytest.raises(BadSearch) as refused:
        Bisection.asked(**{**GOOD, **wrong})
    assert said in str(refused.value)
    assert len(str(refused.value)) < 200
