"""Does CloudTrail name this run as the caller that took the key away and put it back?"""

from __future__ import annotations

from typing import Any

from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker
from chaosaws_kms_ext.checkers.objectives import Objective
from chaosaws_kms_ext.history import Conditions, EventName
from chaosaws_kms_ext.history.event_details import Audit
from chaosaws_kms_ext.history.history import History

__all__ = ["Attribution"]

CALLS = ("disabled_by", "enabled_by")


@checker
class Attribution(Checker):
    """Counts the calls of DisableKey and EnableKey for which CloudTrail names another caller."""

    name = "attribution"
    place = 130
    objectives = (Objective("misattributed_calls", "misattributed_calls"),)
    fields = {
        "audit": Field(
            Audit | None,
            "whom CloudTrail names, and the failing Decrypts it has (there may be more)",
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Compares the caller that CloudTrail names with the caller that this run was."""
        told = history.first(EventName.AUDIT)
        ready = history.first(EventName.READY)
        if told is None:
            return Result(figures={"audit": None}, measured={"misattributed_calls": None})
        audit = dict(told.details)
        wrong = None
        if ready and all(audit[each] for each in CALLS):
            wrong = sum(bool(audit[each]["who"] != ready.details["caller"]) for each in CALLS)
        return Result(
            figures={"audit": audit},
            measured={"misattributed_calls": wrong},
            # What others did is measured without it.
            doubts=() if conditions.by_others else audit.get("unknown", ()),
            rows=[
                *((each.replace("_", " "), _in_words(audit[each])) for each in CALLS),
                ("failed Decrypts", f"at least {audit['failed_decrypts']}, by CloudTrail"),
            ],
        )


def _in_words(by: dict[str, Any] | None) -> str:
    return f"{by['who']} at {by['when']}" if by else "not measured"
