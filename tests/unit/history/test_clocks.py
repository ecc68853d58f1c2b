"""The clock of another machine, beside a true one that only the test knows."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.history.clocks import DRIFT, SILENT, Clock, Sample
from tests.support.examples import examples

MS = 1_000_000
AGES = st.integers(0, 400 * 86400 * SECOND)
"""Since a machine started, ns."""


class Machine:
    """A clock that was `ahead` (ns) of that of the load, and drifts away from it as `drifts` says:
    (seconds of its own time, by how much of that)…"""

    def __init__(self, since, ahead, drifts):
        own, common = since, since + ahead
        self.points = [(own, common)]
        for seconds, drift in drifts:
            own += round(seconds * SECOND)
            common += round(seconds * SECOND * (1 + drift))
            self.points.append((own, common))

    def common(self, own):
        """The truth."""
        for (a, x), (b, y) in pairwise(self.points):
            if own <= b:
                return x + round((own - a) * ((y - x) / (b - a)))
        return self.points[-1][1] + own - self.points[-1][0]

    @property
    def ends(self):
        return self.points[-1][0]


def asked(machine, took, seed, every=SECOND // 4, but=()):
    """Questions, of which each takes up to `took` ns; no answer comes within the times `but`."""
    chance, found = random.Random(seed), []
    at = machine.points[0][0]
    while at < machine.ends:
        # Mostly quick, now and then as slow as can be, and the answer anywhere in between.
        rtt = round(took * chance.random() ** chance.choice([1, 8]))
        made = at + round(rtt * chance.random())
        if rtt <= SILENT and not any(a <= at + rtt and at <= b for a, b in but):
            found.append(Sample(at, machine.common(made), at + rtt))
        at += every
    return sorted(found, key=lambda sample: sample.came)


MOST = 0.9999 * DRIFT
"""The machine's instants are whole ns, so that it drifts a little more."""

MACHINES = st.builds(
    Machine,
    since=AGES,
    ahead=st.integers(-400 * 86400 * SECOND, 400 * 86400 * SECOND),
    drifts=st.lists(st.tuples(st.floats(0.1, 40), st.floats(-MOST, MOST)), min_size=1, max_size=6),
)
TAKES = st.sampled_from([0, 50_000, MS, 30 * MS, 400 * MS, SECOND])


@settings(max_examples=examples(150), deadline=None)
@given(MACHINES, TAKES, st.integers(0, 99))
def test_the_true_instant_lies_within_the_error(machine, took, seed):
    samples = asked(machine, took, seed)
    if not samples:
        return
    clock = Clock(samples, machine.ends)
    assert clock.jumps() == []
    silences = clock.silences()
    chance = random.Random(seed)
    for _ in range(60):
        own = chance.randint(samples[0].asked, machine.ends)
        if not any(begin < own < end for begin, end in silences):
            assert abs(clock.common(own) - machine.common(own)) <= clock.error * SECOND + 1


@settings(max_examples=examples(100), deadline=None)
@given(MACHINES, TAKES, st.integers(0, 99))
def test_its_own_instant_of_a_common_one_is_the_opposite(machine, took, seed):
    clock = Clock(asked(machine, took, seed), machine.ends)
    for own in range(machine.points[0][0] - SECOND, machine.ends + 5 * SECOND, 777 * MS):
        assert abs(clock.own(clock.common(own)) - own) <= 1


@settings(max_examples=examples(60), deadline=None)
@given(MACHINES, TAKES, st.integers(0, 99))
def test_what_takes_a_time_takes_it_on_both_clocks(machine, took, seed):
    """Else an answer would have been there before its question, or a latency would be made up."""
    clock = Clock(asked(machine, took, seed), machine.ends)
    began = np.arange(machine.points[0][0], machine.ends, 50 * MS, dtype=np.int64)
    for length in (MS, SECOND):
        lasted = clock.commons(began + length) - clock.commons(began)
        assert np.abs(lasted - length).max(initial=0) <= length * DRIFT + 2


def test_one_quick_question_makes_up_for_slow_ones():
    machine = Machine(0, 5 * SECOND, [(60, 0.0)])
    slow = asked(machine, SECOND, 1)
    quick = Sample(30 * SECOND, machine.common(30 * SECOND), 30 * SECOND + 1000)
    known = Clock(sorted([*slow, quick], key=lambda each: each.came), machine.ends)
    assert Clock([quick]).error < 10e-6
    assert known.error < 0.035  # 30 s of drift, and no half of a second


def test_without_a_question_the_clock_is_that_of_the_load():
    clock = Clock()
    assert (clock.common(7), clock.own(7), clock.error) == (7, 7, 0.0)
    assert clock.silences() == clock.jumps() == []


def test_a_time_without_answers_is_a_silence():
    machine = Machine(0, SECOND, [(20, 0.0)])
    cut = (5 * SECOND, 9 * SECOND)
    clock = Clock(asked(machine, MS, 1, but=[cut]), machine.ends)
    ((begin, end),) = clock.silences()
    assert cut[0] - SECOND // 2 < begin <= cut[0]
    assert cut[1] <= end < cut[1] + SECOND // 2


def test_the_silence_at_the_end_lasts_until_the_last_record():
    samples = [Sample(n * SECOND // 4, n * SECOND // 4, n * SECOND // 4 + MS) for n in range(40)]
    last = samples[-1]
    assert Clock(samples, last.came + SILENT).silences() == []
    assert Clock(samples, last.came + 3 * SECOND).silences() == [
        (last.asked, last.came + 3 * SECOND)
    ]


@settings(max_examples=examples(60), deadline=None)
@given(
    slept=st.integers(2, 10**6).map(lambda ms: ms * MS),
    took=st.sampled_from([1000, 200_000, 2 * MS]),
    seed=st.integers(0, 99),
)
def test_a_clock_that_stood_still_is_right_on_both_sides(slept, took, seed):
    """A machine that sleeps: its monotonic clock does not go on."""
    before, after = Machine(0, 0, [(10, 0.0)]), Machine(10 * SECOND, slept, [(10, 0.0)])
    chance = random.Random(seed)
    samples = [
        *asked(before, chance.randint(1, took), seed),
        *asked(after, chance.randint(1, took), seed),
    ]
    clock = Clock(samples, after.ends)
    if slept <= 2 * took:
        assert len(clock.jumps()) <= 1
        return
    ((begin, end),) = clock.jumps()
    assert begin <= 10 * SECOND <= end
    assert end - begin < SECOND
    for own in range(0, 20 * SECOND, 100 * MS):
        if not begin <= own <= end:
            truth = own if own < 10 * SECOND else own + slept
            assert abs(clock.common(own) - truth) <= clock.error * SECOND + 1


@pytest.mark.parametrize("number", [1, 2, 10_000])
def test_the_error_is_at_least_half_of_the_quickest_question(number):
    samples = [
        Sample(n * SECOND // 4, n * SECOND // 4, n * SECOND // 4 + MS) for n in range(number)
    ]
    assert 0.0005 <= Clock(samples, samples[-1].came).error < 0.001
