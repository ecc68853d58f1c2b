"""How many open sessions hung, and for how long: a client without a deadline waits that long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker, every_load, hit_loads
from chaosaws_kms_ext.checkers.load_ended import why_ended
from chaosaws_kms_ext.checkers.objectives import EachLoad, NotWithin, Objective, Single
from chaosaws_kms_ext.checkers.phases import recorded_span
from chaosaws_kms_ext.history import MAIN, SECOND, Conditions, EventName, Operation, Outcome, Utc
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.history.shares import RECORDED_NOTHING, merged

__all__ = ["HungSessions", "ended_in", "most_at_once", "that_hung", "times_of"]

Durations = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
"""ns."""

LISTED = 100
SHOWN = 3
"""Times in the table."""

ENDS = {Outcome.OK: "answered", Outcome.LOST: "closed", Outcome.ABORTED: "not_followed"}


class HungFigures(TypedDict):
    """A time in which sessions hung."""

    begin: Utc
    end: Utc | None
    seconds: float
    sessions: int
    at_once: int
    share: float | None
    ended: dict[str, int]


@checker
class HungSessions(Checker):
    """Each session without an answer before the deadline was followed, and is recorded when the
    server sent something, or the connection was closed."""

    name = "hung_sessions"
    place = 41
    objectives = (Objective("longest_hang", "longest_hang_seconds", None, "seconds"),)
    fields = {
        "hung_sessions": Field(
            list[HungFigures] | None,
            "each time in which open sessions of the load's users hung, each for the deadline or "
            "longer: `begin` (when the first query was sent that had no answer), `end` (when all "
            "had ended; `null`: one had not when the load was stopped), `seconds` (without an "
            "`end`, at least so many), `sessions`: how many hung, `at_once`: the most at one "
            "instant, `share`: of the users' sessions that were open at the `begin`, the part that "
            "hung (the others were opened in their place), and how many `ended` how: "
            "`answered` (the server sent something), `closed` (the connection was closed), "
            "`not_followed` (the load was stopped first; or it already followed as many as it has "
            "users, or as many as its limit of open files allows). The load goes on with new "
            "sessions after the deadline; a client without a deadline waits for as long as its "
            "session hangs. Time in which the load itself did not run does not count. `null`: the "
            f"load did not look at this. The first {LISTED}",
            of_load=True,
        ),
        "longest_hang_seconds": Field(
            float | None,
            "the longest time that one session hung, or was followed; 0: none hung. If a process "
            "of the load died, it can be more, and the objective is not judged",
            of_load=True,
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """From when the load was steady until it was stopped."""
        deadline = conditions.settings.query_deadline
        found = {load: _hung_in(history, load, deadline) for load in every_load(history)}
        times = {load: times_of(its or ()) for load, its in found.items()}
        users = {load: _users(history, load) for load in found}
        hit = hit_loads(history, conditions)
        told = [_in_words(each, users[MAIN]) for each in times[MAIN][:SHOWN]]
        return Result(
            loads={
                load: {
                    "hung_sessions": None
                    if its is None
                    else [_figures(history, e, users[load]) for e in times[load][:LISTED]],
                    "longest_hang_seconds": None if its is None else _longest(its),
                }
                for load, its in found.items()
            },
            measured={
                "longest_hang_seconds": EachLoad.of(
                    {load: _measured(history, load, found[load], times[load]) for load in hit}
                )
            },
            rows=[("open sessions", " · ".join(told))] if told else (),
        )


def _hung_in(history: History, load: str, deadline: float) -> list[Operation] | None:
    span = recorded_span(history, load)
    if span is None or _users(history, load) is None:  # recorded before sessions were followed
        return None
    hung = that_hung(history, load, deadline)
    return [each for each in hung if span.begin <= each.due < span.end]


def that_hung(history: History, load: str, deadline: float) -> list[Operation]:
    """The sessions of a load that hung for `deadline` seconds or longer, while its process ran.

    Others were asked too late to be answered in time, or it was the process that did not look. One
    that was not followed to its end needs half of that: it was given up at its arrival's deadline.
    """
    found = history.witness(load, "hung")
    seconds = _waited(history, load, found) / SECOND
    return [
        each
        for each, waited in zip(found, seconds.tolist(), strict=True)
        if waited >= (deadline / 2 if each.outcome == Outcome.ABORTED else deadline)
    ]


def _waited(history: History, load: str, hung: Sequence[Operation]) -> Durations:
    """For how long each hung, without the time in which its process did not run, or was cut off
    from the load; ns."""
    due, done, worker = (
        np.array([getattr(each, name) for each in hung], np.int64)
        for name in ("due", "done", "writer")
    )
    waited = (done - due).astype(np.float64)
    away = [(0, each.due, each.done) for each in history.witness(load, "stall")]
    away += [
        (each.worker, each.begin, each.end)
        for each in history.absences(load)
        if each.why != RECORDED_NOTHING
    ]
    for number in {each[0] for each in away}:
        times = np.array(merged((b, e) for w, b, e in away if w == number), np.int64)
        until = np.stack((np.zeros(len(times), np.int64), times[:, 1] - times[:, 0]), axis=1)
        before = np.interp(done, times.ravel(), until.cumsum())
        before -= np.interp(due, times.ravel(), until.cumsum())
        waited -= np.where(worker == number, before, 0)
    return waited


def _users(history: History, load: str) -> int | None:
    started = history.first(EventName.LOAD_STARTED, load=load)
    return started.details.get("users") if started else None


def times_of(hung: Sequence[Operation]) -> list[list[Operation]]:
    """Those that hung at the same time are together."""
    found: list[list[Operation]] = []
    until = 0
    for each in sorted(hung, key=lambda o: o.due):
        if found and each.due <= until:
            found[-1].append(each)
        else:
            found.append([each])
        until = max(until, each.done)
    return found


def most_at_once(hung: Sequence[Operation]) -> int:
    """The most that hung at one instant."""
    edges = sorted(edge for each in hung for edge in ((each.due, 1), (each.done, -1)))
    now = most = 0
    for _, change in edges:
        now += change
        most = max(most, now)
    return most


def _seconds(each: Operation) -> float:
    return (each.done - each.due) / SECOND


def _longest(hung: Sequence[Operation]) -> float:
    return round(max(map(_seconds, hung), default=0.0), 3)


def _measured(
    history: History,
    load: str,
    hung: Sequence[Operation] | None,
    times: Sequence[Sequence[Operation]],
) -> Single:
    """For the objective: those that did not end while they were followed hung for longer."""
    if hung is None or _lost_records(history, load):
        return None
    longest = _longest(hung)
    return longest if all(map(ended_in, times)) else NotWithin(longest)


def _lost_records(history: History, load: str) -> bool:
    """Whether a process of it died: a session is recorded when it ends."""
    died = any(each.why == RECORDED_NOTHING for each in history.absences(load))
    return died or bool(history.deaths(load)) or bool(why_ended(history, load))


def ended_in(hung: Sequence[Operation]) -> int | None:
    """When all of a time had ended, CLOCK_MONOTONIC ns; None: that was not seen."""
    last = max(hung, key=lambda each: each.done)
    return None if last.outcome == Outcome.ABORTED else last.done


def _figures(history: History, hung: Sequence[Operation], users: int | None) -> HungFigures:
    end, last = ended_in(hung), max(each.done for each in hung)
    return {
        "begin": history.in_utc(hung[0].due),
        "end": None if end is None else history.in_utc(end),
        "seconds": round((last - hung[0].due) / SECOND, 3),
        "sessions": len(hung),
        "at_once": most_at_once(hung),
        "share": round(min(len(_first(hung)) / users, 1.0), 4) if users else None,
        "ended": _ended(hung),
    }


def _first(hung: Sequence[Operation]) -> list[Operation]:
    """Those that were open when the first of them began to hang; the others took the places of
    some."""
    return [each for each in hung if each.sent is None or each.sent <= hung[0].due]


def _ended(hung: Sequence[Operation]) -> dict[str, int]:
    return dict(Counter(ENDS[Outcome(each.outcome)] for each in hung))


def _in_words(hung: Sequence[Operation], users: int | None) -> str:
    first = len(_first(hung))
    number = f"{first} of {users}" if users and first <= users else f"{first}"
    if len(hung) > first:
        number += f", and {len(hung) - first} opened later,"
    ends = ", ".join(f"{count} {_words(end)}" for end, count in _ended(hung).items())
    return f"{number} hung for {_longest(hung):.2f} s at most, then {ends}"


def _words(end: str) -> str:
    return end.replace("_", " ")
