"""A load as it is seen so far, beside what the report makes of the same arrivals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.history.columns import CODES, OUTCOMES, Arrivals
from chaosaws_kms_ext.report.live.load import PRECISION, LiveLoad
from chaosaws_kms_ext.report.slices import MOST, drawn

ZERO = 50 * SECOND


def arrivals(number, rate, seed=1):
    random = np.random.default_rng(seed)
    due = ZERO + np.round(np.arange(number) * (SECOND / rate)).astype(np.int64)
    took = random.lognormal(np.log(2e6), 1.2, number).astype(np.int64)
    return Arrivals(due, due + took, random.integers(0, len(OUTCOMES), number).astype(np.int8))


def live(*parts):
    load = LiveLoad(ZERO)
    for part in parts:
        load.add(part)
    return load


def test_it_is_drawn_as_in_the_report():
    whole = arrivals(2000, 200)
    ours, theirs = (
        live(whole).drawn(ZERO, ZERO + 10 * SECOND), drawn(whole, ZERO, ZERO + 10 * SECOND)
    )  # fmt: skip
    assert list(ours) == list(theirs)
    for name in ("left", "right", *OUTCOMES, "max"):
        np.testing.assert_allclose(ours[name], theirs[name], err_msg=name)
    for name in ("p50", "p99"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=PRECISION * 1.001, err_msg=name)


@given(st.randoms(), st.lists(st.integers(1, 400), max_size=9), st.sampled_from([0.3, 8, 300]))
def test_any_order_and_any_pieces_give_the_same_slices(random, sizes, rate):
    whole = arrivals(600, rate)
    order = list(range(600))
    random.shuffle(order)
    places = np.split(np.array(order), np.cumsum(sizes).clip(0, 600))
    one, other = live(whole), live(*(whole.only(each) for each in places))
    end = ZERO + 10_000 * SECOND
    for name, its in one.drawn(0, end).items():
        np.testing.assert_array_equal(its, other.drawn(0, end)[name], err_msg=name)
    for name in ("answered", "failed", "answers"):
        np.testing.assert_array_equal(one.ticks[name], other.ticks[name])
    assert one.newest == other.newest


def test_a_day_takes_the_memory_of_a_minute():
    load = live(arrivals(86_400 * 2, 2))
    assert load.slices.length <= MOST
    taken = [its.nbytes for grid in (load.slices, load.ticks) for its in grid._columns.values()]
    assert sum(taken) < 16 * 2**20
    assert sum(load.slices["outcomes"].sum(0)) == 86_400 * 2


def test_only_slices_that_have_ended_are_drawn():
    load = live(arrivals(2000, 200))
    assert load.drawn(ZERO, ZERO + SECOND)["right"][-1] == ZERO + SECOND
    assert load.drawn(ZERO, ZERO + SECOND - 1)["right"][-1] == ZERO + SECOND * 9 // 10
    assert len(load.drawn(ZERO + 99 * SECOND, ZERO + 100 * SECOND)["left"]) == 0
    assert len(LiveLoad(ZERO).drawn(0, ZERO)["p50"]) == 0


@pytest.mark.parametrize("due", [-(2**62), 2**62])
def test_an_instant_that_cannot_be_is_left_out(due):
    at = np.array([ZERO, due], np.int64)
    load = live(Arrivals(at, at, np.zeros(2, np.int8)))
    assert load.slices.length == 1


def test_how_long_an_answer_usually_takes():
    due = ZERO + np.arange(100, dtype=np.int64) * SECOND // 10
    slow = np.where(np.arange(100) < 50, 10**7, 10**9)
    load = live(Arrivals(due, due + slow, np.full(100, CODES["ok"], np.int8)))
    assert load.usual(0, ZERO + 5 * SECOND) == pytest.approx(0.01, rel=PRECISION)
    assert load.usual() == pytest.approx(1.0, rel=PRECISION)
    assert load.usual(ZERO + 99 * SECOND) == 0.0
