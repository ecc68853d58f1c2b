"""The percentile, by nearest rank."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from chaosaws_kms_ext.history import END_OF_TIME
from chaosaws_kms_ext.history.columns import BLOCK, Arrivals, Instants

__all__ = ["nearest_rank", "rank_of_delays"]

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

    def blocks() -> Iterator[Instants]:
        for its in arrivals.blocks():
            which = its.answered
            yield its.took(which if until == END_OF_TIME else which & (its.done < until))

    return _select(blocks, share)


def _rank(share: float, number: int) -> int:
    return math.ceil(share * number) - 1


def _select(blocks: Callable[[], Iterator[Instants]], share: float) -> int | None:
    """Counts the values in bins, and looks into the one that has the percentile, until the values
    that are left are few. `blocks` gives all values each time."""
    number, lowest, highest = 0, 0, 0
    for each in blocks():
        if len(each):
            low, high = int(each.min()), int(each.max())
            lowest, highest = (min(lowest, low), max(highest, high)) if number else (low, high)
            number += len(each)
    if not number:
        return None
    rank = _rank(share, number)
    while number > BLOCK and lowest < highest:
        shift = max((highest - lowest).bit_length() - BINS, 0)
        counts = np.zeros(((highest - lowest) >> shift) + 1, np.int64)
        for each in blocks():
            its = _between(each, lowest, highest)
            its -= lowest
            its >>= shift
            counts += np.bincount(its, minlength=len(counts))
        below = np.cumsum(counts)
        chosen = int(np.searchsorted(below, rank, side="right"))
        number = int(counts[chosen])
        rank -= int(below[chosen]) - number
        lowest += chosen << shift
        highest = min(lowest + (1 << shift) - 1, highest)
    if lowest == highest:
        return lowest
    left = np.concatenate([_between(each, lowest, highest) for each in blocks()])
    left.partition(rank)
    return int(left[rank])


def _between(values: Instants, lowest: int, highest: int) -> Instants:
    found: Instants = values[(lowest <= values) & (values <= highest)]
    return found
