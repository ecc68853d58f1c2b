"""Was it a hang? Neither an answer nor an error, in an open session and in a new connection."""

from __future__ import annotations

from collections.abc import Sequence

from chaosaws_kms_ext.checkers.base import (
    Checker,
    Result,
    checker,
    every_load,
    never_injected,
    suffers,
)
from chaosaws_kms_ext.checkers.outage import KeyEvents, find, unexplained
from chaosaws_kms_ext.history import MAIN, SECOND, Conditions, Operation, Outcome
from chaosaws_kms_ext.history.history import History

__all__ = ["Hang", "hung"]


WAITED = 250_000_000
"""ns that something must have waited in vain to count as hung although it was not given up yet."""

END_OF_TIME = 2**63
WITNESSES = {"open_sessions": "session", "new_connections": "connect"}
UNKNOWN: dict[str, bool | None] = dict.fromkeys(WITNESSES)


@checker
class Hang(Checker):
    """Answers it for both, by what the load's witnesses saw."""

    name = "hang"
    place = 40
    fields = {
        "hang": "whether every try of an open session, and of a new connection, hung; `false`: one "
        "had an answer, an error, or lost its connection",
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Looks at the load that suffers, between the impact and the key's return."""
        loads = {load: {"hang": UNKNOWN} for load in every_load(history)}
        seen = find(history, conditions, MAIN)
        doubts: list[str] = []
        if seen is not None and seen.impact is not None:
            back = KeyEvents.of(history).put_back
            found = {
                name: hung(
                    history.witness(MAIN, kind),
                    impact=seen.impact,
                    slack=round(seen.error_bound_seconds * SECOND),
                    until=back.at if back else END_OF_TIME,
                )
                for name, kind in WITNESSES.items()
            }
            loads[MAIN] = {"hang": found}
            if unexplained(history, conditions):
                doubts = [
                    f"whether {name.replace('_', ' ')} hung is not known: none was tried"
                    for name, hung_ in found.items()
                    if hung_ is None
                ]
        shown = suffers(conditions, MAIN) and not never_injected(history, conditions)
        return Result(loads=loads, doubts=doubts, rows=[_row(loads[MAIN]["hang"])] if shown else ())


def _row(found: dict[str, bool | None]) -> tuple[str, str]:
    words = {True: "hung", False: "did not hang", None: "not measured"}
    return "during the outage", (
        f"open session {words[found['open_sessions']]} · "
        f"new connections {words[found['new_connections']]}"
    )


def hung(witnessed: Sequence[Operation], *, impact: int, slack: int, until: int) -> bool | None:
    """Whether what a witness had sent during the outage got no answer and no error.

    `witnessed`: of one witness, in order. The outage lasted from `impact` to `until` at least; it
    began up to `slack` later than `impact` (ns), so an answer to what was sent by then counts
    neither way, nor does what the end of the load cut. What still waited at `until` hung, whatever
    became of it afterwards. None when nothing was sent in that time.
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
