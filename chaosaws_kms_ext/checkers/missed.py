"""Whether a load that nothing should happen to was answered all along."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from chaosaws_kms_ext.checkers.outage import LONG_STALL, stood_still
from chaosaws_kms_ext.history import SECOND, Operation, Outcome

__all__ = ["Missed", "judge"]


@dataclass(frozen=True)
class Missed:
    """The arrivals that got no answer."""

    count: int | None
    """None: there was no arrival to miss."""
    judged: int
    doubt: str
    """Why the count cannot be trusted."""


def judge(
    arrivals: Sequence[Operation],
    stalls: Sequence[Operation],
    begin: int,
    end: int,
    *,
    rate: float,
    deadline: float,
) -> Missed:
    """Of the arrivals due between two instants (CLOCK_MONOTONIC ns), those not answered in time.

    `rate`: arrivals a second; `deadline`: seconds for an answer. A hole in the record, as a load
    that is killed leaves one, is missed. Not counted: what was cut when the load was stopped at
    `end`, and what came due while the client itself stood still.
    """
    stood = sorted((o.due, o.done) for o in stalls)
    still = _Still(stood)
    recorded = [o for o in arrivals if begin <= o.due < end]
    late = end - round(deadline * SECOND)
    judged = [o for o in recorded if not _cut(o, late) and not still.at(o.due)]
    # An arrival may lie on either side of an edge.
    holes = max(math.floor(rate * (end - begin) / SECOND) - 1 - len(recorded), 0)
    longest = max((done - due for due, done in stood if done > begin and due < end), default=0)
    doubt = ""
    if longest / SECOND > LONG_STALL:
        doubt = stood_still(longest / SECOND)
    missed = sum(o.outcome != Outcome.OK for o in judged) + holes
    return Missed(missed if judged or holes else None, len(judged) + holes, doubt)


def _cut(o: Operation, late: int) -> bool:
    """Whether the load's end, and not the database, kept it from an answer."""
    return o.outcome == Outcome.ABORTED or (o.outcome == Outcome.UNSENT and o.due >= late)


class _Still:
    """When the client stood still; `stood` in order."""

    def __init__(self, stood: Sequence[tuple[int, int]]) -> None:
        self._begins = [due for due, _ in stood]
        self._ends = list(accumulate((done for _, done in stood), max))

    def at(self, instant: int) -> bool:
        place = bisect_right(self._begins, instant)
        return place > 0 and instant <= self._ends[place - 1]
