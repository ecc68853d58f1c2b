"""The percentile, by nearest rank."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chaosaws_kms_ext.history import END_OF_TIME
from chaosaws_kms_ext.history.columns import BLOCK, Arrivals, Instants

__all__ = ["nearest_rank", "rank_of_delays", "ranks_of_delays"]

BINS = 16
"""2 to this power are the parts in which values are counted at a time."""


def nearest_rank(values: Instants, share: float) -> int | None:
    """The percentile of values by nearest rank; None of none. Changes their order."""
    if not len(values):
        return None
    rank = _rank(share, len(values))
    values.partition(rank)
    return int(values[rank])


def rank_of_delays(arrivals: Arrivals, share: float, until: int = END_OF_TIME) -> int | None:
    """The percentile of how long answers took, ns, of those that came before `until` (ns); None:
    none did.

    Needs little memory, however many there are.
    """
    return ranks_of_delays(arrivals, (share,), until)[0]


def ranks_of_delays(
    arrivals: Arrivals, shares: Sequence[float], until: int = END_OF_TIME
) -> list[int | None]:
    """Several percentiles at once, as `rank_of_delays` has each."""

    def blocks() -> Iterator[Instants]:
        for its in arrivals.blocks():
            which = its.answered
            yield its.took(which if until == END_OF_TIME else which & (its.done < until))

    if len(arrivals) <= BLOCK:
        return _of_few(next(blocks()), shares) if len(arrivals) else [None] * len(shares)
    return _of_many(blocks, shares)


def _rank(share: float, number: int) -> int:
    return math.ceil(share * number) - 1


def _of_few(values: Instants, shares: Sequence[float]) -> list[int | None]:
    """Of values that are held at once. Changes their order."""
    if not len(values):
        return [None] * len(shares)
    ranks = [_rank(share, len(values)) for share in shares]
    values.partition(sorted(set(ranks)))
    return [int(values[rank]) for rank in ranks]


class _Values(NamedTuple):
    """Those of the values that lie from `lowest` to `highest`."""

    blocks: Callable[[], Iterator[Instants]]
    """Gives all values each time."""
    number: int
    lowest: int
    highest: int


def _of_many(blocks: Callable[[], Iterator[Instants]], shares: Sequence[float]) -> list[int | None]:
    ends = [(len(each), int(each.min()), int(each.max())) for each in blocks() if len(each)]
    if not ends:
        return [None] * len(shares)
    numbers, lows, highs = zip(*ends, strict=True)
    its = _Values(blocks, sum(numbers), min(lows), max(highs))
    shift, counts = _counted(its)
    return [_looked_up(its, shift, counts, _rank(share, its.number)) for share in shares]


def _counted(its: _Values) -> tuple[int, NDArray[np.int64]]:
    """How many values are in each bin, and how wide one is, as a power of 2."""
    shift = max((its.highest - its.lowest).bit_length() - BINS, 0)
    counts = np.zeros(((its.highest - its.lowest) >> shift) + 1, np.int64)
    for each in its.blocks():
        found = _between(each, its.lowest, its.highest)
        found -= its.lowest
        found >>= shift
        counts += np.bincount(found, minlength=len(counts))
    return shift, counts


def _looked_up(its: _Values, shift: int, counts: NDArray[np.int64], rank: int) -> int:
    """The value of a rank: counts again those of its bin, until they are few."""
    while True:
        below = np.cumsum(counts)
        chosen = int(np.searchsorted(below, rank, side="right"))
        number = int(counts[chosen])
        rank -= int(below[chosen]) - number
        lowest = its.lowest + (chosen << shift)
        its = _Values(its.blocks, number, lowest, min(lowest + (1 << shift) - 1, its.highest))
        if its.lowest == its.highest:
            return its.lowest
        if number <= BLOCK:
            left = np.concatenate([_between(each, lowest, its.highest) for each in its.blocks()])
            left.partition(rank)
            return int(left[rank])
        shift, counts = _counted(its)


def _between(values: Instants, lowest: int, highest: int) -> Instants:
    found: Instants = values[(lowest <= values) & (values <= highest)]
    return found
