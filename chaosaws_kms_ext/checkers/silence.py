"""When the database stopped answering, when it answered again, and how exact that is.

A *silence* is a time without any answer in which at least one arrival was due that got none. The
impact is the begin of the first silence that is longer than a short disturbance and ends after the
fault. The database is back with the first answer of the first window in which 99 % of all arrivals
were answered; the outage is what lies between. A partial outage, in which some arrivals are still
answered, has no such edges: it is reported, and not measured.

A *stall* is a time in which the load's own process did not run, since the machine was too busy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from chaosaws_kms_ext.checkers.percentile import nearest_rank
from chaosaws_kms_ext.history import SECOND, Operation, Outcome
from chaosaws_kms_ext.history.columns import CODES, Arrivals, Mask

__all__ = ["ANSWERED", "LONG_STALL", "Outage", "find_outage", "stall_in_words"]

ANSWERED = 0.99
"""The share of arrivals that have to be answered."""

SHORT_DISTURBANCE = 5
"""So many unanswered arrivals before a silence are no partial outage: operations that were under
way, or a short disturbance."""

LONG_STALL = 1.0
"""Seconds: after a stall that is longer, a figure cannot be used."""


@dataclass(frozen=True)
class Outage:
    """The outage of one load; instants are CLOCK_MONOTONIC ns."""

    impact: int | None
    """The last answer before."""
    recovery: int | None
    """The first answer of the first window that was answered again."""
    answered_between: int
    """Arrivals answered after the impact and before the recovery: it flapped if there are any."""
    resolution_seconds: float
    error_bound_seconds: float
    """How far instants can be off: arrivals are that far apart, attempts to reconnect are, and an
    answer takes that long."""
    reason: str
    """Why `impact` or `recovery` is None; empty if neither is."""
    doubt: str = ""
    """Why the figures, although there, cannot be trusted."""

    @property
    def seconds(self) -> float | None:
        """From the last answer before to the first answer after."""
        if self.impact is None or self.recovery is None:
            return None
        return (self.recovery - self.impact) / SECOND


def find_outage(
    arrivals: Arrivals,
    *,
    rate: float,
    fault_at: int,
    window: float,
    reconnect_spacing: float,
    stalls: Sequence[Operation] = (),
    gaps: Sequence[tuple[int, int]] = (),
) -> Outage:
    """The outage that followed the fault at `fault_at` (the instant of AWS' answer, ns).

    `arrivals`: of one load, in order of `due`; `rate`: arrivals a second; `window` and
    `reconnect_spacing`: seconds; `stalls`: when the client itself did not run; `gaps`: from when to
    when (ns) nothing was recorded.
    """
    # Operations that a load cut when it died: the database is not to blame for them.
    cut = max((since for since, _ in gaps), default=0)
    aborted = (arrivals.outcome == CODES[Outcome.ABORTED]) & (arrivals.done <= cut)
    if aborted.any():
        arrivals = arrivals.only(~aborted)
    span = round(window * SECOND)
    bound = 1 / rate + reconnect_spacing + _delay(arrivals, fault_at)
    silence = _first_silence(arrivals, fault_at, span)
    if silence is None:
        return Outage(None, None, 0, 1 / rate, bound, _why_none(arrivals, fault_at, stalls))
    if silence < fault_at - round(bound * SECOND):
        before = "the database had stopped answering before the fault already"
        return Outage(None, None, 0, 1 / rate, bound, before)
    recovery, reason = _recovery(arrivals, silence, span, rate)
    end = int(arrivals.done[-1]) if recovery is None else recovery
    stall = _longest(stalls, silence - span, end + span)
    between = arrivals.answered & (silence < arrivals.done) & (arrivals.done < end)
    return Outage(
        impact=silence,
        recovery=recovery,
        answered_between=int(np.count_nonzero(between)),
        resolution_seconds=1 / rate,
        error_bound_seconds=bound + stall + _unseen(arrivals, silence, end, gaps),
        reason=reason,
        doubt=_doubt(_failed(arrivals, fault_at, silence, stalls), stall),
    )


def _why_none(arrivals: Arrivals, fault_at: int, stalls: Sequence[Operation]) -> str:
    failed = _failed(arrivals, fault_at, 2**63, stalls)
    if failed > SHORT_DISTURBANCE:
        return (
            f"{failed} arrivals failed after the fault, while others were still answered: a "
            "partial outage is not measured"
        )
    if (stall := _longest(stalls, fault_at, 2**63)) > LONG_STALL:
        return stall_in_words(stall)
    return "the database went on answering after the fault: no outage was seen"


def _unseen(arrivals: Arrivals, silence: int, end: int, gaps: Sequence[tuple[int, int]]) -> float:
    """The longest gap in the record, seconds, in which the outage may have begun or ended.

    One that lies between two arrivals without an answer hides neither.
    """
    failed = arrivals.due[~arrivals.answered]
    failed = failed[(silence <= failed) & (failed < end)]
    hiding = [
        until - since
        for since, until in gaps
        if until > silence and since < end
        if not (np.any(failed < since) and np.any(failed >= until))
    ]
    return max(hiding, default=0) / SECOND


def stall_in_words(seconds: float) -> str:
    """That the load's own process stalled, in a sentence."""
    return f"the load's own process did not run for {seconds:.1f} s: the machine was too busy"


def _failed(arrivals: Arrivals, begin: int, end: int, stalls: Sequence[Operation]) -> int:
    """The number of arrivals that were not answered, without those during a stall of the client."""
    failed = (begin <= arrivals.due) & (arrivals.due < end) & ~arrivals.answered
    for stall in stalls:
        failed &= (arrivals.done < stall.due) | (arrivals.due > stall.done)
    return int(np.count_nonzero(failed))


def _longest(stalls: Sequence[Operation], begin: int, end: int) -> float:
    """The longest stall between two instants, seconds."""
    found = [o.done - o.due for o in stalls if o.done > begin and o.due < end]
    return max(found, default=0) / SECOND


def _doubt(failed_before: int, stall: float) -> str:
    if stall > LONG_STALL:
        return stall_in_words(stall)
    if failed_before > SHORT_DISTURBANCE:
        return (
            f"{failed_before} arrivals had failed before the database stopped answering: the "
            "outage began earlier than it could be measured"
        )
    return ""


def _first_silence(arrivals: Arrivals, fault_at: int, span: int) -> int | None:
    """The begin of the first silence of at least `span` that ends after `fault_at`."""
    unanswered = arrivals.due[~arrivals.answered]
    for begin, end in _silences(arrivals, fault_at, span):
        first = np.searchsorted(unanswered, begin)
        if first < len(unanswered) and unanswered[first] <= end:
            return begin
    return None


def _silences(arrivals: Arrivals, fault_at: int, span: int) -> Iterator[tuple[int, int]]:
    """The times of at least `span` without an answer that end after `fault_at`, in order."""
    if not arrivals.answered.any():
        return
    before = arrivals.answered & (arrivals.done <= fault_at)
    answers = arrivals.done[arrivals.answered & ~before]
    answers.sort()
    last = int(arrivals.done.max())
    found = []
    if before.any():
        latest = int(np.max(arrivals.done, where=before, initial=0))
        found.append((latest, int(answers[0]) if len(answers) else last))
    for place in np.flatnonzero(np.diff(answers) >= span).tolist():
        found.append((int(answers[place]), int(answers[place + 1])))
    if len(answers):
        found.append((int(answers[-1]), last))
    yield from ((begin, end) for begin, end in found if end > fault_at and end - begin >= span)


STARTS = 1 << 18
"""Windows that are looked at together: all of them would need much memory."""


def _recovery(arrivals: Arrivals, impact: int, span: int, rate: float) -> tuple[int | None, str]:
    """The first answer of the first whole window that was answered, from the impact on."""
    dues = arrivals.due
    expected = math.floor(rate * span / SECOND) - 1
    for first in range(int(np.searchsorted(dues, impact)), len(dues), STARTS):
        begins = first + np.flatnonzero(arrivals.answered[first : first + STARTS])
        if not len(begins):
            continue
        ends = np.searchsorted(dues, dues[begins] + span)
        so_far = np.concatenate(([0], np.cumsum(arrivals.answered[first : ends[-1]])))
        # A hole in the record counts as not answered.
        due = np.maximum(ends - begins, expected)
        whole = ends < len(dues)
        share = (so_far[ends - first] - so_far[begins - first]) / due
        back = np.flatnonzero(whole & (share >= ANSWERED))
        if len(back):
            window = arrivals.only(slice(begins[back[0]], ends[back[0]]))
            return int(window.done[window.answered].min()), ""
        if not whole.all():
            return None, "the record ends before enough arrivals were answered again"
    return None, "the database did not answer again"


def _delay(arrivals: Arrivals, fault_at: int) -> float:
    """How long an answer took before the fault, the client's own lateness included: the 99th
    percentile, seconds."""
    before: Mask = (arrivals.done < fault_at) & arrivals.answered
    return (nearest_rank(arrivals.took(before), 0.99) or 0) / SECOND
