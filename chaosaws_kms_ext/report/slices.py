"""A load over time, slice by slice, as pictures draw it: arrivals by outcome, and latency."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chaosaws_kms_ext.checkers.percentile import ranks_of_delays
from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.history.columns import OUTCOMES, Arrivals, Instants

__all__ = ["MOST", "SHORTEST", "counted", "drawn"]

MOST = 600
"""Slices in the picture of the page."""

SHORTEST = 0.1
"""Seconds of one."""


def counted(arrivals: Arrivals, begin: int, end: int, most: int = MOST) -> dict[str, Any]:
    """From `begin` to `end` (CLOCK_MONOTONIC ns), as columns of one length, of `most` slices.

    `left` and `right` of each slice in ns; a column for each outcome with its number of arrivals.
    """
    return _counted(arrivals, *_edges(arrivals, begin, end, most))


def _counted(arrivals: Arrivals, edges: Instants, places: list[int]) -> dict[str, Any]:
    columns: dict[str, Any] = {"left": edges[:-1], "right": edges[1:]}
    counts = np.zeros((len(edges) - 1, len(OUTCOMES)), np.int64)
    for place in range(len(counts)):
        its = arrivals.outcome[places[place] : places[place + 1]]
        counts[place] = np.bincount(its, minlength=len(OUTCOMES))
    columns.update({name: counts[:, place] for place, name in enumerate(OUTCOMES)})
    return columns


def drawn(arrivals: Arrivals, begin: int, end: int) -> dict[str, Any]:
    """As `counted`, but with arrivals a second, and the latency of those that were answered.

    `p50`, `p99` and `max` in ms, NaN where none was.
    """
    edges, places = _edges(arrivals, begin, end, MOST)
    columns = _counted(arrivals, edges, places)
    width = _width(begin, end, MOST)
    columns.update({name: columns[name] / width for name in OUTCOMES})
    latency = np.full((len(edges) - 1, 3), np.nan)
    for place in range(len(latency)):
        its = arrivals.only(slice(places[place], places[place + 1]))
        for column, found in enumerate(ranks_of_delays(its, (0.5, 0.99, 1.0))):
            if found is not None:
                latency[place, column] = found / 1e6
    columns.update({name: latency[:, place] for place, name in enumerate(("p50", "p99", "max"))})
    return columns


def _width(begin: int, end: int, most: int) -> float:
    """Seconds of a slice."""
    return max(SHORTEST, (end - begin) / SECOND / most)


def _edges(arrivals: Arrivals, begin: int, end: int, most: int) -> tuple[Instants, list[int]]:
    """The instants between slices, and the place of the first arrival that was due after each."""
    width = _width(begin, end, most)
    number = math.ceil(max((end - begin) / SECOND, SHORTEST) / width)
    edges = begin + np.rint(np.arange(number + 1) * width * SECOND).astype(np.int64)
    return edges, np.searchsorted(arrivals.due, edges).tolist()
