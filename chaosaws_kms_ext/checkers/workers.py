"""Were all processes of a load there? What one did not record is not known, and is said."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from chaosaws_kms_ext.checkers.base import (
    Checker,
    Field,
    Result,
    checker,
    every_load,
    never_injected,
    of_load,
)
from chaosaws_kms_ext.checkers.fault_outage import LONG_STALL
from chaosaws_kms_ext.checkers.phases import recorded_span
from chaosaws_kms_ext.history import MAIN, SECOND, Conditions, Utc
from chaosaws_kms_ext.history.columns import Absence
from chaosaws_kms_ext.history.history import History

__all__ = ["Workers"]

LISTED = 100
SAID = 3
"""Absences in the table."""


class AbsenceFigures(TypedDict):
    """A time in which a process told nothing of the database."""

    worker: int
    begin: Utc
    seconds: float
    why: str


class WorkerFigures(TypedDict):
    """Of a load of several processes."""

    started: int
    absences: list[AbsenceFigures]
    unrecorded: int
    clock_error_seconds: float


@checker
class Workers(Checker):
    """Names the absences of each load that has several processes; a time in which all of them were
    absent is a doubt."""

    name = "workers"
    place = 15
    fields = {
        "workers": Field(
            WorkerFigures | None,
            "of a load of several processes (`null`: it has one): `started`: how many; "
            "`absences`: from when to when a process told nothing of the database, because it "
            "`recorded nothing` (it died, or its records never came), `was cut off` or `did not "
            f"run`, at most {LISTED}; `unrecorded`: arrivals of which it is not known for that "
            "reason what became of them: they count neither as answered nor as failed; "
            "`clock_error_seconds`: by how much the clocks of processes on other machines can be "
            "off, which is part of every bound",
            of_load=True,
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Looks from when the load was steady until it was stopped."""
        loads = {load: {"workers": _of(history, load)} for load in every_load(history)}
        rows = [
            ("load" if load == MAIN else f"load {load}", _in_words(history, load))
            for load in history.loads
            if (its := loads[load]["workers"]) and its["absences"]
        ]
        doubts = [
            why for load in history.loads for why in of_load(load, _nothing_known(history, load))
        ]
        unknown = never_injected(history, conditions)
        return Result(loads=loads, doubts=() if unknown else doubts, rows=rows)


def _of(history: History, load: str) -> WorkerFigures | None:
    if load not in history.recorded or history.recorded[load].workers == 1:
        return None
    recorded, its = history.recorded[load], _absences(history, load)
    span, due = recorded_span(history, load), history.arrivals(load).due
    first, last = np.searchsorted(due, [span.begin, span.end] if span else [0, 0])
    return {
        "started": recorded.workers,
        "absences": [
            {
                "worker": each.worker + 1,
                "begin": history.in_utc(each.begin),
                "seconds": round((each.end - each.begin) / SECOND, 3),
                "why": each.why,
            }
            for each in its[:LISTED]
        ],
        "unrecorded": int(np.count_nonzero(recorded.arrivals.unrecorded[first:last])),
        "clock_error_seconds": round(recorded.clock_error, 6),
    }


def _nothing_known(history: History, load: str) -> list[str]:
    """That all processes were absent together, in a sentence."""
    span = recorded_span(history, load)
    if span is None:
        return []
    gaps = [min(end, span.end) - max(begin, span.begin) for begin, end in history.unheard(load)]
    longest = max(gaps, default=0) / SECOND
    if longest <= LONG_STALL:
        return []
    return [f"all processes of the load were absent together for {longest:.1f} s"]


def _absences(history: History, load: str) -> list[Absence]:
    span = recorded_span(history, load)
    if span is None:
        return list(history.absences(load))
    return [e for e in history.absences(load) if e.end > span.begin and e.begin < span.end]


def _in_words(history: History, load: str) -> str:
    its = sorted(_absences(history, load), key=lambda each: each.begin - each.end)
    of = history.recorded[load].workers
    said = [
        f"process {each.worker + 1} of {of} {each.why} for {(each.end - each.begin) / SECOND:.1f} s"
        for each in its[:SAID]
    ]
    more = f"; {len(its) - SAID} more" if len(its) > SAID else ""
    return "; ".join(said) + more
