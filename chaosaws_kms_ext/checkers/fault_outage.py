"""The outage that followed the fault: when the database stopped answering, and when it was back.

It begins with the first outage window that ends after the fault, and ends with the last one: a
database that flaps is back when it stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chaosaws_kms_ext.checkers.edge_bounds import begin_within, end_within
from chaosaws_kms_ext.checkers.outage_windows import (
    Load,
    Window,
    failed_arrivals,
    scattered,
)
from chaosaws_kms_ext.checkers.percentile import rank_of_delays
from chaosaws_kms_ext.history import END_OF_TIME, SECOND, Operation
from chaosaws_kms_ext.history.columns import Arrivals, Attempts

__all__ = ["LONG_STALL", "Outage", "find_outage", "stall_in_words", "usual_delay"]

NO_ATTEMPTS = Attempts.of([])

LONG_STALL = 1.0
"""Seconds that the client may not have run (a stall): after a longer stall no figure is exact."""


@dataclass(frozen=True)
class Outage:
    """The outage of one load; instants are CLOCK_MONOTONIC ns."""

    impact: int | None
    """The begin of its first window."""
    recovery: int | None
    """The end of its last window."""
    answered_between: int
    """Arrivals answered after the impact and before the recovery: it flapped, or was partial, if
    there are any."""
    resolution_seconds: float
    begin_bound_seconds: float
    end_bound_seconds: float
    """How far the impact and the recovery can be off."""
    reason: str
    """Why `impact` or `recovery` is None; empty if neither is."""
    doubt: str = ""
    """Why the figures, although there, cannot be trusted."""
    windows: tuple[Window, ...] = ()
    """Those of the outage."""

    @property
    def error_bound_seconds(self) -> float:
        """The larger of both."""
        return max(self.begin_bound_seconds, self.end_bound_seconds)

    @property
    def seconds(self) -> float | None:
        """From the impact to the recovery."""
        if self.impact is None or self.recovery is None:
            return None
        return (self.recovery - self.impact) / SECOND


def find_outage(
    arrivals: Arrivals,
    load: Load,
    windows: Sequence[Window],
    *,
    fault_at: int,
    reconnect_spacing: float,
    gaps: Sequence[tuple[int, int]] = (),
    clock_error: float = 0.0,
    attempts: Attempts = NO_ATTEMPTS,
    showed: bool = False,
    back_at: int | None = None,
) -> Outage:
    """The outage that followed the fault at `fault_at` (the instant of AWS' answer, ns).

    `arrivals`: of one load, in order of `due`; `windows`: all of its outages; `reconnect_spacing`:
    seconds; `gaps`: from when to when (ns) nothing was recorded; `clock_error`: seconds by which an
    instant of an arrival can be off; `attempts`: to connect, in order;
    `showed`: whether the fault was seen elsewhere, so that whatever failed after it is its effect;
    `back_at`: when the key was put back.
    """
    bound = load.apart + reconnect_spacing + load.usual
    windows = [each for each in windows if each.end is None or each.end > fault_at]
    if showed:
        windows = [*_before_any(arrivals, load, fault_at, back_at, windows), *windows]
    if not windows:
        why = _why_none(arrivals, fault_at, load)
        return Outage(None, None, 0, load.apart, bound, bound, why)
    first, last = windows[0], windows[-1]
    slack = bound + clock_error + _longest(load.stalls, first.begin, fault_at)
    if first.begin < fault_at - round(slack * SECOND):
        before = "the database had stopped answering before the fault already"
        return Outage(None, None, 0, load.apart, bound, bound, before)
    end = int(arrivals.done[-1]) if last.end is None else last.end
    stall = _longest(load.stalls, first.begin - load.span, end + load.span)
    hidden = stall + clock_error + _unseen(arrivals, first.begin, end, gaps)
    if last.end is not None:
        bound = end_within(arrivals, load, last, attempts, reconnect_spacing)
    return Outage(
        impact=first.begin,
        recovery=last.end,
        answered_between=_answered_between(arrivals, first.begin, end),
        resolution_seconds=load.apart,
        begin_bound_seconds=begin_within(arrivals, load, first) + hidden,
        end_bound_seconds=bound + hidden,
        reason=_why_not_back(last),
        doubt=stall_in_words(stall) if stall > LONG_STALL else "",
        windows=tuple(windows),
    )


def _answered_between(arrivals: Arrivals, begin: int, end: int) -> int:
    """How many answers came after one instant and before another (ns)."""
    return sum(
        int(np.count_nonzero(its.answered & (begin < its.done) & (its.done < end)))
        for its in arrivals.blocks()
    )


def _before_any(
    arrivals: Arrivals, load: Load, fault_at: int, back_at: int | None, windows: Sequence[Window]
) -> list[Window]:
    """What failed on its own while the key was away, where no window began in that time."""
    first = windows[0].begin if windows else END_OF_TIME
    if windows and (back_at is None or first <= back_at):
        return []
    until = int(np.searchsorted(arrivals.due, first))
    few = scattered(arrivals.only(slice(0, until)), load, fault_at) if until else None
    return [few] if few is not None and (back_at is None or few.begin < back_at) else []


def _why_not_back(last: Window) -> str:
    """Why the last window has no end; empty if it has one."""
    if last.end is not None:
        return ""
    if last.answered_after:
        return "the record ends before enough arrivals were answered again"
    return "the database did not answer again"


def usual_delay(arrivals: Arrivals, until: int) -> float:
    """How long an answer took before an instant (ns), the client's own lateness included: the 99th
    percentile, seconds."""
    return (rank_of_delays(arrivals, 0.99, until) or 0) / SECOND


def stall_in_words(seconds: float) -> str:
    """A sentence about a stall: a time in which the load's own process did not run."""
    return f"the load's own process did not run for {seconds:.1f} s: the machine was too busy"


def _why_none(arrivals: Arrivals, fault_at: int, load: Load) -> str:
    if (stall := _longest(load.stalls, fault_at, END_OF_TIME)) > LONG_STALL:
        return stall_in_words(stall)
    failed = failed_arrivals(arrivals, load.stalls, load.stopped) & (arrivals.due >= fault_at)
    few = f" ({number} arrivals failed)" if (number := np.count_nonzero(failed)) else ""
    return f"the database went on answering after the fault: no outage was seen{few}"


def _unseen(arrivals: Arrivals, begin: int, end: int, gaps: Sequence[tuple[int, int]]) -> float:
    """The longest gap in the record, seconds, in which the outage may have begun or ended.

    One that lies between two arrivals without an answer hides neither.
    """
    failed = arrivals.due[~arrivals.answered & ~arrivals.unrecorded]
    failed = failed[(begin <= failed) & (failed < end)]
    hiding = [
        until - since
        for since, until in gaps
        if until > begin and since < end
        if not (np.any(failed < since) and np.any(failed >= until))
    ]
    return max(hiding, default=0) / SECOND


def _longest(stalls: Sequence[Operation], begin: int, end: int) -> float:
    """The longest stall between two instants, seconds."""
    found = [o.done - o.due for o in stalls if o.done > begin and o.due < end]
    return max(found, default=0) / SECOND
