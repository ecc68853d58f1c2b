"""How late a process is on its own account: one record a second."""

from __future__ import annotations

import time

import pytest

from chaosaws_kms_ext.history import SECOND, Operation
from chaosaws_kms_ext.loadgen.client.lag import Lag

MS = 1_000_000


def noted(delays, every=100 * MS):
    """Wakes up each 100 ms, so much later; the records of it."""
    lag, now, found = Lag(), time.monotonic_ns(), []
    for late in delays:
        due = now + every
        now = due + late
        if (row := lag.note(due, now)) is not None:
            found.append(Operation("main", *row))
    return found


def test_each_second_has_a_record_with_the_worst_of_it():
    found = noted([MS] * 9 + [30 * MS] + [2 * MS] * 30)
    assert len(found) == 4
    assert {(o.kind, o.outcome) for o in found} == {("lag", "ok")}
    assert (found[0].done - found[0].due) // MS == 30
    assert all((o.done - o.due) // MS == 2 for o in found[1:])


def test_the_records_lie_one_after_another():
    found = noted([5 * MS] * 40)
    assert [o.sent for o in found[:-1]] == [o.due for o in found[1:]]
    assert all(SECOND <= o.sent - o.due < 1.2 * SECOND for o in found)


def test_a_process_that_sleeps_for_long_has_one_record_of_it():
    (one,) = noted([5 * SECOND])
    assert one.done - one.due == 5 * SECOND
    assert 5 * SECOND <= one.sent - one.due < 5.2 * SECOND


def test_the_cpu_time_that_the_process_used_is_counted_once():
    lag = Lag()
    began, used = time.monotonic_ns(), time.process_time_ns()
    while time.process_time_ns() - used < 60 * MS:
        pass
    spent = (time.process_time_ns() - used) // MS
    busy = lag.note(began + SECOND, began + 2 * SECOND)
    idle = lag.note(began + 3 * SECOND, began + 4 * SECOND)
    assert busy[1] == pytest.approx(spent, abs=15)
    assert idle[1] < 40
