"""How far the edges of an outage can be off: by hand, and against outages whose truth is known."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from chaosaws_kms_ext.checkers.edge_bounds import begin_within, end_within
from chaosaws_kms_ext.checkers.fault_outage import find_outage, usual_delay
from chaosaws_kms_ext.checkers.outage_windows import Load, find_windows
from chaosaws_kms_ext.history import SECOND, Operation
from chaosaws_kms_ext.history.columns import Arrivals, Attempts

MS = 1_000_000
RATE, GAP, START = 200.0, 5 * MS, 7 * SECOND
LOAD = Load(RATE, 0.2, 2.0, 0.002)
SPACING = 0.1


def arrival(number, took, outcome="ok"):
    due = START + number * GAP
    return Operation("main", 1, number, "read", due, due, due + took, outcome, None)


def attempt(began, took, detail, outcome="lost"):
    begun = START + began
    return Operation("main", 0, 1, "attempt", begun, begun, begun + took, outcome, None, detail)


def total_outage():
    """Arrivals 100 to 299 hang; the others are answered after 1 ms."""
    return Arrivals.of(
        [arrival(n, 2000 * MS, "timeout") if 100 <= n < 300 else arrival(n, MS) for n in range(500)]
    )


def end_bound(*attempts, arrivals=None):
    arrivals = arrivals or total_outage()
    (window,) = find_windows(arrivals, LOAD)
    return end_within(arrivals, LOAD, window, Attempts.of(attempts), SPACING)


def test_the_begin_lies_before_the_next_arrival_that_got_no_answer():
    arrivals = total_outage()
    (window,) = find_windows(arrivals, LOAD)
    assert begin_within(arrivals, LOAD, window) == pytest.approx(0.004 + 0.002)


def test_a_refused_attempt_shows_that_it_was_not_back_when_that_began():
    end = 300 * GAP + MS
    assert end_bound(attempt(end - 8 * MS, MS, "refused")) == pytest.approx(0.008 + 0.002)


def test_the_latest_of_several_counts():
    end = 300 * GAP + MS
    its = [attempt(end - ms * MS, MS, "not-ready") for ms in (90, 30, 6)]
    assert end_bound(*its) == pytest.approx(0.006 + 0.002)


def test_an_attempt_that_hangs_shows_it_until_shortly_before_it_ends():
    end = 300 * GAP + MS
    hung = attempt(end - 900 * MS, 830 * MS, "hang", "timeout")
    assert end_bound(hung) == pytest.approx(0.070 + 0.100 + 0.002)


def test_an_attempt_that_hung_and_succeeded_shows_it_too():
    end = 300 * GAP + MS
    served = attempt(end - 900 * MS, 890 * MS, "127.0.0.1", "ok")
    assert end_bound(served) == pytest.approx(0.010 + 0.100 + 0.002)


def test_what_a_connection_takes_in_good_times_is_added():
    end = 300 * GAP + MS
    before = [attempt(ms * MS, 300 * MS, "127.0.0.1", "ok") for ms in (1, 2, 3)]
    refused = attempt(end - 8 * MS, MS, "refused")
    assert end_bound(*before, refused) == pytest.approx(0.008 + 0.002 + 0.600)


def test_without_any_sign_it_is_as_far_as_attempts_are_apart():
    rejected = Arrivals.of(
        [arrival(n, MS, "error") if 100 <= n < 300 else arrival(n, MS) for n in range(500)]
    )
    assert end_bound(arrivals=rejected) == pytest.approx(1 / RATE + SPACING + 0.002)


def test_an_edge_of_a_partial_outage_is_as_sure_as_its_depth_makes_it():
    def bounds(every):
        arrivals = Arrivals.of(
            [
                arrival(n, MS, "error" if 200 <= n < 800 and n % every == 0 else "ok")
                for n in range(1200)
            ]
        )
        (window,) = find_windows(arrivals, LOAD)
        return begin_within(arrivals, LOAD, window), end_within(arrivals, LOAD, window, (), SPACING)

    half, tenth = bounds(2), bounds(10)
    assert half == (pytest.approx(8 / RATE + 0.002),) * 2  # 0.5 ** 8 is under half a percent
    assert tenth[0] > 5 * half[0]


def lag(since, late):
    """300 ms in which the process woke up `late` ns too late at worst."""
    begun = START + since
    return Operation("main", 0, 0, "lag", begun, begun + 300 * MS, begun + late, "ok", None)


def test_what_the_loads_process_was_late_at_an_edge_is_added():
    arrivals = total_outage()
    (window,) = find_windows(arrivals, LOAD)
    refused = Attempts.of([attempt(300 * GAP - 7 * MS, MS, "refused")])
    begin, end = window.begin - START, window.end - START
    for lags, at_begin, at_end in (
        ([], 0, 0),
        ([lag(begin - 150 * MS, 30 * MS)], 0.030, 0),
        ([lag(end - 350 * MS, 40 * MS), lag(end - 50 * MS, 20 * MS)], 0, 0.040),
        ([lag(begin + 150 * MS, 90 * MS), lag(end + 150 * MS, 90 * MS)], 0, 0),
    ):
        load = replace(LOAD, lags=lags)
        assert begin_within(arrivals, load, window) == pytest.approx(0.006 + at_begin)
        within = end_within(arrivals, load, window, refused, SPACING)
        assert within == pytest.approx(0.010 + at_end)


def simulated(seed):
    """A run with a total outage of known truth: arrivals, attempts, when it was, and the fault."""
    dice = random.Random(seed)
    frozen = START + round(dice.uniform(2.0, 2.1) * SECOND)
    back = frozen + round(dice.uniform(2.2, 8) * SECOND)
    refuses = dice.random() < 0.6
    operations, attempts = [], []
    connected = back + round(dice.uniform(2, 25) * MS)
    if refuses:
        began = frozen + 2 * SECOND
        while began < connected:
            took = round(dice.uniform(0.3, 3) * MS)
            if began < back:
                attempts.append(attempt(began - START, took, "refused"))
            began += round(dice.uniform(5, 7) * MS)
        attempts.append(attempt(back - START, connected - back, "127.0.0.1", "ok"))
    else:
        for began in range(frozen + 2 * SECOND, back, 100 * MS):
            took = connected + round(dice.uniform(0, 30) * MS) - began
            hangs = took > 2 * SECOND
            detail, outcome = ("hang", "timeout") if hangs else ("127.0.0.1", "ok")
            attempts.append(attempt(began - START, min(took, 2 * SECOND), detail, outcome))
    for number in range(2600):
        due = START + number * GAP
        took = round(dice.expovariate(1 / 1.2) * MS) + MS // 2
        if due + took < frozen or due > connected:
            operations.append(arrival(number, took))
        elif connected - due < 1.4 * SECOND:
            operations.append(arrival(number, connected + took - due))
        else:
            operations.append(arrival(number, 2 * SECOND, "timeout" if number % 3 else "unsent"))
    return Arrivals.of(operations), Attempts.of(attempts), frozen, back


def test_the_truth_lies_within_the_bounds():
    outside = []
    widths = []
    for seed in range(200):
        arrivals, attempts, frozen, back = simulated(seed)
        load = Load(RATE, 0.2, 2.0, usual_delay(arrivals, frozen))
        found = find_outage(
            arrivals,
            load,
            find_windows(arrivals, load),
            fault_at=frozen,
            reconnect_spacing=SPACING,
            attempts=attempts,
        )
        begin, end = (found.impact - frozen) / SECOND, (found.recovery - back) / SECOND
        if abs(begin) > found.begin_bound_seconds or abs(end) > found.end_bound_seconds:
            outside.append((seed, begin, found.begin_bound_seconds, end, found.end_bound_seconds))
        widths.append(found.error_bound_seconds)
    assert len(outside) <= 1, outside
    assert sorted(widths)[100] < 0.12  # and they say something
