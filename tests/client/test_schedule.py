"""Arrivals, tickets and the spacing of reconnects, without any clock."""

from __future__ import annotations

import itertools
import sys

from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.client.gate import Spacing, spacing_for
from chaosaws_kms_ext.client.schedule import SECOND, Schedule, Tickets

RATES = st.floats(1, 5000)


@given(RATES, st.integers(0, 10**6))
def test_arrival_k_is_due_at_t0_plus_k_over_the_rate(rate, number):
    schedule = Schedule(1000, rate, writes=True)
    assert abs(schedule.due(number) - (1000 + number * SECOND / rate)) <= 1
    assert schedule.due(number) < schedule.due(number + 1)


def test_one_arrival_in_ten_is_a_write_if_there_are_writes():
    kinds = [Schedule(0, 100, writes=True).kind(n) for n in range(100)]
    assert kinds.count("write") == 10
    assert {Schedule(0, 100, writes=False).kind(n) for n in range(100)} == {"read"}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3 * SECOND)), max_size=60))
def test_every_arrival_is_given_out_once_and_in_order(steps):
    schedule, deadline, now, given_out = Schedule(0, 10.0, writes=True), SECOND // 2, 0, []
    tickets = Tickets(schedule, deadline)
    for take, wait in steps:
        now += wait
        overdue = tickets.overdue(now)
        assert all(schedule.due(n) + deadline <= now for n in overdue)
        given_out += overdue
        if take:
            taken = tickets.take()
            assert schedule.due(taken) + deadline > now
            given_out.append(taken)
    assert given_out == list(range(len(given_out)))


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=100))
def test_attempts_that_fail_are_spaced_whoever_makes_them(waits):
    spacing, now, begun = Spacing(0.05), 0.0, []
    spacing.tell(succeeded=False)
    for wait in waits:
        now += wait
        begun.append(now + spacing.delay(now))
    assert all(later - earlier >= 0.0499 for earlier, later in itertools.pairwise(begun))


def test_nobody_waits_once_an_attempt_succeeded():
    spacing = Spacing(0.05)
    spacing.tell(succeeded=False)
    assert [spacing.delay(1.0) > 0 for _ in range(3)] == [False, True, True]
    spacing.tell(succeeded=True)
    assert spacing.delay(1.0) == 0


@given(st.floats(0.1, 60), st.integers(1, 1000))
def test_a_fresh_attempt_is_never_more_than_50_ms_away(deadline, users):
    assert 0.010 <= spacing_for(deadline, users) <= 0.050


def test_our_side_of_the_load_brings_neither_locust_nor_gevent():
    import subprocess

    code = (
        "import sys, chaosaws_kms_ext.controls.run, chaosaws_kms_ext.load.probes\n"
        "sys.exit(bool({'locust', 'gevent'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
