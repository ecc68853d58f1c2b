"""Whether a load that nothing should happen to was answered all along."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from chaosaws_kms_ext.history import SECOND, Operation, Outcome

__all__ = ["Missed", "judge"]

LONG_STALL = 1.0
"""Seconds for which a client that stood still makes the count worthless."""


@dataclass(frozen=True)
class Missed:
    """The arrivals that got no answer."""

    count: int | None
    """None: there was no arrival to miss."""
    judged: int
    doubt: str
    """Why the count cannot be trusted."""


def judge(
    arrivals: Sequence[Operation], stalls: Sequence[Operation], begin: int, end: int
) -> Missed:
    """Of the arrivals due between two instants (CLOCK_MONOTONIC ns), those not answered in time.

    Not counted: what was cut at shutdown, and what came due while the client itself stood still.
    """
    stood = sorted((o.due, o.done) for o in stalls)
    judged = [
        o
        for o in arrivals
        if begin <= o.due < end and o.outcome != Outcome.ABORTED and not _within(o.due, stood)
    ]
    longest = max((done - due for due, done in stood if done > begin and due < end), default=0)
    doubt = ""
    if longest / SECOND > LONG_STALL:
        stood_for = f"{longest / SECOND:.1f} s"
        doubt = f"the load itself stood still for {stood_for}: the machine was too busy"
    missed = sum(o.outcome != Outcome.OK for o in judged)
    return Missed(missed if judged else None, len(judged), doubt)


def _within(instant: int, stood: Sequence[tuple[int, int]]) -> bool:
    place = bisect_right(stood, (instant, 2**63))
    return place > 0 and instant <= stood[place - 1][1]
