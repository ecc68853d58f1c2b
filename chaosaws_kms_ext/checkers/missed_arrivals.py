"""Whether a load that nothing should happen to was answered all along."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from chaosaws_kms_ext.checkers.base import (
    Checker,
    Objective,
    Result,
    checker,
    every_load,
    never_injected,
    of_load,
    suffers,
    total,
)
from chaosaws_kms_ext.checkers.silence import LONG_STALL, stood_still
from chaosaws_kms_ext.history import (
    MAIN,
    SECOND,
    Conditions,
    EventName,
    History,
    Operation,
    Outcome,
)

__all__ = ["Missed", "MissedArrivals", "judge"]


@checker
class MissedArrivals(Checker):
    """Counts what was missed of each load that nothing should happen to."""

    name = "missed_arrivals"
    place = 50
    objectives = (Objective("missed_arrivals", "missed_arrivals"),)
    fields = {
        "missed_arrivals": "of a load that nothing should happen to: arrivals that were not "
        "answered in time, or left no record",
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Judges each load from when it was steady until it was stopped."""
        unaffected = [name for name in history.loads if not suffers(conditions, name)]
        found = {name: _of(history, conditions, name) for name in unaffected}
        counts = {name: each.count if each else None for name, each in found.items()}
        doubts = [
            why
            for name, each in found.items()
            if each and each.doubt
            for why in of_load(name, [each.doubt])
        ]
        return Result(
            loads={name: {"missed_arrivals": counts.get(name)} for name in every_load(history)},
            measured={"missed_arrivals": total(counts.values())},
            doubts=() if never_injected(history, conditions) else doubts,
            rows=[
                (f"load {name}", _in_words(count, len(history.arrivals(name))))
                for name, count in counts.items()
                if name != MAIN or count is not None
            ],
        )


def _of(history: History, conditions: Conditions, load: str) -> Missed | None:
    """None: it was never steady, or nothing was recorded of it."""
    begin = history.first(EventName.LOAD_STEADY, load=load)
    end = history.first(EventName.LOAD_STOPPED, load=load)
    if begin is None or end is None or load not in history.rates:
        return None
    return judge(
        history.arrivals(load),
        history.witness(load, "stall"),
        begin.at,
        end.at,
        gaps=history.gaps(load),
        rate=history.rates[load],
        deadline=conditions.settings.query_deadline,
    )


def _in_words(count: int | None, due: int) -> str:
    return f"{'not measured' if count is None else count} of {due} arrivals missed"


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
    gaps: Sequence[tuple[int, int]] = (),
) -> Missed:
    """Of the arrivals due between two instants (CLOCK_MONOTONIC ns), those not answered in time.

    `rate`: arrivals a second; `deadline`: seconds for an answer. A hole in the record, as a load
    that is killed leaves one, is missed. Not counted: what was cut when the load was stopped at
    `end`, what came due while the client itself stood still, and what was not recorded since the
    load had died (`gaps`), or was still waited for then.
    """
    stood = sorted((o.due, o.done) for o in stalls)
    still = _Still(stood)
    recorded = [o for o in arrivals if begin <= o.due < end]
    late = end - round(deadline * SECOND)
    judged = [o for o in recorded if not _cut(o, late) and not still.at(o.due)]
    dark = [(since - round(deadline * SECOND), until) for since, until in gaps]
    unseen = sum(max(min(until, end) - max(since, begin), 0) for since, until in dark)
    lit = [o for o in recorded if not any(since <= o.due < until for since, until in dark)]
    # An arrival may lie on either side of an edge.
    expected = math.floor(rate * (end - begin - unseen) / SECOND) - 1 - len(dark)
    holes = max(expected - len(lit), 0)
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
