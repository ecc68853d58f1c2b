"""The outages of a load: from when to when arrivals were not answered, and how many of them.

A stretch of the record is *good* if it is as long as a given time (10 AWS seconds, or 20 arrivals
if those take longer) and 99 % of its arrivals were answered. An outage window is a time that no
good stretch covers, and in which arrivals failed. Its depth is the share that was not answered: 1
is a total outage.

The begin of a window is the last answer before it, if all answers stop there. If others go on, it
is the first arrival that failed. The end is the first answer after a time without any, or the first
late answer of a session that hung, or the first answer after the last arrival that failed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from chaosaws_kms_ext.history import END_OF_TIME, SECOND, Operation, Outcome
from chaosaws_kms_ext.history.columns import CODES, Arrivals, Instants, Mask

__all__ = [
    "ANSWERED",
    "STARTS",
    "Load",
    "Window",
    "failed_arrivals",
    "find_windows",
    "number_of",
    "place_of",
    "scattered",
]

ANSWERED = 0.99
"""The share of arrivals that have to be answered."""

FEWEST, SHORTEST = 10, 0.1
"""Arrivals that fail in a window at least, and the seconds of service that those are."""

FEWEST_SCATTERED, TIMES_USUAL = 3, 3
"""Arrivals without an answer that are an effect of a fault at least, and how many times as often as
before it."""

NEAR = 20
"""Arrivals between two that failed, which belong together in any case."""

IN_FLIGHT = 5
"""Arrivals that may have failed before all answers stop: they were on their way."""

STOPS_WITHIN = SECOND
"""ns before a load is stopped in which an arrival may wait for a user although all is well."""

STARTS = 1 << 18
"""Stretches that are looked at together: all of them would need much memory."""


@dataclass(frozen=True)
class Window:
    """One outage; instants are CLOCK_MONOTONIC ns."""

    begin: int
    end: int | None
    """None: it lasted until the record ended, or too little was recorded after it."""
    failed: int
    """Arrivals that were not answered in time."""
    depth: float
    """The share of its arrivals that were not answered while it lasted."""
    answered_after: bool
    """Whether anything was answered after the last arrival that failed."""


@dataclass(frozen=True)
class Load:
    """What is known of a load besides its arrivals."""

    rate: float
    """Arrivals a second."""
    window: float
    """Seconds of a good stretch."""
    deadline: float
    """Seconds in which an answer comes in time."""
    usual: float
    """Seconds that an answer takes when nothing is wrong: the 99th percentile."""
    stalls: Sequence[Operation] = ()
    """When the load's own process did not run."""
    stopped: int = END_OF_TIME
    """When it was stopped, CLOCK_MONOTONIC ns."""
    present: float = 1.0
    """The least share of its processes that recorded something at once."""
    lags: Sequence[Operation] = ()
    """How late its processes woke up, second by second."""

    @property
    def apart(self) -> float:
        """Seconds between two arrivals that were recorded."""
        return 1 / (self.rate * self.present)

    @property
    def span(self) -> int:
        """The good stretch in ns."""
        return round(self.window * SECOND)

    @property
    def silence(self) -> int:
        """ns without an answer that do not come about by chance."""
        return round(max(10 * self.apart, 2 * self.usual + self.apart) * SECOND)

    @property
    def in_flight(self) -> int:
        """ns in which an arrival that fails may have been due before all answers stopped."""
        return round((3 * self.usual + 5 / self.rate) * SECOND)

    @property
    def late(self) -> int:
        """ns after which an answer is one of a session that hung."""
        return round(max(5 * self.usual, 10 / self.rate, 0.1) * SECOND)


def failed_arrivals(
    arrivals: Arrivals, stalls: Sequence[Operation], stopped: int = END_OF_TIME
) -> Mask:
    """Which arrivals were not answered, as far as that is known, and the load is not to blame: it
    did not run (a stall), or it was stopped (at `stopped`, ns) before somebody took them."""
    failed: Mask = arrivals.outcome != CODES[Outcome.OK]
    failed &= arrivals.outcome != CODES[Outcome.UNRECORDED]
    failed &= arrivals.outcome != CODES[Outcome.ABORTED]
    if stopped < END_OF_TIME:
        near = slice(place_of(arrivals, stopped - STOPS_WITHIN), None)
        its = arrivals.only(near)
        late = (its.done >= stopped) & (its.outcome == CODES[Outcome.UNSENT])
        failed[near] &= ~late & (its.due < stopped)
    for stall in stalls:
        begun = slice(place_of(arrivals, stall.done + 1))
        failed[begun] &= arrivals.done[begun] < stall.due
    return failed


def find_windows(arrivals: Arrivals, load: Load) -> list[Window]:
    """The outage windows of a load, in order; `arrivals` in the order in which they were due."""
    failed = failed_arrivals(arrivals, load.stalls, load.stopped)
    places = np.flatnonzero(failed)
    if not len(places):
        return []
    covered = _covered(arrivals, failed, load)
    return [
        _window(arrivals, failed, load, first, last, stop)
        for first, last, stop in _runs(covered, places, load)
    ]


def scattered(arrivals: Arrivals, load: Load, since: int) -> Window | None:
    """What failed from an instant (ns) on as one window, where it is clearly more than before.

    None: it is not. For a fault that showed, where no window was found.

    Only what had no answer counts: a query that the server rejects is rejected at any time.
    """
    failed = failed_arrivals(arrivals, load.stalls, load.stopped)
    failed &= arrivals.outcome != CODES[Outcome.ERROR]
    split = place_of(arrivals, since)
    before, after = np.count_nonzero(failed[:split]), np.count_nonzero(failed[split:])
    usual = before / max(split, 1) * max(len(arrivals) - split, 1)
    if after < FEWEST_SCATTERED or after <= TIMES_USUAL * usual:
        return None
    places = split + np.flatnonzero(failed[split:])
    first, last = int(places[0]), int(places[-1])
    return _window(arrivals, failed, load, first, last, last + 1)


def _covered(arrivals: Arrivals, failed: Mask, load: Load) -> Mask:
    """Which arrivals lie in a good stretch."""
    due, number = arrivals.due, len(arrivals)
    expected = math.floor(load.rate * load.span / SECOND) - 1
    covered = np.zeros(number, np.bool_)
    unknown = arrivals.unrecorded if arrivals.unrecorded.any() else None
    reach = 0
    for first in range(0, number, STARTS):
        block = covered[first : first + STARTS]
        if stop := _all_well(arrivals, load, first, first + len(block), expected):
            block[:] = True
            reach = stop
            continue
        ends_of = np.zeros(len(block), np.int64)
        begins = first + np.flatnonzero(arrivals.answered[first : first + STARTS])
        if len(begins):
            ends = np.searchsorted(due, due[begins] + load.span)
            well = number_of(~failed[first : ends[-1]], begins - first, ends - first)
            # A hole in the record counts as not answered; what is not known does not count.
            whole = np.maximum(ends - begins, expected)
            if unknown is not None:
                not_known = number_of(unknown[first : ends[-1]], begins - first, ends - first)
                well, whole = well - not_known, np.maximum(whole - not_known, 1)
            share = well / whole
            good = (ends < number) & (share >= ANSWERED)
            ends_of[begins[good] - first] = ends[good]
        ends_of[0] = max(ends_of[0], reach)
        np.maximum.accumulate(ends_of, out=ends_of)
        block[:] = ends_of > np.arange(first, first + len(block))
        reach = int(ends_of[-1])
    return covered


def _all_well(arrivals: Arrivals, load: Load, first: int, last: int, expected: int) -> int:
    """Where the last of the stretches ends that begin at these arrivals, if every arrival in them
    was answered and none is missing; 0: one may not be good, and each has to be looked at."""
    due = arrivals.due
    stop = int(np.searchsorted(due, due[last - 1] + load.span))
    if stop == len(arrivals) or not arrivals.answered[first:stop].all():
        return 0
    apart = int(np.diff(due[first:stop]).max(initial=0))
    return stop if apart * ANSWERED * expected <= load.span else 0


def number_of(which: Mask, begins: Instants, ends: Instants) -> Instants:
    """How many there are from each place to another."""
    so_far = np.concatenate(([0], np.cumsum(which)))
    found: Instants = so_far[ends] - so_far[begins]
    return found


def _runs(covered: Mask, places: Instants, load: Load) -> Iterator[tuple[int, int, int]]:
    """Of each window: its first and its last arrival that failed, and where no stretch covers on.

    `places`: of all arrivals that failed.
    """
    edges = 1 + np.flatnonzero(covered[1:] != covered[:-1])
    starts, stops = edges[~covered[edges]], edges[covered[edges]]
    if not covered[0]:
        starts = np.concatenate(([0], starts))
    if not covered[-1]:
        stops = np.append(stops, len(covered))
    # Those that are near to each other belong together.
    heads = np.concatenate(([0], 1 + np.flatnonzero(np.diff(places) > NEAR)))
    tails = np.append(heads[1:], len(places)) - 1
    first, last = np.searchsorted(places, starts), np.searchsorted(places, stops) - 1
    some = first <= last
    first, last, stops = first[some], last[some], stops[some]
    first = heads[np.searchsorted(heads, first, side="right") - 1]
    last = tails[np.searchsorted(tails, last)]
    fewest = max(FEWEST, load.rate * SHORTEST)
    merged: list[list[int]] = []
    for one, other, stop in zip(first.tolist(), last.tolist(), stops.tolist(), strict=True):
        if merged and one <= merged[-1][1]:
            merged[-1][1:] = [max(other, merged[-1][1]), stop]
        else:
            merged.append([one, other, stop])
    for one, other, stop in merged:
        if other - one + 1 >= fewest:
            yield int(places[one]), int(places[other]), stop


def _window(
    arrivals: Arrivals, failed: Mask, load: Load, first: int, last: int, stop: int
) -> Window:
    """The window from one arrival that failed to another, by their places; at `stop` the next good
    stretch begins."""
    begin = _begin(arrivals, failed, load, first)
    again = max(stop, last + 1)
    end = _end(arrivals, load, last, again) if stop < len(arrivals) else None
    if end is not None and begin >= end:  # that silence is of a later outage
        begin = int(arrivals.due[first])
    edge = end if end is not None else int(arrivals.done[first:].max())
    stretch_end = place_of(arrivals, edge + _deadline(load))
    its = arrivals.only(slice(place_of(arrivals, begin - _deadline(load)), stretch_end))
    answered = np.count_nonzero(its.answered & (begin < its.done) & (its.done < edge))
    not_known = np.count_nonzero(its.unrecorded & (begin < its.due) & (its.due < edge))
    due = max((edge - begin) / SECOND * load.rate - not_known, 1.0)
    return Window(
        begin=begin,
        end=end,
        failed=int(np.count_nonzero(failed[first : last + 1])),
        depth=round(float(min(max(1 - answered / due, 0.0), 1.0)), 3),
        answered_after=bool(arrivals.answered[last + 1 :].any()),
    )


def _begin(arrivals: Arrivals, failed: Mask, load: Load, first: int) -> int:
    """The last answer before all stop, or when the first arrival that failed was due."""
    due = int(arrivals.due[first])
    latest = due + load.in_flight
    near = arrivals.only(
        slice(
            place_of(arrivals, due - 2 * _deadline(load)), place_of(arrivals, latest + load.silence)
        )
    )
    answers = near.done[near.answered]
    answers = np.sort(answers[answers <= latest + load.silence])
    if not len(answers):
        return due
    following = np.append(answers[1:], END_OF_TIME)
    found = np.flatnonzero(
        (following > due) & (following - answers >= load.silence) & (answers <= latest)
    )
    if not len(found):
        return due
    silent_from = int(answers[found[0]])
    stop = max(place_of(arrivals, silent_from - load.in_flight), first)
    before = np.count_nonzero(failed[first:stop])
    return silent_from if before <= IN_FLIGHT else due


def _end(arrivals: Arrivals, load: Load, last: int, again: int) -> int | None:
    """The end of a window whose last arrival that failed is `last`; see the module. `again`: the
    place of the first arrival of the good stretch after it."""
    since = int(arrivals.due[last])
    until = max(int(arrivals.due[again]) + load.span, since + _deadline(load))
    following = arrivals.only(slice(again, place_of(arrivals, until)))
    if not following.answered.any():
        return None
    first = int(following.done[following.answered].min())
    before = arrivals.only(slice(place_of(arrivals, since - 2 * _deadline(load)), again))
    earlier = np.sort(before.done[before.answered & (before.done < first)])
    back = _end_of_silence(np.append(earlier, first), load)
    if back is None or back > since:  # what failed was due before that
        return first if back is None else back
    after = arrivals.only(slice(last + 1, place_of(arrivals, since + _deadline(load))))
    hung = after.answered & (after.done - after.due > load.late)
    return int(after.done[hung].min()) if hung.any() else first


def _end_of_silence(answers: Instants, load: Load) -> int | None:
    """The first answer after the last time without any; None: all there was is one answer."""
    if len(answers) < 2:
        return None
    silent = np.flatnonzero(np.diff(answers) >= load.silence)
    return int(answers[silent[-1] + 1]) if len(silent) else int(answers[0])


def _deadline(load: Load) -> int:
    return round(load.deadline * SECOND)


def place_of(arrivals: Arrivals, instant: int) -> int:
    """Of the first arrival that was due at `instant` or later."""
    return int(np.searchsorted(arrivals.due, instant))
