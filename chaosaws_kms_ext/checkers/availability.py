"""How much of the service was there: the share of the arrivals that were answered in time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from chaosaws_kms_ext.checkers.base import (
    Checker,
    Field,
    Result,
    checker,
    every_load,
    hit_loads,
    never_injected,
)
from chaosaws_kms_ext.checkers.objectives import EachLoad, Objective
from chaosaws_kms_ext.checkers.outage_windows import failed_arrivals
from chaosaws_kms_ext.checkers.phases import Span, recorded_span, since_fault
from chaosaws_kms_ext.checkers.slices import slices_of, width_of
from chaosaws_kms_ext.history import MAIN, READER, SECOND, Conditions, Utc
from chaosaws_kms_ext.history.columns import Arrivals, Mask
from chaosaws_kms_ext.history.history import History

__all__ = ["AvailabilityChecker", "Service", "service_in"]


class Shares(TypedDict):
    """In slices of one length."""

    begin: Utc
    seconds: float
    shares: list[float | None]


@checker
class AvailabilityChecker(Checker):
    """Counts it for each load."""

    name = "availability"
    place = 35
    objectives = (
        Objective("availability", "availability", None, "share", at_least=True),
        Objective("lost_service", "lost_service_seconds", None, "seconds"),
    )
    fields = {
        "availability": Field(
            float | None,
            "the share of the arrivals that were answered in time, from the fault to the "
            "recovery (without one, until the load was stopped); of a load that the fault should "
            "not affect, of all its time",
            of_load=True,
        ),
        "lost_service_seconds": Field(
            float | None,
            "the arrivals that were not answered in time from the fault until the load was "
            "stopped, divided by the rate: half of them for 20 s are 10 s",
            of_load=True,
        ),
        "slices": Field(
            Shares | None,
            "the share that was answered in time in each of so many `seconds`, from `begin`; "
            "`null`: nothing was due, or nothing is recorded",
            of_load=True,
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Counts arrivals; the time in which a load had died counts neither way."""
        loads = {load: _figures(history, conditions, load) for load in every_load(history)}
        hit = hit_loads(history, conditions)
        told = [] if never_injected(history, conditions) else [MAIN, READER, *hit[1:]]
        return Result(
            loads=loads,
            measured={
                name: EachLoad.of({load: loads[load][name] for load in hit})
                for name in ("availability", "lost_service_seconds")
            },
            rows=[
                ("availability" if load == MAIN else f"load {load}", _in_words(loads[load]))
                for load in told
                if load in loads and loads[load]["availability"] is not None
            ],
        )


def _in_words(figures: Mapping[str, Any]) -> str:
    lost = figures["lost_service_seconds"]
    row = f"{figures['availability']:.1%} of the arrivals answered in time"
    return row if lost is None else f"{row}; {lost:.2f} s of service lost"


def _figures(history: History, conditions: Conditions, load: str) -> dict[str, Any]:
    whole, affected = recorded_span(history, load), since_fault(history, conditions, load)
    unknown: dict[str, Any] = dict.fromkeys(AvailabilityChecker.fields)
    if whole is None or affected is None:
        return unknown
    arrivals, rate = history.arrivals(load), history.recorded[load].rate
    stalls, gaps = history.witness(load, "stall"), history.gaps(load)
    failed = failed_arrivals(arrivals, stalls, whole.end)
    counted = service_in(arrivals, failed, affected, rate, gaps)
    rest = Span(affected.begin, max(whole.end, affected.end))
    lost = service_in(arrivals, failed, rest, rate, gaps)
    width = width_of(whole)
    return {
        "availability": None if counted.share is None else round(counted.share, 5),
        "lost_service_seconds": round(lost.lost / rate, 3),
        "slices": {
            "begin": history.in_utc(whole.begin),
            "seconds": width,
            "shares": [_share(each) for each in slices_of(arrivals, whole, width)],
        },
    }


@dataclass(frozen=True)
class Service:
    """What became of the arrivals of a time."""

    due: int
    """Those of which something is known."""
    failed: int
    lost: float
    """The same of all that were due: those of which nothing is known failed as often as their
    neighbours."""
    of: float
    """All that were due, but for those in a time of which nothing is known."""

    @property
    def share(self) -> float | None:
        """Answered in time; None: nothing was due."""
        return 1 - self.lost / self.of if self.of else None


def service_in(
    arrivals: Arrivals,
    failed: Mask,
    span: Span,
    rate: float,
    gaps: list[tuple[int, int]],
) -> Service:
    """The arrivals that were due in a time, and those that failed; a hole in the record failed.

    `gaps`: from when to when (ns) nothing was recorded (`History.gaps`).
    """
    its = arrivals.due_between(span.begin, span.end)
    bad = failed[slice(*np.searchsorted(arrivals.due, [span.begin, span.end]).tolist())]
    cut = [(max(a, span.begin), min(b, span.end)) for a, b in gaps]
    cut = [(begin, end) for begin, end in cut if begin < end]
    nothing_known = np.zeros(len(its), np.bool_)
    for begin, end in cut:
        # Where all processes of a load were absent, what they should have made due is there.
        nothing_known[slice(*np.searchsorted(its.due, [begin, end]).tolist())] = True
    recorded = span.end - span.begin - sum(end - begin for begin, end in cut)
    # An arrival may lie on either side of each edge.
    expected = math.floor(rate * recorded / SECOND) - 1 - len(cut)
    holes = max(expected - int(np.count_nonzero(~nothing_known)), 0)
    unknown = its.unrecorded
    number, known = int(np.count_nonzero(bad)), len(its) - int(np.count_nonzero(unknown))
    guessed = unknown & ~nothing_known
    lost = number + _as_their_neighbours(bad, ~unknown, guessed)
    of = known + int(np.count_nonzero(guessed)) if known else 0
    return Service(known + holes, number + holes, lost + holes, of + holes)


def _as_their_neighbours(failed: Mask, known: Mask, which: Mask) -> float:
    """How many of some arrivals failed, if they did as the known ones before and after them."""
    places = np.flatnonzero(known)
    if not len(places) or not which.any():
        return 0.0
    return float(np.interp(np.flatnonzero(which), places, failed[places]).sum())


def _share(due: Arrivals) -> float | None:
    known = len(due) - int(np.count_nonzero(due.unrecorded))
    return round(int(np.count_nonzero(due.answered)) / known, 4) if known else None
