"""Outages from what a tool says: how many answers in each second, or whether a look succeeded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.tool import Outage

__all__ = ["Interval", "low_intervals", "runs_of_failures"]

LOW = 0.75
"""The share of the rate below which a second counts as part of an outage: at 200 a second the
arrivals of pgbench, which come by chance, are more than that in practically every second."""


@dataclass(frozen=True)
class Interval:
    """From when to when (CLOCK_MONOTONIC seconds), and answers a second."""

    begin: float
    end: float
    answered: float


def low_intervals(intervals: Sequence[Interval], rate: float) -> list[Outage]:
    """Each run of intervals with fewer answers than LOW of the rate, after a first good one."""
    found: list[Outage] = []
    begin: float | None = None
    good = False
    for each in intervals:
        if each.answered >= LOW * rate:
            if begin is not None:
                found.append((begin, each.begin))
            begin, good = None, True
        elif begin is None and good:
            begin = each.begin
    if begin is not None:
        found.append((begin, None))
    return found


def runs_of_failures(looks: Iterable[tuple[float, bool]]) -> list[Outage]:
    """From the last look that succeeded before to the first after; each look is when, and whether
    it succeeded."""
    found: list[Outage] = []
    begin, last = None, None
    for at, well in looks:
        if well:
            if begin is not None:
                found.append((begin, at))
            begin, last = None, at
        elif begin is None:
            begin = last
    if begin is not None:
        found.append((begin, None))
    return found
