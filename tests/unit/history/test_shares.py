"""The shares of processes in one load, and the times in which they were absent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.history.clocks import Clock
from chaosaws_kms_ext.history.columns import CODES, Absence, Arrivals
from chaosaws_kms_ext.history.shares import (
    Part,
    Share,
    absent_together,
    complete,
    find_absences,
    least_present,
    tell_nothing,
    unheard_at_the_end,
)
from chaosaws_kms_ext.loadgen.client.schedule import Schedule, Tickets
from tests.support.examples import examples

MS = 1_000_000
START = 3 * 10**15
"""After a month."""
RATES = st.one_of(st.floats(1, 1000), st.sampled_from([3.0, 7777.0, 33333.3, 99999.0, 100_000.0]))


def array(*values):
    return np.array(values, np.int64)


def part(number, of, due, rate=100.0, start=START, stalls=()):
    due = np.array(due, np.int64)
    ok = np.full(len(due), CODES["ok"], np.int8)
    arrivals = Arrivals(due, due + MS, ok)
    said = np.full(len(due), -1, np.int8)
    return Part(Share(number, of, start, rate), arrivals, said, Clock(), stalls)


@given(RATES, st.integers(0, 10**9))
def test_a_share_knows_when_its_arrivals_are_due_and_which_they_are(rate, number):
    share = Share(0, 4, START, rate)
    due = share.due(array(number))
    assert due.tolist() == [Schedule(START, rate, writes=True).due(number)]
    assert share.numbers(due).tolist() == [number]
    late = array(Schedule(START, rate, writes=True).due(number))
    assert share.numbers(late).tolist() == [number]


@given(RATES, st.integers(1, 64))
def test_the_shares_of_all_processes_together_have_each_arrival_once(rate, of):
    schedule = Schedule(0, rate, writes=True)
    until = schedule.due(500)
    given_out = [n for k in range(of) for n in Tickets(schedule, SECOND, k, of).due_by(until)]
    assert sorted(given_out) == list(range(501))


@given(
    st.integers(1, 8),
    st.lists(
        st.tuples(st.sampled_from(["take", "back", "wait"]), st.integers(0, SECOND)), max_size=60
    ),
)
def test_what_is_given_back_is_given_out_again_by_its_own_process(of, steps):
    schedule = Schedule(0, 20.0, writes=True)
    tickets = [Tickets(schedule, SECOND, k, of) for k in range(of)]
    held, done, now = [], [], 0
    for place, (what, wait) in enumerate(steps):
        its = tickets[place % of]
        if what == "take":
            done += its.overdue(now)
            held.append((place % of, its.take()))
        elif what == "back" and held:
            process, number = held.pop()
            tickets[process].give_back(number)
        else:
            now += wait
            done += its.overdue(now)
    done += [number for _, number in held]
    until = max([now, *map(schedule.due, done)])
    done += [number for its in tickets for number in its.due_by(until)]
    assert sorted(done) == list(range(len(done)))


def due(number):
    return START + round(number * SECOND / 100)


def test_a_process_that_stopped_recording_is_absent_until_the_last_arrival_of_another():
    other = part(1, 2, [due(n) for n in range(1, 600, 2)])
    (one,) = find_absences([part(0, 2, [due(n) for n in range(0, 200, 2)]), other])
    assert (one.worker, one.of, one.why) == (0, 2, "recorded nothing")
    assert (one.begin, one.end) == (due(198) + 1, due(601) - 1)


def test_a_process_that_came_late_was_absent_before():
    other = part(1, 2, [due(n) for n in range(1, 600, 2)])
    (one,) = find_absences([part(0, 2, [due(n) for n in range(200, 600, 2)]), other])
    assert (one.begin, one.end) == (due(-2) + 1, due(200) - 1)


def test_less_than_half_of_a_second_without_a_record_is_no_absence():
    other = part(1, 2, [due(n) for n in range(1, 600, 2)])
    holed = [due(n) for n in range(0, 600, 2) if not 200 <= n < 250]
    assert find_absences([part(0, 2, holed), other]) == []
    holed = [due(n) for n in range(0, 600, 2) if not 200 <= n < 256]
    assert len(find_absences([part(0, 2, holed), other])) == 1


def test_only_what_an_absence_hides_is_added():
    mine = part(0, 2, [due(n) for n in range(0, 600, 2) if n != 100 and not 200 <= n < 300])
    absent = Absence(0, 2, due(198) + 1, due(300) - 1, "was cut off")
    found = complete(mine, [absent, absent._replace(worker=1, end=due(400))], due(600))
    added = found.arrivals.due[found.arrivals.unrecorded]
    assert added.tolist() == [due(n) for n in range(200, 300, 2)]
    assert len(found.said) == len(found.arrivals) == len(mine.arrivals) + 50


def test_ten_thousand_stalls_cost_little():
    """Each of them hides a few arrivals: what is done once for each is done for few."""
    number = 200_000
    mine = part(0, 2, [due(n) for n in range(0, 2 * number, 2)])
    stalls = [Absence(0, 2, due(40 * n), due(40 * n + 5), "did not run") for n in range(10_000)]
    found = complete(mine, stalls, due(2 * number))
    assert len(found.arrivals) == number
    assert not found.arrivals.unrecorded.any()
    assert least_present(stalls) == 0.5


ABSENCES = st.lists(
    st.builds(
        lambda worker, begin, lasts, why: Absence(worker, 3, begin, begin + lasts, why),
        st.integers(0, 2), st.integers(0, 40), st.integers(0, 20),
        st.sampled_from(["was cut off", "did not run", "recorded nothing"]),
    ),
    max_size=8,
)  # fmt: skip


def absent_at(absences, at):
    """Between two whole numbers: the edges themselves do not last."""
    return {each.worker for each in absences if each.begin <= at < each.end}


@settings(max_examples=examples(200))
@given(ABSENCES)
def test_how_many_are_absent_is_what_counting_at_each_instant_gives(absences):
    each = [absent_at(absences, at) for at in range(70)]
    together = {at for at in range(70) if len(each[at]) == 3}
    assert together == {at for begin, end in absent_together(absences) for at in range(begin, end)}
    most = max((len(its) for its in each if len(its) < 3), default=0)
    assert least_present(absences) == pytest.approx(1 - most / 3)


@given(ABSENCES, st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=20))
def test_what_was_under_way_in_an_absence_tells_nothing(absences, times):
    begin = np.array([at for at, _ in times], np.int64)
    end = np.array([at + lasts for at, lasts in times], np.int64)
    assert tell_nothing(begin, end, 1, absences).tolist() == [
        any(
            e.worker == 1 and e.why != "recorded nothing" and a <= e.end and e.begin <= b
            for e in absences
        )
        for a, b in zip(begin.tolist(), end.tolist(), strict=True)
    ]


def test_a_load_of_which_nothing_is_heard_until_it_is_stopped_has_a_gap_there():
    last = array(due(0), due(100))
    assert unheard_at_the_end(last, 100, 4, due(150)) == []
    assert unheard_at_the_end(last, 100, 4, due(160)) == [(due(100) + 1, due(160))]
    assert unheard_at_the_end(last, 100, 1, due(160)) == []
    assert unheard_at_the_end(array(), 100, 4, due(160)) == []
