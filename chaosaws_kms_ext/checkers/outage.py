"""When the database stopped answering, when it answered again, and how exact that is.

A *silence* is a time without any answer in which at least one arrival was due that got none. The
impact is the begin of the first silence that is long enough to be no hiccup and ends after the
fault. The database is back with the first answer of the first window in which 99 % of all arrivals
were answered; the outage is what lies between.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from chaosaws_kms_ext.history import Operation, Outcome

__all__ = ["ANSWERED", "Outage", "judge"]

ANSWERED = 0.99
"""The share of arrivals that have to be answered."""

FEWEST_ARRIVALS = 20
SECOND = 1_000_000_000


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

    @property
    def seconds(self) -> float | None:
        """From the last answer before to the first answer after."""
        if self.impact is None or self.recovery is None:
            return None
        return (self.recovery - self.impact) / SECOND


def judge(
    arrivals: Sequence[Operation],
    *,
    rate: float,
    fault_at: int,
    window: float,
    reconnect_spacing: float,
) -> Outage:
    """The outage that followed the fault at `fault_at` (the instant of AWS' answer, ns).

    `arrivals`: of one load, in order of `due`; `rate`: arrivals a second; `window` and
    `reconnect_spacing`: seconds.
    """
    span = round(max(window, FEWEST_ARRIVALS / rate) * SECOND)
    resolution = 1 / rate
    bound = resolution + reconnect_spacing + _delay(arrivals, fault_at)

    def result(impact: int | None, recovery: int | None, between: int, reason: str) -> Outage:
        return Outage(impact, recovery, between, resolution, bound, reason)

    silence = _first_silence(arrivals, fault_at, span)
    if silence is None:
        return result(None, None, 0, "no silence followed the fault: it never showed")
    if silence < fault_at - round(bound * SECOND):
        return result(None, None, 0, "the database was silent before the fault already")
    recovery, reason = _recovery(arrivals, silence, span, rate)
    end = arrivals[-1].done if recovery is None else recovery
    between = sum(1 for o in arrivals if o.outcome == Outcome.OK and silence < o.done < end)
    return result(silence, recovery, between, reason)


def _first_silence(arrivals: Sequence[Operation], fault_at: int, span: int) -> int | None:
    """The begin of the first silence of at least `span` that ends after `fault_at`."""
    answers = sorted(o.done for o in arrivals if o.outcome == Outcome.OK)
    unanswered = [o.due for o in arrivals if o.outcome != Outcome.OK]
    if not arrivals or not answers:
        return None
    last = max(o.done for o in arrivals)
    for begin, end in zip(answers, [*answers[1:], last], strict=True):
        if end <= fault_at or end - begin < span:
            continue
        first = bisect_left(unanswered, begin)
        if first < len(unanswered) and unanswered[first] <= end:
            return begin
    return None


def _recovery(
    arrivals: Sequence[Operation], impact: int, span: int, rate: float
) -> tuple[int | None, str]:
    """The first answer of the first whole window that was answered, from the impact on."""
    dues = [o.due for o in arrivals]
    answered = [0]
    for o in arrivals:
        answered.append(answered[-1] + (o.outcome == Outcome.OK))
    expected = math.floor(rate * span / SECOND) - 1
    for number in range(bisect_left(dues, impact), len(arrivals)):
        if arrivals[number].outcome != Outcome.OK:
            continue
        end = bisect_left(dues, dues[number] + span)
        if end == len(dues):
            return None, "the record ends before enough arrivals were answered again"
        # A hole in the record counts as not answered.
        due = max(end - number, expected)
        if (answered[end] - answered[number]) / due >= ANSWERED:
            ok = [o.done for o in arrivals[number:end] if o.outcome == Outcome.OK]
            return min(ok), ""
    return None, "it was not answered again"


def _delay(arrivals: Sequence[Operation], fault_at: int) -> float:
    """How long an answer took before the fault, the client's own lateness included: the 99th
    percentile, seconds."""
    took = sorted(o.done - o.due for o in arrivals if o.done < fault_at and o.outcome == Outcome.OK)
    return took[math.ceil(0.99 * len(took)) - 1] / SECOND if took else 0.0
