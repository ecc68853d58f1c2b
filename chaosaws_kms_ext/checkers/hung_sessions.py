"""How many open sessions hung, and for how long: a client without a deadline waits that long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypedDict

from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker, every_load, hit_loads
from chaosaws_kms_ext.checkers.objectives import EachLoad, NotWithin, Objective, Single
from chaosaws_kms_ext.checkers.phases import recorded_span
from chaosaws_kms_ext.history import MAIN, SECOND, Conditions, EventName, Operation, Outcome, Utc
from chaosaws_kms_ext.history.history import History

__all__ = ["HungSessions", "most_at_once", "times_of"]

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
    """Each session that got no answer before the deadline was kept, and is recorded when the server
    was heard of again."""

    name = "hung_sessions"
    place = 41
    objectives = (Objective("longest_hang", "longest_hang_seconds", None, "seconds"),)
    fields = {
        "hung_sessions": Field(
            list[HungFigures] | None,
            "each time in which open sessions of the load's users hung: `begin` (a query was sent "
            "that got no answer before its deadline), `end` (all had ended; `null`: one had not "
            "when the load was stopped), `seconds` (then at least so many), `sessions` that hung, "
            "`at_once` at most, `share` of all users' sessions at most, and how many `ended` how: "
            "`answered` (the server sent something), `closed` (the connection was), "
            "`not_followed` (the load was stopped, or as many as it has users were followed). The "
            "load itself goes on with new sessions after the deadline: a client without one waits "
            f"so long. The first {LISTED}",
            of_load=True,
        ),
        "longest_hang_seconds": Field(
            float | None,
            "the longest that one session hung, or was followed; 0: none did",
            of_load=True,
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """From when the load was steady until it was stopped."""
        found = {load: _hung_in(history, load) for load in every_load(history)}
        main = found[MAIN]
        users = {load: _users(history, load) for load in found}
        told = [_in_words(each, users[MAIN]) for each in times_of(main or ())[:SHOWN]]
        return Result(
            loads={
                load: {
                    "hung_sessions": None
                    if its is None
                    else [_figures(history, e, users[load]) for e in times_of(its)[:LISTED]],
                    "longest_hang_seconds": None if its is None else _longest(its),
                }
                for load, its in found.items()
            },
            measured={
                "longest_hang_seconds": EachLoad.of(
                    {load: _measured(found[load]) for load in hit_loads(history, conditions)}
                )
            },
            rows=[("open sessions", " · ".join(told))] if told else (),
        )


def _hung_in(history: History, load: str) -> list[Operation] | None:
    span = recorded_span(history, load)
    if span is None:
        return None
    return [each for each in history.witness(load, "hung") if span.begin <= each.due < span.end]


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


def _measured(hung: Sequence[Operation] | None) -> Single:
    """For the objective: one that was not followed to its end hung for longer."""
    if hung is None:
        return None
    longest = max(hung, key=_seconds, default=None)
    if longest is not None and longest.outcome == Outcome.ABORTED:
        return NotWithin(_longest(hung))
    return _longest(hung)


def _figures(history: History, hung: Sequence[Operation], users: int | None) -> HungFigures:
    end = max(each.done for each in hung)
    last = max(hung, key=lambda each: each.done)
    at_once = most_at_once(hung)
    return {
        "begin": history.in_utc(hung[0].due),
        "end": None if last.outcome == Outcome.ABORTED else history.in_utc(end),
        "seconds": round((end - hung[0].due) / SECOND, 3),
        "sessions": len(hung),
        "at_once": at_once,
        "share": round(min(at_once / users, 1.0), 4) if users else None,
        "ended": _ended(hung),
    }


def _ended(hung: Sequence[Operation]) -> dict[str, int]:
    return dict(Counter(ENDS[Outcome(each.outcome)] for each in hung))


def _in_words(hung: Sequence[Operation], users: int | None) -> str:
    number = f"{len(hung)} of {users}" if users and len(hung) <= users else f"{len(hung)}"
    ends = ", ".join(f"{count} {_words(end)}" for end, count in _ended(hung).items())
    return f"{number} hung for {_longest(hung):.2f} s at most, then {ends}"


def _words(end: str) -> str:
    return end.replace("_", " ")
