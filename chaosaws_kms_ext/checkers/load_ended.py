"""Did a load end before it was stopped? Then nothing after that was recorded."""

from __future__ import annotations

from chaosaws_kms_ext.checkers.base import Checker, Result, checker
from chaosaws_kms_ext.history import MAIN, Conditions, EventName, History

__all__ = ["LoadEnded", "why_ended"]


@checker
class LoadEnded(Checker):
    """Names each load that did, and why: it explains what else is missing."""

    name = "load_ended"
    place = 10

    def check(self, history: History, conditions: Conditions) -> Result:
        """Looks at what was seen of a load when it was stopped."""
        found = [why_ended(history, load) for load in history.loads]
        return Result(causes=[why for why in found if why])


def why_ended(history: History, load: str) -> str:
    """Why a load ended by itself, in a sentence; empty if it did not."""
    stopped = history.first(EventName.LOAD_STOPPED, load=load)
    if stopped is None or stopped.details.get("ran", True):
        return ""
    which = "load" if load == MAIN else f"load {load}"
    said = stopped.details.get("why") or "it said nothing"
    return f"the {which} ended by itself, so nothing after that was recorded: {said}"
