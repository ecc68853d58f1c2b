"""When answers came, and came late: how long, and how late at worst."""

from __future__ import annotations

import math
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
    undisturbed_until,
)
from chaosaws_kms_ext.checkers.objectives import EachLoad, Objective
from chaosaws_kms_ext.checkers.percentile import nearest_rank, rank_of_delays
from chaosaws_kms_ext.checkers.phases import Span, recorded_span
from chaosaws_kms_ext.checkers.windows import windows_of
from chaosaws_kms_ext.history import END_OF_TIME, MAIN, SECOND, Conditions, EventName, Utc
from chaosaws_kms_ext.history.columns import Arrivals
from chaosaws_kms_ext.history.history import History

__all__ = ["Degraded", "Slice", "latency_slices", "normal_latency", "slice_width"]

FACTOR = 5.0
"""Times the 99th percentile before the fault: CHAOS_LATENCY_LIMIT sets another limit."""
FEWEST = 100
"""Arrivals in a slice: with fewer, its 99th percentile is that of one arrival."""


@dataclass(frozen=True)
class Slice:
    """A piece of the record."""

    span: Span
    p99: int | None
    """Of the arrivals due in it that were answered, ns; None: none was."""


class Late(TypedDict):
    """A time in which answers came late."""

    begin: Utc
    end: Utc
    seconds: float
    worst_p99_ms: float


@checker
class Degraded(Checker):
    """Looks at the 99th percentile slice by slice, outside the outages."""

    name = "degraded"
    place = 71
    objectives = (Objective("degraded", "degraded_seconds", None, "seconds"),)
    fields = {
        "degraded": Field(
            list[Late] | None,
            "each time outside the outages in which answers came late: `begin`, `end` (UTC), "
            "`seconds`, `worst_p99_ms`. Late: the 99th percentile of 100 arrivals, or of a "
            "second, is above `latency_limit_ms`",
            of_load=True,
        ),
        "degraded_seconds": Field(float | None, "all of them together", of_load=True),
        "latency_limit_ms": Field(
            float | None,
            "CHAOS_LATENCY_LIMIT, or five times the 99th percentile before the fault (without "
            "one, the median of all slices)",
            of_load=True,
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Of each load, from when it was steady until it was stopped."""
        loads = {load: _of(history, conditions, load) for load in every_load(history)}
        found = loads[MAIN]["degraded"] or []
        worst = max((each["worst_p99_ms"] for each in found), default=0.0)
        seconds = loads[MAIN]["degraded_seconds"]
        each = {load: loads[load]["degraded_seconds"] for load in hit_loads(history, conditions)}
        row = f"{seconds} s over {loads[MAIN]['latency_limit_ms']} ms; p99 at worst {worst} ms"
        return Result(
            loads=loads,
            measured={"degraded_seconds": EachLoad.of(each)},
            rows=[("degraded", row)] if found else (),
        )


def _of(history: History, conditions: Conditions, load: str) -> dict[str, Any]:
    whole = recorded_span(history, load)
    if whole is None:
        return dict.fromkeys(Degraded.fields)
    slices = latency_slices(history.arrivals(load), whole, slice_width(history.recorded[load].rate))
    normal = normal_latency(history, load, slices)
    limit = conditions.settings.latency_limit * 1e6 or (None if normal is None else FACTOR * normal)
    if limit is None:
        return dict.fromkeys(Degraded.fields)
    outages = [
        Span(each.begin, END_OF_TIME if each.end is None else each.end)
        for each in windows_of(history, conditions, load) or ()
    ]
    late = [
        each
        for each in slices
        if each.p99 is not None
        and each.p99 > limit
        and not any(each.span.begin < o.end and o.begin < each.span.end for o in outages)
    ]
    found = _joined(late)
    return {
        "degraded": [
            {
                "begin": history.in_utc(each.span.begin),
                "end": history.in_utc(each.span.end),
                "seconds": round(each.span.seconds, 3),
                "worst_p99_ms": _ms(each.p99 or 0),
            }
            for each in found
        ],
        "degraded_seconds": round(sum(each.span.seconds for each in found), 3),
        "latency_limit_ms": _ms(limit),
    }


def slice_width(rate: float) -> float:
    """Seconds of a slice: those of 100 arrivals, and a second at least."""
    return max(1.0, FEWEST / rate)


def latency_slices(arrivals: Arrivals, span: Span, width: float) -> list[Slice]:
    """The record in slices of `width` seconds; what is left at the end is none."""
    step = round(width * SECOND)
    edges = span.begin + np.arange(math.floor((span.end - span.begin) / step) + 1) * step
    places = np.searchsorted(arrivals.due, edges).tolist()
    found = []
    for number in range(len(places) - 1):
        its = arrivals.only(slice(places[number], places[number + 1]))
        p99 = nearest_rank(its.took(its.answered), 0.99)
        found.append(Slice(Span(int(edges[number]), int(edges[number + 1])), p99))
    return found


def normal_latency(history: History, load: str, slices: list[Slice]) -> int | None:
    """The 99th percentile when nothing is wrong, ns: before the fault, or in the median slice."""
    arrivals, injected = history.arrivals(load), history.first(EventName.INJECTED)
    whole = recorded_span(history, load)
    if injected is not None and whole is not None:
        before = arrivals.due_between(whole.begin, undisturbed_until(history, injected.at))
        if p99 := rank_of_delays(before, 0.99):
            return p99
    known = np.array([each.p99 for each in slices if each.p99 is not None], np.int64)
    return nearest_rank(known, 0.5)


def _joined(slices: list[Slice]) -> list[Slice]:
    """Those that follow each other as one, with the worst of them."""
    joined: list[Slice] = []
    for each in slices:
        if joined and joined[-1].span.end == each.span.begin:
            last = joined.pop()
            span = Span(last.span.begin, each.span.end)
            each = Slice(span, max(last.p99 or 0, each.p99 or 0))
        joined.append(each)
    return joined


def _ms(nanoseconds: float) -> float:
    return round(nanoseconds / 1e6, 3)
