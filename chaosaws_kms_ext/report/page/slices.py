"""A load over time, as the timeline draws it: arrivals by outcome and latency, slice by slice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chaosaws_kms_ext.checkers.percentile import rank_of_delays
from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.history.columns import OUTCOMES, Arrivals

__all__ = ["MOST", "SHORTEST", "drawn"]

MOST = 600
"""Slices in the picture."""

SHORTEST = 0.1
"""Seconds of one."""


def drawn(arrivals: Arrivals, begin: int, end: int) -> dict[str, Any]:
    """From `begin` to `end` (CLOCK_MONOTONIC ns), as columns of one length.

    `left` and `right` of each slice in ns; a column for each outcome with arrivals a second; `p50`,
    `p99` and `max` in ms of those that were answered, NaN where none was.
    """
    seconds = max((end - begin) / SECOND, SHORTEST)
    width = max(SHORTEST, seconds / MOST)
    number = math.ceil(seconds / width)
    edges = begin + np.rint(np.arange(number + 1) * width * SECOND).astype(np.int64)
    places = np.searchsorted(arrivals.due, edges).tolist()
    columns: dict[str, Any] = {"left": edges[:-1], "right": edges[1:]}
    counts = np.zeros((number, len(OUTCOMES)))
    latency = np.full((number, 3), np.nan)
    for place in range(number):
        its = arrivals.only(slice(places[place], places[place + 1]))
        counts[place] = np.bincount(its.outcome, minlength=len(OUTCOMES)) / width
        for column, share in enumerate((0.5, 0.99, 1.0)):
            found = rank_of_delays(its, share)
            if found is not None:
                latency[place, column] = found / 1e6
    columns.update({name: counts[:, place] for place, name in enumerate(OUTCOMES)})
    columns.update({name: latency[:, place] for place, name in enumerate(("p50", "p99", "max"))})
    return columns
