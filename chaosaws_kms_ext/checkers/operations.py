"""How many operations there were of each outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from chaosaws_kms_ext.checkers.base import Checker, Result, checker, every_load
from chaosaws_kms_ext.history import Conditions, History, Operation, Outcome

__all__ = ["Operations", "count"]


@checker
class Operations(Checker):
    """Counts them for each load."""

    name = "operations"
    place = 65
    fields = {"operations": "arrivals by outcome; `unsent`: nobody was free to take it"}

    def check(self, history: History, conditions: Conditions) -> Result:
        """Counts the arrivals."""
        names = every_load(history)
        return Result(loads={name: {"operations": count(history.arrivals(name))} for name in names})


def count(arrivals: Iterable[Operation]) -> dict[str, int]:
    """Outcome → number of arrivals, for every outcome there is."""
    counted = Counter(o.outcome for o in arrivals)
    return {outcome.value: counted[outcome.value] for outcome in Outcome}
