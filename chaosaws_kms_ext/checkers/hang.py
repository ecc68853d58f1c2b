"""Did the database hang? An open session and a new connection get neither answer nor error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from chaosaws_kms_ext.checkers.base import (
    Checker,
    Field,
    Result,
    checker,
    every_load,
    hit_loads,
    never_injected,
    of_load,
)
from chaosaws_kms_ext.checkers.key_events import KeyEvents
from chaosaws_kms_ext.checkers.outage import outage_of, unexplained
from chaosaws_kms_ext.history import END_OF_TIME, MAIN, SECOND, Conditions, Operation, Outcome
from chaosaws_kms_ext.history.history import History

__all__ = ["Hang", "hung"]


WAITED = 250_000_000
"""ns: an operation that waited this long without an answer counts as hung, although its deadline
had not passed yet."""

WITNESSES = {"open_sessions": "session", "new_connections": "connect"}
UNKNOWN: dict[str, bool | None] = dict.fromkeys(WITNESSES)


class Hung(TypedDict):
    """Whether each kind of client hung; None: it is not known."""

    open_sessions: bool | None
    new_connections: bool | None


@checker
class Hang(Checker):
    """Answers it for both, from what the load's witnesses recorded."""

    name = "hang"
    place = 40
    fields = {
        "hang": Field(
            Hung,
            "whether every try of an open session, and of a new connection, hung; `false`: one "
            "had an answer, an error, or lost its connection",
            of_load=True,
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Looks at each load that the fault hits, from the impact until the key is put back."""
        loads = {load: {"hang": _of(history, conditions, load)} for load in every_load(history)}
        hit = hit_loads(history, conditions)
        doubts = [
            why
            for load in hit
            for why in of_load(load, _doubts(history, conditions, load, loads[load]["hang"]))
        ]
        shown = conditions.expects_outage and not never_injected(history, conditions)
        return Result(
            loads=loads,
            doubts=doubts,
            rows=[_row(loads[each]["hang"], each) for each in hit] if shown else (),
        )


def _of(history: History, conditions: Conditions, load: str) -> dict[str, bool | None]:
    seen = outage_of(history, conditions, load)
    if seen is None or seen.impact is None:
        return UNKNOWN
    back = KeyEvents.of(history).put_back
    return {
        name: hung(
            history.witness(load, kind),
            impact=seen.impact,
            slack=round(seen.error_bound_seconds * SECOND),
            until=back.at if back else END_OF_TIME,
        )
        for name, kind in WITNESSES.items()
    }


def _doubts(
    history: History, conditions: Conditions, load: str, found: dict[str, bool | None]
) -> list[str]:
    seen, back = outage_of(history, conditions, load), KeyEvents.of(history).put_back
    if seen is None or seen.impact is None or not unexplained(history, conditions, load):
        return []
    if back is not None and seen.impact >= back.at:
        return []  # there was nothing to try
    return [
        f"whether {name.replace('_', ' ')} hung is not known: none was tried"
        for name, hung_ in found.items()
        if hung_ is None
    ]


def _row(found: dict[str, bool | None], load: str) -> tuple[str, str]:
    words = {True: "hung", False: "did not hang", None: "not measured"}
    return "during the outage" if load == MAIN else f"during the outage ({load})", (
        f"open session {words[found['open_sessions']]} · "
        f"new connections {words[found['new_connections']]}"
    )


def hung(witnessed: Sequence[Operation], *, impact: int, slack: int, until: int) -> bool | None:
    """Whether the operations that a witness sent during the outage got no answer and no error.

    `witnessed`: of one witness, in order. The outage lasted from `impact` to `until` at least; it
    began up to `slack` later than `impact` (ns), so an answer to an operation that was sent before
    that is ignored, and so are operations that the end of the load cut. An operation that still
    waited at `until` hung, whatever its outcome was later. None when nothing was sent in that time.
    """
    tried = [
        o.outcome == Outcome.TIMEOUT or o.done > until
        for o in witnessed
        if o.sent is not None
        and o.done > impact
        and not (o.outcome == Outcome.ABORTED and o.done <= until)
        and o.sent < (until if o.done <= until else until - WAITED)
        and not (o.outcome == Outcome.OK and o.sent <= impact + slack and o.done <= until)
    ]
    return all(tried) if tried else None
