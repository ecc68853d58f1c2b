"""Are the rows that the lab's own cluster began with still there?"""

from __future__ import annotations

from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker
from chaosaws_kms_ext.history import Conditions, EventName, event_details
from chaosaws_kms_ext.history.history import History

__all__ = ["SeedRows"]


@checker
class SeedRows(Checker):
    """Fails a run after which they are not all there."""

    name = "seed_rows"
    place = 140
    fields = {
        "seed_rows": Field(
            event_details.SeedRows | None,
            "of the lab's own cluster: how many of the rows that it began with are there",
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """From the number of rows that was counted at the end."""
        counted = history.first(EventName.SEED_ROWS)
        if counted is None:
            return Result(figures={"seed_rows": None})
        rows = dict(counted.details)
        expected, present = rows["expected"], rows["present"]
        wrong = present not in (None, expected)
        shown = "not measured" if present is None else present
        return Result(
            figures={"seed_rows": rows},
            doubts=["the seeded rows could not be counted"] if present is None else (),
            failures=[f"{present} of {expected} seeded rows are there"] if wrong else (),
            rows=[("seeded rows", f"{shown} of {expected}")],
        )
