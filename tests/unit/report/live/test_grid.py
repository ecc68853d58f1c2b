"""Counts by time, whose rows become wider when there are too many."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.report.live.grid import Grid

ZERO, WIDTH, MOST = 1000, 10, 8


def filled(pieces):
    grid = Grid(ZERO, WIDTH, MOST, largest=("worst",), number=1, worst=1)
    for piece in pieces:
        instants = np.array(piece, np.int64)
        rows = grid.places(instants)
        np.add.at(grid["number"][:, 0], rows, 1)
        np.maximum.at(grid["worst"][:, 0], rows, instants)
    return grid


def shown(grid):
    edges = grid.edges.tolist()
    return edges, grid["number"][:, 0].tolist(), grid["worst"][:, 0].tolist()


instants = st.lists(st.integers(0, 3000), min_size=1, max_size=60)


@given(instants, st.randoms(), st.lists(st.integers(1, 20), max_size=20))
def test_any_order_and_any_pieces_give_the_same(whole, random, sizes):
    mixed = whole.copy()
    random.shuffle(mixed)
    pieces, at = [], 0
    for size in [*sizes, len(mixed)]:
        pieces.append(mixed[at : at + size])
        at += size
    assert shown(filled(pieces)) == shown(filled([whole]))


@given(instants)
def test_each_instant_is_counted_in_its_row_and_there_are_not_too_many_rows(whole):
    edges, number, worst = shown(filled([whole]))
    assert len(number) <= MOST
    for row, (left, right) in enumerate(pairwise(edges)):
        its = [each for each in whole if left <= each < right]
        assert number[row] == len(its)
        assert worst[row] == max(its, default=0)
    assert sum(number) == len(whole)


def test_rows_are_as_narrow_as_they_can_be():
    assert filled([[1000, 1079]]).width == 10
    assert filled([[1000, 1080]]).width == 20
    assert filled([[1000, 1000 + 10 * 8 * 64]]).width == 10 * 128


def test_nothing_takes_no_row():
    assert filled([[]]).length == 0
