"""The timeline of a run so far, drawn by what draws that of the report."""

from __future__ import annotations

from dataclasses import replace

from chaosaws_kms_ext.history import END_OF_TIME, EventName
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.report.drawing import Drawing, Lane, Outage
from chaosaws_kms_ext.report.live.moment import Moment, Now
from chaosaws_kms_ext.report.live.tail import Tail
from chaosaws_kms_ext.report.marks import Band, Mark, bands_of, marks_of
from chaosaws_kms_ext.text import printable

__all__ = ["drawing_of"]

MOST_MARKS = 500
"""The newest bands and marks that are shown."""

LONGEST = 200
"""Letters of one."""


def drawing_of(tail: Tail, moment: Moment) -> Drawing | None:
    """None: nothing is recorded yet."""
    if tail.anchor is None:
        return None
    history = History({}, tail.events, {}, tail.anchor)
    steady = [now.steady for now in moment.loads.values() if now.steady is not None]
    zero = min(steady, default=tail.anchor.monotonic_ns)
    zero_is = "the load was steady" if steady else "the run began"
    begin, end = zero, max(moment.at, zero + 1)
    injected = history.first(EventName.INJECTED)
    if injected is not None:
        zero, zero_is = injected.at, "the fault was injected"
    lanes, times = [], list[tuple[str, int | None]]()
    for name, load in tail.loads.items():
        now = moment.loads[name]
        outages = _outages(now)
        for each in outages:
            times += [(f"{name}: impact", each.impact), (f"{name}: recovery", each.recovery)]
        until = END_OF_TIME if moment.fate.over else now.known_until
        lanes.append(Lane(name, load.drawn(begin, min(until, end)), outages))
    lanes.sort(key=lambda lane: list(moment.loads).index(lane.name))
    return Drawing(
        begin=begin,
        end=end,
        zero=zero,
        zero_is=zero_is,
        bands=[_shown(band) for band in _newest(bands_of(history, end))],
        marks=[_named(mark) for mark in marks_of(history, times)[-MOST_MARKS:]],
        lanes=lanes,
        utc=history.in_utc,
    )


def _outages(now: Now) -> list[Outage]:
    """From the first to the last, as the report has it."""
    if not now.outages:
        return []
    first, last = now.outages[0], now.outages[-1]
    return [Outage(first.begin, last.end, first.within, last.within)]


def _newest(bands: list[Band]) -> list[Band]:
    return sorted(bands, key=lambda band: band.begin)[-MOST_MARKS:]


def _shown(band: Band) -> Band:
    state, of = (printable(text[:LONGEST]) for text in (band.state, band.of))
    return replace(band, state=state, of=of)


def _named(mark: Mark) -> Mark:
    return replace(mark, what=printable(mark.what[: 3 * LONGEST]))
