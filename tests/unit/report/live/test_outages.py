"""Outages in counts, beside those that the checkers find in the arrivals."""

from __future__ import annotations

import numpy as np
import pytest

from chaosaws_kms_ext.checkers.outage_windows import Load, find_windows
from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.history.columns import CODES, Arrivals
from chaosaws_kms_ext.report.live.load import TICK, LiveLoad
from chaosaws_kms_ext.report.live.outages import find_outages

ZERO = 100 * SECOND


def arrivals(outcomes, rate, hang=2.0):
    """`hang`: seconds after which what is not answered is given up."""
    due = ZERO + np.round(np.arange(len(outcomes)) * (SECOND / rate)).astype(np.int64)
    ok = np.array([each == "." for each in outcomes])
    done = due + np.where(ok, 1_000_000, round(hang * SECOND))
    return Arrivals(due, done, np.where(ok, CODES["ok"], CODES["timeout"]).astype(np.int8))


def seen(its, rate, window, ticks=None):
    load = LiveLoad(ZERO)
    load.add(its)
    number = ticks or (int(its.due[-1]) - ZERO) // TICK
    columns = []
    for name in ("answered", "failed", "answers"):
        known = load.ticks[name][:number, 0]
        columns.append(np.concatenate((known, np.zeros(number - len(known), np.int64))))
    return find_outages(*columns, begin=ZERO, tick=TICK, rate=rate, window=window)


TOTAL = "." * 1000 + "x" * 800 + "." * 1000
FLAPPING = "." * 1000 + "x" * 300 + "." * 60 + "x" * 300 + "." * 1000
PARTIAL = "." * 1000 + "xx.x." * 200 + "." * 1000
TWO = "." * 1000 + "x" * 200 + "." * 800 + "x" * 200 + "." * 1000


@pytest.mark.parametrize("outcomes", [TOTAL, FLAPPING, PARTIAL, TWO])
@pytest.mark.parametrize("rate", [200, 20, 2])
def test_they_are_those_that_the_report_has_but_for_a_tick(outcomes, rate):
    its, window = arrivals(outcomes, rate), max(1.0, 20 / rate)
    expected = find_windows(its, Load(rate, window, 2.0, 0.001))
    found = seen(its, rate, window)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.begin == pytest.approx(theirs.begin, abs=ours.within * SECOND * 1.01)
        assert ours.end == pytest.approx(theirs.end, abs=ours.within * SECOND * 2.01)


def test_one_that_goes_on_has_no_end():
    (found,) = seen(arrivals("." * 1000 + "x" * 400, 200), 200, 1.0)
    assert (found.begin, found.end) == (ZERO + 5 * SECOND, None)


def test_what_was_not_recorded_was_not_answered():
    (found,) = seen(arrivals("." * 1000, 200), 200, 1.0, ticks=100)
    assert (found.begin, found.end) == (ZERO + 50 * TICK, None)


def test_its_end_is_the_first_answer_and_not_when_that_was_due():
    """What waited when the database came back is answered at once, and in time."""
    its = arrivals("." * 1000 + "x" * 400 + "." * 1000, 200)
    waited = slice(1400, 1600)
    its.done[waited] = its.due[1600]
    (found,) = seen(its, 200, 1.0)
    assert found.end == pytest.approx(int(its.due[1600]), abs=TICK)


@pytest.mark.parametrize("outcomes", ["", "." * 1000, ("." * 199 + "x") * 10])
def test_where_nearly_everything_is_answered_there_is_none(outcomes):
    if outcomes:
        assert seen(arrivals(outcomes, 200), 200, 1.0) == []
    none = np.zeros(0, np.int64)
    assert find_outages(none, none, none, begin=0, tick=TICK, rate=200, window=1.0) == []
