"""How long it took until a restored cluster answered for the first time."""

from __future__ import annotations

from typing import TypedDict

from chaosaws_kms_ext.checkers import exactness
from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker
from chaosaws_kms_ext.checkers.exactness import Durations
from chaosaws_kms_ext.checkers.objectives import Objective
from chaosaws_kms_ext.history import Conditions, EventName
from chaosaws_kms_ext.history.history import History

__all__ = ["Replacement"]

FIRST = "time_to_first_answer_seconds"


class ReplacementFigures(TypedDict):
    """The first restored cluster that answered."""

    cluster: str
    time_to_available_seconds: float | None
    time_to_first_answer_seconds: float | None
    error_bound_seconds: float | None


@checker
class Replacement(Checker):
    """Measures the first restored cluster that answered."""

    name = "replacement"
    place = 45
    objectives = (
        Objective("replacement_rto", "time_to_replacement", "replacement_rto", "seconds"),
    )
    fields = {
        "replacement": Field(
            ReplacementFigures | None,
            "the first cluster restored from a snapshot, or as of a point in time, that answered: "
            "the time from the call to restore it until it was available, and until its first "
            "answer",
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Measured from the instant at which AWS had answered the call to restore."""
        restored = {each.details["cluster"] for each in history.all(EventName.RESTORE_ORDERED)}
        answers = history.all(EventName.FIRST_ANSWER)
        answer = next((each for each in answers if each.details["cluster"] in restored), None)
        if answer is None:
            return Result(figures={"replacement": None}, measured={"time_to_replacement": None})
        cluster = answer.details["cluster"]
        durations = Durations(conditions.settings.status_poll)
        ordered = exactness.of(history.first(EventName.RESTORE_ORDERED, cluster=cluster))
        available = exactness.of(history.first(EventName.RESTORED, cluster=cluster))
        until_available = durations.between("time_to_available_seconds", ordered, available)
        took = durations.between(FIRST, ordered, exactness.of(answer))
        found = {
            "cluster": cluster,
            "time_to_available_seconds": until_available,
            FIRST: took,
            "error_bound_seconds": durations.bounds[FIRST],
        }
        return Result(
            figures={"replacement": found},
            measured={"time_to_replacement": took},
            doubts=durations.doubts,
            rows=[("time to replacement", exactness.in_words(took, durations.bounds[FIRST]))],
        )
