"""How many operations there were of each outcome."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker, every_load
from chaosaws_kms_ext.history import Conditions
from chaosaws_kms_ext.history.columns import OUTCOMES, Arrivals
from chaosaws_kms_ext.history.history import History

__all__ = ["Operations", "count"]


class OutcomeCounts(TypedDict):
    """As many of each outcome."""

    ok: int
    error: int
    timeout: int
    lost: int
    unsent: int
    aborted: int
    unrecorded: int


@checker
class Operations(Checker):
    """Counts them for each load."""

    name = "operations"
    place = 65
    fields = {
        "operations": Field(
            OutcomeCounts, "arrivals by outcome; `unsent`: nobody was free to take it", of_load=True
        )
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Counts the arrivals."""
        names = every_load(history)
        return Result(loads={name: {"operations": count(history.arrivals(name))} for name in names})


def count(arrivals: Arrivals) -> dict[str, int]:
    """Outcome → number of arrivals, for every outcome there is."""
    counted = np.zeros(len(OUTCOMES), np.int64)
    for its in arrivals.blocks():
        counted += np.bincount(its.outcome, minlength=len(OUTCOMES))
    return dict(zip(OUTCOMES, counted.tolist(), strict=True))
