"""A record in slices of equal length: few enough for the summary, and the same for each figure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from chaosaws_kms_ext.checkers.phases import Span
from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.history.columns import Arrivals

__all__ = ["MOST", "slices_of", "width_of"]

MOST = 600
"""In the summary, for each load."""


def width_of(span: Span) -> float:
    """Seconds of a slice: whole ones, and so many that there are at most MOST slices."""
    return max(1.0, math.ceil(span.seconds / MOST))


def slices_of(arrivals: Arrivals, span: Span, width: float) -> Iterator[Arrivals]:
    """The arrivals that were due in each slice of `width` seconds; the last slice may be shorter.

    `arrivals` in the order in which they were due.
    """
    number = math.ceil(span.seconds / width)
    edges = span.begin + np.round(np.arange(number + 1) * width * SECOND).astype(np.int64)
    edges[-1] = min(int(edges[-1]), span.end)
    places = np.searchsorted(arrivals.due, edges)
    for first, last in pairwise(places.tolist()):
        yield arrivals.only(slice(first, last))
