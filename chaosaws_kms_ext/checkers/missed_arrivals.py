"""Whether a load that the fault should not affect was answered all the time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chaosaws_kms_ext.checkers.base import (
    Checker,
    Field,
    Result,
    checker,
    every_load,
    expects_outage,
    never_injected,
    of_load,
    total,
)
from chaosaws_kms_ext.checkers.fault_outage import LONG_STALL, stall_in_words
from chaosaws_kms_ext.checkers.objectives import Objective
from chaosaws_kms_ext.history import MAIN, SECOND, Conditions, EventName, Operation, Outcome
from chaosaws_kms_ext.history.columns import CODES, Arrivals, Instants, Mask
from chaosaws_kms_ext.history.history import History

__all__ = ["Missed", "MissedArrivals", "count_missed"]


@checker
class MissedArrivals(Checker):
    """Counts the missed arrivals of each load that the fault should not affect."""

    name = "missed_arrivals"
    place = 50
    objectives = (Objective("missed_arrivals", "missed_arrivals"),)
    fields = {
        "missed_arrivals": Field(
            int | None,
            "of a load that the fault should not affect: arrivals that were not answered in "
            "time, or have no record",
            of_load=True,
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Judges each load from when it was steady until it was stopped."""
        unaffected = [
            name for name in history.loads if not expects_outage(history, conditions, name)
        ]
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
    if begin is None or end is None or load not in history.recorded:
        return None
    return count_missed(
        history.arrivals(load),
        history.witness(load, "stall"),
        begin.at,
        end.at,
        gaps=history.gaps(load),
        rate=history.recorded[load].rate,
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
    arrivals: Arrivals,
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
    recorded = arrivals.only((begin <= arrivals.due) & (arrivals.due < end))
    late = end - round(deadline * SECOND)
    judged = recorded.only(~_cut(recorded, late) & ~_within(recorded.due, stalls))
    unrecorded = [(since - round(deadline * SECOND), until) for since, until in gaps]
    seconds = sum(max(min(until, end) - max(since, begin), 0) for since, until in unrecorded)
    outside = np.ones(len(recorded), np.bool_)
    for since, until in unrecorded:
        outside &= (recorded.due < since) | (recorded.due >= until)
    # An arrival may lie on either side of an edge.
    expected = math.floor(rate * (end - begin - seconds) / SECOND) - 1 - len(unrecorded)
    holes = max(expected - int(np.count_nonzero(outside)), 0)
    longest = max((o.done - o.due for o in stalls if o.done > begin and o.due < end), default=0)
    doubt = ""
    if longest / SECOND > LONG_STALL:
        doubt = stall_in_words(longest / SECOND)
    missed = int(np.count_nonzero(~judged.answered)) + holes
    return Missed(missed if len(judged) or holes else None, len(judged) + holes, doubt)


def _cut(arrivals: Arrivals, late: int) -> Mask:
    """Which have no answer because the load was stopped, and not because of the database."""
    unsent = (arrivals.outcome == CODES[Outcome.UNSENT]) & (arrivals.due >= late)
    cut: Mask = unsent | (arrivals.outcome == CODES[Outcome.ABORTED]) | arrivals.unrecorded
    return cut


def _within(instants: Instants, stalls: Sequence[Operation]) -> Mask:
    """Which of them lie in a stall: a time in which the client itself did not run."""
    found = np.zeros(len(instants), np.bool_)
    for stall in stalls:
        found |= (stall.due <= instants) & (instants <= stall.done)
    return found
