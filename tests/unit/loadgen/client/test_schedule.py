"""Arrivals, tickets and the spacing of reconnects, without any clock."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.loadgen.client.schedule import PATIENCE, Schedule, Tickets
from chaosaws_kms_ext.loadgen.client.spacing import spacing_for

RATES = st.floats(1, 5000)


@given(RATES, st.integers(0, 10**6))
def test_arrival_k_is_due_at_t0_plus_k_over_the_rate(rate, number):
    schedule = Schedule(1000, rate, writes=True)
    assert abs(schedule.due(number) - (1000 + number * SECOND / rate)) <= 1
    assert schedule.due(number) < schedule.due(number + 1)


def test_one_arrival_in_ten_is_a_write_if_there_are_writes():
    kinds = [Schedule(0, 100, writes=True).kind(n) for n in range(100)]
    assert kinds.count("write") == 10
    registers = [n for n in range(100) if Schedule(0, 100, writes=True).of_register(n)]
    assert len(registers) == 10
    assert {kinds[n] for n in registers} == {"read"}
    assert not any(Schedule(0, 100, writes=False).of_register(n) for n in range(100))
    reads_others = Schedule(0, 100, writes=False, reads_registers=True)
    assert [n for n in range(100) if reads_others.of_register(n)] == registers
    for block in range(0, 1000, 10):
        its = range(block, block + 10)
        assert [Schedule(0, 100, writes=True).kind(n) for n in its].count("write") == 1
    assert {Schedule(0, 100, writes=False).kind(n) for n in range(100)} == {"read"}


@pytest.mark.parametrize("users", [1, 4, 5, 8, 10, 16, 20, 21, 50])
def test_users_that_take_turns_all_write_and_all_read_registers(users):
    schedule = Schedule(0, 100, writes=True)
    numbers = range(users * 1000)
    assert {n % users for n in numbers if schedule.kind(n) == "write"} == set(range(users))
    assert {n % users for n in numbers if schedule.of_register(n)} == set(range(users))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3 * SECOND)), max_size=60))
def test_every_arrival_is_given_out_once_and_in_order(steps):
    schedule, deadline, now, given_out = Schedule(0, 10.0, writes=True), SECOND // 2, 0, []
    tickets = Tickets(schedule, deadline)
    for take, wait in steps:
        now += wait
        overdue = tickets.overdue(now)
        assert all(schedule.due(n) + round(PATIENCE * deadline) <= now for n in overdue)
        given_out += overdue
        if take:
            taken = tickets.take()
            assert schedule.due(taken) + round(PATIENCE * deadline) > now
            given_out.append(taken)
    assert given_out == list(range(len(given_out)))


@given(st.floats(0.1, 60))
def test_attempts_that_hang_begin_100_ms_apart_unless_that_were_too_many(deadline):
    assert spacing_for(deadline) >= 0.1
    assert deadline / spacing_for(deadline) <= 40.001
    assert spacing_for(deadline) == 0.1 or deadline > 4


@given(RATES, st.integers(0, 10**12))
def test_what_is_left_at_the_end_is_what_was_due_by_then(rate, instant):
    schedule = Schedule(0, rate, writes=True)
    tickets = Tickets(schedule, SECOND)
    taken = tickets.take()
    left = tickets.due_by(min(instant, schedule.due(1000)))
    assert [taken, *left] == list(range(len(left) + 1))
    assert all(schedule.due(number) <= instant for number in left)
    assert schedule.due(len(left) + 1) > min(instant, schedule.due(1000))


def test_our_side_of_the_load_brings_neither_locust_nor_gevent():
    import subprocess

    code = (
        "import sys, chaosaws_kms_ext.controls.run, chaosaws_kms_ext.load.probes\n"
        "sys.exit(bool({'locust', 'gevent'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
