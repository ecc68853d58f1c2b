"""How many operations there were of each outcome."""

from __future__ import annotations

import numpy as np

from chaosaws_kms_ext.checkers.base import Checker, Result, checker, every_load
from chaosaws_kms_ext.history import Conditions
from chaosaws_kms_ext.history.columns import OUTCOMES, Arrivals
from chaosaws_kms_ext.history.history import History

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


def count(arrivals: Arrivals) -> dict[str, int]:
    """Outcome → number of arrivals, for every outcome there is."""
    counted = np.bincount(arrivals.outcome, minlength=len(OUTCOMES)).tolist()
    return dict(zip(OUTCOMES, counted, strict=True))
