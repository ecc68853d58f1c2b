"""A load as it is seen so far: slices for the timeline, and finer ticks that tell an outage.

Of an operation nothing else is kept: an hour of ten thousand a second takes the memory of a minute.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chaosaws_kms_ext.history import END_OF_TIME, SECOND, Outcome
from chaosaws_kms_ext.history.columns import CODES, OUTCOMES, Arrivals
from chaosaws_kms_ext.report.live.grid import Grid
from chaosaws_kms_ext.report.slices import MOST, SHORTEST

__all__ = ["MOST_TICKS", "PRECISION", "TICK", "LiveLoad"]

TICK = round(SHORTEST * SECOND)
"""ns of a tick, and of a slice at first."""

MOST_TICKS = 1 << 18
"""Seven hours; of a longer run they are wider."""

OCTAVE, OCTAVES, LEAST = 32, 24, 10_000
"""Latencies are counted in so many classes each time they double, from so many ns on: to 168 s."""

BOUNDS = np.rint(LEAST * 2.0 ** (np.arange(OCTAVE * OCTAVES) / OCTAVE)).astype(np.int64)
"""Where the classes but for the first begin, ns."""

PRECISION = 2 ** (0.5 / OCTAVE) - 1
"""By which share a percentile can be off."""

BEFORE, AFTER = 3600 * SECOND, 30 * 86400 * SECOND
"""ns around the begin of a run in which an arrival can be due: any other is no arrival."""


class LiveLoad:
    """Grows by arrivals, in any order; what there is depends on them alone."""

    def __init__(self, zero: int) -> None:
        """`zero`: when the run began, CLOCK_MONOTONIC ns."""
        self._zero = zero
        self.rate = 0.0
        """Arrivals a second; as the header of a file says."""
        self.newest = 0
        """When the last operation that was recorded ended, ns."""
        self.slices = Grid(
            zero, TICK, MOST, largest=("worst",),
            outcomes=len(OUTCOMES), classes=len(BOUNDS) + 1, worst=1,
        )  # fmt: skip
        self.ticks = Grid(zero, TICK, MOST_TICKS, answered=1, failed=1, answers=1)
        """By when they were due, and of those that were answered by when that was, too."""

    def add(self, arrivals: Arrivals) -> None:
        """Takes them."""
        possible = (arrivals.due > self._zero - BEFORE) & (arrivals.done < self._zero + AFTER)
        possible &= arrivals.due <= arrivals.done
        if not possible.all():
            arrivals = arrivals.only(possible)
        if not len(arrivals):
            return
        self.newest = max(self.newest, int(arrivals.done.max()))
        rows = self.slices.places(arrivals.due)
        np.add.at(self.slices["outcomes"], (rows, arrivals.outcome), 1)
        which = arrivals.answered
        took = arrivals.took(which)
        np.add.at(self.slices["classes"], (rows[which], np.searchsorted(BOUNDS, took, "right")), 1)
        np.maximum.at(self.slices["worst"][:, 0], rows[which], took)
        rows = self.ticks.places(arrivals.due)
        failed = ~which & (arrivals.outcome != CODES[Outcome.ABORTED])
        np.add.at(self.ticks["answered"][:, 0], rows[which], 1)
        np.add.at(self.ticks["failed"][:, 0], rows[failed], 1)
        rows = self.ticks.places(arrivals.done[which])
        np.add.at(self.ticks["answers"][:, 0], rows, 1)

    def drawn(self, begin: int, end: int) -> dict[str, Any]:
        """As `report.slices.drawn`, for the slices that end between two instants (ns).

        `p50` and `p99` are within PRECISION.
        """
        edges = self.slices.edges
        some = slice(*np.searchsorted(edges[1:], [begin, end], "right").tolist())
        rates = self.slices["outcomes"][some] / (self.slices.width / SECOND)
        worst = self.slices["worst"][some, 0]
        counts = np.cumsum(self.slices["classes"][some], axis=1)
        found: dict[str, Any] = {"left": edges[:-1][some], "right": edges[1:][some]}
        found.update({name: rates[:, place] for place, name in enumerate(OUTCOMES)})
        for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
            found[name] = _percentile(counts, share, worst)
        return found

    def usual(self, since: int = 0, until: int = END_OF_TIME) -> float:
        """How long an answer took between two instants (ns): the 99th percentile, seconds; 0: that
        is not known."""
        edges = self.slices.edges
        first, end = np.searchsorted(edges[:-1], since), np.searchsorted(edges[1:], until, "right")
        which = slice(int(first), int(end))
        counts = np.cumsum(self.slices["classes"][which].sum(0))[None, :]
        worst = self.slices["worst"][which].max(initial=0)
        found = float(_percentile(counts, 0.99, np.array([worst]))[0])
        return 0.0 if np.isnan(found) else found / 1e3


def _percentile(counts: Any, share: float, worst: Any) -> Any:
    """By nearest rank, ms; NaN where nothing was counted. `counts`: of each class and all before
    it; `worst`: the largest value, ns."""
    if not len(counts):
        return np.zeros(0)
    number = counts[:, -1]
    rank = np.maximum(np.ceil(share * number), 1)
    place = (counts >= rank[:, None]).argmax(1)
    middles = np.sqrt(BOUNDS[:-1].astype(np.float64) * BOUNDS[1:])
    middles = np.concatenate(([BOUNDS[0]], middles, [BOUNDS[-1]]))
    values = worst if share == 1 else np.minimum(middles[place], worst)
    return np.where(number > 0, values / 1e6, np.nan)
