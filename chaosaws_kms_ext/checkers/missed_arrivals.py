"""Whether a load that the fault should not affect was answered all the time."""

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
    expects_outage,
    never_injected,
    of_load,
    total,
)
from chaosaws_kms_ext.checkers.silence import LONG_STALL, stall_in_words
from chaosaws_kms_ext.history import (
    MAIN,
    SECOND,
    Conditions,
    EventName,
    History,
    Operation,
    Outcome,
)

__all__ = ["Missed", "MissedArrivals", "count_missed"]


@checker
class MissedArrivals(Checker):
    """Counts the missed arrivals of each load that the fault should not affect."""

    name = "missed_arrivals"
    place = 50
    objectives = (Objective("missed_arrivals", "missed_arrivals"),)
    fields = {
        "missed_arrivals": "of a load that the fault should not affect: arrivals that were not "
        "answered in time, or have no record",
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Judges each load from when it was steady until it was stopped."""
        unaffected = [name for name in history.loads if not expects_outage(conditions, name)]
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
    """None: the load was never steady, or nothing was recorded of it."""
    begin = history.first(EventName.LOAD_STEADY, load=load)
    end = history.first(EventName.LOAD_STOPPED, load=load)
    if begin is None or end is None or load not in history.rates:
        return None
    return count_missed(
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


def count_missed(
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

    `rate`: arrivals a second; `deadline`: seconds for an answer. Arrivals without any record count
    as missed (a load that is killed leaves such a hole). Not counted: operations that were cut when
    the load was stopped at `end`; arrivals that were due during a stall (the client itself did not
    run); and arrivals from the time after the load had died (`gaps`), with those that were still
    waiting for an answer when it died.
    """
    stall_times = sorted((o.due, o.done) for o in stalls)
    stalled = _Stalls(stall_times)
    recorded = [o for o in arrivals if begin <= o.due < end]
    late = end - round(deadline * SECOND)
    judged = [o for o in recorded if not _cut(o, late) and not stalled.at(o.due)]
    unrecorded = [(since - round(deadline * SECOND), until) for since, until in gaps]
    unrecorded_ns = sum(max(min(until, end) - max(since, begin), 0) for since, until in unrecorded)
    outside_gaps = [
        o for o in recorded if not any(since <= o.due < until for since, until in unrecorded)
    ]
    # An arrival may lie on either side of an edge.
    recorded_ns = end - begin - unrecorded_ns
    expected = math.floor(rate * recorded_ns / SECOND) - 1 - len(unrecorded)
    holes = max(expected - len(outside_gaps), 0)
    longest = max(
        (done - due for due, done in stall_times if done > begin and due < end), default=0
    )
    doubt = ""
    if longest / SECOND > LONG_STALL:
        doubt = stall_in_words(longest / SECOND)
    missed = sum(o.outcome != Outcome.OK for o in judged) + holes
    return Missed(missed if judged or holes else None, len(judged) + holes, doubt)


def _cut(o: Operation, late: int) -> bool:
    """Whether it has no answer because the load was stopped, and not because of the database."""
    return o.outcome == Outcome.ABORTED or (o.outcome == Outcome.UNSENT and o.due >= late)


class _Stalls:
    """When the client itself did not run."""

    def __init__(self, times: Sequence[tuple[int, int]]) -> None:
        """`times`: begin and end of each stall, in order (CLOCK_MONOTONIC ns)."""
        self._begins = [begin for begin, _ in times]
        self._ends = list(accumulate((end for _, end in times), max))

    def at(self, instant: int) -> bool:
        """Whether the client stalled at this instant."""
        place = bisect_right(self._begins, instant)
        return place > 0 and instant <= self._ends[place - 1]
