"""Open sessions and new connections each have outages of their own: from when to when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker, every_load
from chaosaws_kms_ext.checkers.phases import recorded_span
from chaosaws_kms_ext.history import MAIN, SECOND, Conditions, Operation, Outcome, Utc
from chaosaws_kms_ext.history.history import History

__all__ = ["ClientKinds", "Failing", "failing"]

LISTED = 100
WITNESSES = {"open_sessions": "session", "new_connections": "connect"}


class FailingFigures(TypedDict):
    """A time in which no try succeeded."""

    begin: Utc
    end: Utc | None
    seconds: float | None
    saw: dict[str, int]


class ByClient(TypedDict):
    """The same for both witnesses."""

    open_sessions: list[FailingFigures]
    new_connections: list[FailingFigures]


@checker
class ClientKinds(Checker):
    """Looks at what the witnesses of each load tried, a few times a second."""

    name = "client_kinds"
    place = 41
    fields = {
        "by_client": Field(
            ByClient | None,
            "`open_sessions` (one session that is asked again and again, and made anew when it "
            "breaks) and `new_connections` (one that is made, used and closed), each tried four "
            "times a second: every time in which no try succeeded, `begin` (the last success "
            "before), `end` (the first after; `null`: none), `seconds`, and `saw`: how many "
            f"tries failed how; the first {LISTED} of each",
            of_load=True,
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """From when the load was steady until it was stopped."""
        loads = {load: {"by_client": _of(history, load)} for load in every_load(history)}
        main = loads[MAIN]["by_client"]
        kinds = (
            (("open_sessions", main["open_sessions"]), ("new_connections", main["new_connections"]))
            if main
            else ()
        )
        told = [f"{_words(name)} {_longest(its)}" for name, its in kinds if its]
        return Result(loads=loads, rows=[("by client", " · ".join(told))] if told else ())


@dataclass(frozen=True)
class Failing:
    """A time in which no try succeeded; instants are CLOCK_MONOTONIC ns."""

    begin: int
    end: int | None
    saw: dict[str, int]


def failing(tries: Sequence[Operation], since: int) -> list[Failing]:
    """The times in which no try succeeded; `tries`: of one witness, in order; `since`: ns, from
    when on it is known that they could."""
    found: list[Failing] = []
    last, saw = since, dict[str, int]()
    for each in sorted(tries, key=lambda o: o.done):
        if each.outcome == Outcome.OK:
            if saw:
                found.append(Failing(last, each.done, saw))
            last, saw = each.done, {}
        elif each.outcome != Outcome.ABORTED:
            what = each.sqlstate or each.detail or each.outcome
            saw[what] = saw.get(what, 0) + 1
    if saw:
        found.append(Failing(last, None, saw))
    return found


def _of(history: History, load: str) -> ByClient | None:
    span = recorded_span(history, load)
    if span is None:
        return None
    found: dict[str, list[FailingFigures]] = {}
    for name, kind in WITNESSES.items():
        tries = [o for o in history.witness(load, kind) if span.begin <= o.due < span.end]
        found[name] = [_figures(history, each) for each in failing(tries, span.begin)[:LISTED]]
    return ByClient(open_sessions=found["open_sessions"], new_connections=found["new_connections"])


def _figures(history: History, each: Failing) -> FailingFigures:
    seconds = None if each.end is None else round((each.end - each.begin) / SECOND, 3)
    return {
        "begin": history.in_utc(each.begin),
        "end": None if each.end is None else history.in_utc(each.end),
        "seconds": seconds,
        "saw": each.saw,
    }


def _words(name: str) -> str:
    return name.replace("_", " ")


def _longest(windows: Sequence[FailingFigures]) -> str:
    if any(each["seconds"] is None for each in windows):
        return "failed until the end"
    longest = max(each["seconds"] or 0.0 for each in windows)
    times = f", {len(windows)} times" if len(windows) > 1 else ""
    return f"failed for {longest:.2f} s at most{times}"
