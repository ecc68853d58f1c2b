"""What is known of a run at one instant, beside its counts: events, outages, what is answered."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from chaosaws_kms_ext.history import END_OF_TIME, MAIN, SECOND, Event, EventName
from chaosaws_kms_ext.report.live.fate import Fate, fate_of
from chaosaws_kms_ext.report.live.load import MOST_TICKS, LiveLoad
from chaosaws_kms_ext.report.live.outages import Seen, find_outages
from chaosaws_kms_ext.report.live.tail import Tail

__all__ = ["Moment", "Now", "moment_of"]

WRITTEN = 0.6
"""Seconds after which an operation that has ended is in the records."""

RATE_OVER = SECOND
"""ns over which a rate is counted."""


@dataclass(frozen=True)
class Now:
    """A load now."""

    steady: int | None
    """Since when, CLOCK_MONOTONIC ns; None: it is not yet."""
    known_until: int
    """What was due before that instant is recorded, as far as it ever will be."""
    outages: Sequence[Seen] = ()
    """Those after the first fault."""
    answered: float | None = None
    """A second; None: it does not run."""
    silent: float = 0.0
    """Seconds since its last record, if that is longer than it should be."""


@dataclass(frozen=True)
class Moment:
    """A run now."""

    at: int
    """CLOCK_MONOTONIC ns; of a run that does not go on, the last instant of it."""
    fate: Fate
    injected: Event | None = None
    """The last time that a key was taken away."""
    put_back: Event | None = None
    """That it was put back."""
    loads: Mapping[str, Now] = field(default_factory=dict)

    @property
    def main(self) -> Now | None:
        """The load that the run is about."""
        return self.loads.get(MAIN) or next(iter(self.loads.values()), None)


def moment_of(tail: Tail) -> Moment:
    """This instant of the run that is followed."""
    fate = fate_of(tail)
    goes_on = fate.kind == "going-on" and fate.here
    at = time.monotonic_ns() if goes_on else tail.newest
    first = _first(tail.events, EventName.INJECTED)
    loads = {name: _now(tail, name, load, at, first) for name, load in tail.loads.items()}
    injected, back = first, None
    for event in tail.events:
        if event.name == EventName.INJECTED and (injected is None or back is not None):
            injected, back = event, None
        elif event.name == EventName.PUT_BACK and injected is not None:
            back = back or event
    return Moment(at, fate, injected, back, dict(sorted(loads.items(), key=_main_first)))


def _main_first(item: tuple[str, Now]) -> tuple[bool, str]:
    return item[0] != MAIN, item[0]


def _first(events: Sequence[Event], name: str, load: str = "") -> Event | None:
    found = (e for e in events if e.name == name and (not load or e.details.get("load") == load))
    return next(found, None)


def _now(tail: Tail, name: str, load: LiveLoad, at: int, injected: Event | None) -> Now:
    steady = _first(tail.events, EventName.LOAD_STEADY, name)
    stopped = _first(tail.events, EventName.LOAD_STOPPED, name)
    settings = tail.conditions.settings if tail.conditions else None
    deadline = settings.query_deadline if settings else 2.0
    if stopped:
        until = stopped.at
    else:
        begin = steady.at if steady else 0
        usual = load.usual(begin, injected.at if injected else END_OF_TIME)
        until = at - round((WRITTEN + min(2 * usual + 0.1, deadline)) * SECOND)
    if steady is None or settings is None:
        return Now(None, until, (), None if stopped else _answered(load, until))
    window = settings.steady_window_at(max(load.rate, 1e-3))
    found = _outages(load, steady.at, until, window)
    if injected is None:
        found = []
    else:
        found = [each for each in found if each.end is None or each.end > injected.at]
    quiet = (at - max(load.newest, steady.at)) / SECOND
    usual_quiet = WRITTEN + deadline + 5 / max(load.rate, 1e-3) + 2
    silent = 0.0 if stopped or quiet < usual_quiet else quiet
    return Now(steady.at, until, found, None if stopped else _answered(load, until), silent)


def _outages(load: LiveLoad, begin: int, until: int, window: float) -> Sequence[Seen]:
    edges = load.ticks.edges
    first = int(np.searchsorted(edges, begin))
    if until <= begin or not load.ticks.length or load.rate <= 0 or first >= len(edges):
        return []
    # Ticks of which nothing at all is recorded have no row yet.
    number = min(max((until - int(edges[first])) // load.ticks.width, 0), 2 * MOST_TICKS)
    columns = []
    for name in ("answered", "failed", "answers"):
        its = load.ticks[name][first : first + number, 0]
        columns.append(np.concatenate((its, np.zeros(number - len(its), np.int64))))
    return find_outages(
        *columns, begin=int(edges[first]), tick=load.ticks.width, rate=load.rate, window=window
    )


def _answered(load: LiveLoad, until: int) -> float:
    """Arrivals a second of those that were due in the last one, and are answered."""
    over = max(RATE_OVER, load.ticks.width)
    edges = load.ticks.edges
    first = int(np.searchsorted(edges[:-1], until - over))
    end = int(np.searchsorted(edges[1:], until, "right"))
    whole = max(over // load.ticks.width - 1, 1)  # one may lie at an edge
    counted = load.ticks["answered"][max(first, end - whole) : end, 0].sum()
    return int(counted) / (whole * load.ticks.width / SECOND)
