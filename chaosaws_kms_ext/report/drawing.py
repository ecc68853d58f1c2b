"""What a picture of a run shows, on the page and in the terminal: loads, states and events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaosaws_kms_ext.checkers.key_events import KeyEvents
from chaosaws_kms_ext.checkers.outage import outage_of
from chaosaws_kms_ext.checkers.phases import recorded_span
from chaosaws_kms_ext.history import MAIN, SECOND, Conditions
from chaosaws_kms_ext.history.columns import Arrivals
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.report.marks import Band, Mark, bands_of, marks_of
from chaosaws_kms_ext.text import shortened

__all__ = ["Drawing", "Lane", "Outage", "drawing_of"]


@dataclass(frozen=True)
class Outage:
    """Instants in ns, bounds in seconds; None: not known."""

    impact: int | None
    recovery: int | None
    begin_bound: float
    end_bound: float


@dataclass(frozen=True)
class Lane:
    """One load."""

    name: str
    slices: Mapping[str, Any]
    """Of its arrivals, as the picture needs them (`report.slices`)."""
    outages: Sequence[Outage] = ()


@dataclass(frozen=True)
class Drawing:
    """What the timeline shows; instants are CLOCK_MONOTONIC ns."""

    begin: int
    end: int
    zero: int
    """The instant that is 0 on the axis."""
    zero_is: str
    """What happened then, in words."""
    bands: Sequence[Band]
    marks: Sequence[Mark]
    lanes: Sequence[Lane]
    utc: Any
    """An instant as UTC."""

    def at(self, instant: int) -> float:
        """An instant on the axis, seconds."""
        return (instant - self.zero) / SECOND


Slicing = Callable[[Arrivals, int, int], Mapping[str, Any]]
"""Arrivals, and from when to when (ns) they are cut into slices: the columns of a lane."""


RECOVERED = {
    "first_answer": "first answer",
    "half": "half answered",
    "all": "99 % answered",
    "normal_latency": "as fast as before",
}
"""What `recovery_curve` of summary.json says of each load."""


def drawing_of(
    history: History,
    conditions: Conditions,
    slicing: Slicing,
    summary: Mapping[str, Any] | None = None,
) -> Drawing | None:
    """A run as `slicing` cuts its loads; None: nothing was recorded of any load.

    `summary`: as summary.json has it; with it the steps of the recovery are marks as well.
    All loads are cut in the time from the first that was steady to the last that was stopped, each
    in its own.
    """
    spans = {load: recorded_span(history, load) for load in history.recorded}
    known = {load: span for load, span in spans.items() if span is not None}
    if not known:
        return None
    begin = min(span.begin for span in known.values())
    end = max(span.end for span in known.values())
    injected = KeyEvents.of(history).injected
    lanes, times = [], list[tuple[str, int | None]]()
    for load, span in known.items():
        seen, name = outage_of(history, conditions, load), shortened(load)
        outages = []
        if seen is not None and seen.impact is not None:
            bounds = (seen.begin_bound_seconds, seen.end_bound_seconds)
            outages = [Outage(seen.impact, seen.recovery, *bounds)]
            times += [(f"{name}: impact", seen.impact), (f"{name}: recovery", seen.recovery)]
        lanes.append(Lane(name, slicing(history.arrivals(load), span.begin, span.end), outages))
    return Drawing(
        begin=begin,
        end=end,
        zero=injected.at if injected else begin,
        zero_is="the fault was injected" if injected else "the load was steady",
        bands=bands_of(history, end),
        marks=marks_of(history, [*times, *_recovered(history, summary or {})]),
        lanes=lanes,
        utc=history.in_utc,
    )


def _recovered(history: History, summary: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    back = KeyEvents.of(history).put_back
    for load, its in ((MAIN, summary), *(summary.get("loads") or {}).items()):
        for name, seconds in (its.get("recovery_curve") or {}).items():
            if back is not None and seconds is not None:
                yield f"{shortened(load)}: {RECOVERED[name]}", back.at + round(seconds * SECOND)
