"""Was the cluster lost for good, and did it stay so although its key came back?"""

from __future__ import annotations

from typing import TypedDict

from chaosaws_kms_ext.checkers import exactness
from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker
from chaosaws_kms_ext.checkers.exactness import Durations
from chaosaws_kms_ext.checkers.key_events import KeyEvents
from chaosaws_kms_ext.history import Conditions, EventName
from chaosaws_kms_ext.history.history import History

__all__ = ["LostForGood"]

LOST, RECOVERABLE = "time_to_terminal_seconds", "recoverable_seconds"

DAYS = 7 * 86400.0
"""AWS seconds in which a cluster can be brought back (Aurora User Guide, Overview.Encryption)."""


class LostFigures(TypedDict):
    """A cluster that the run lost for good."""

    cluster: str
    time_to_terminal_seconds: float | None
    recoverable_seconds: float | None
    error_bound_seconds: float | None
    compressed_to_aws_seconds: float | None
    stayed_seconds: float | None
    start_refused_with: str | None


@checker
class LostForGood(Checker):
    """Measures how long the cluster could have been brought back, and for how long it was not."""

    name = "lost_for_good"
    place = 44
    fields = {
        "lost_for_good": Field(
            LostFigures | None,
            "of a cluster that the run lost for good (lab only): seconds from the key being taken "
            "away until the cluster was seen in the terminal state, and from when it was seen to "
            "be inaccessible; `compressed_to_aws_seconds`: what the lab took in place of AWS' 7 "
            "days (`null`: it took them); `stayed_seconds`: for how long after its key was back it "
            "was seen to stay so, and `start_refused_with`, StartDBCluster's error then (`null`: "
            "nobody looked)",
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """From the instant at which the run saw it."""
        seen = history.first(EventName.TERMINAL)
        if seen is None:
            return Result(figures={"lost_for_good": None})
        events, durations = KeyEvents.of(history), Durations(conditions.settings.status_poll)
        end = exactness.of(seen)
        lost = durations.between(LOST, exactness.of(events.injected), end)
        recoverable = durations.between(RECOVERABLE, exactness.of(events.inaccessible), end)
        stayed = history.first(EventName.STAYED_TERMINAL, cluster=seen.details["cluster"])
        days = conditions.settings.lab_recoverable_for
        figures = {
            "cluster": seen.details["cluster"],
            LOST: lost,
            RECOVERABLE: recoverable,
            "error_bound_seconds": durations.bounds[LOST],
            "compressed_to_aws_seconds": None if days == DAYS else days,
            "stayed_seconds": stayed.details["seconds"] if stayed else None,
            "start_refused_with": stayed.details["start_refused_with"] if stayed else None,
        }
        assumed = f" (assumed: {days:g} AWS seconds stand for 7 days)" if days != DAYS else ""
        rows = [("lost for good", f"{exactness.in_words(recoverable)} after it showed{assumed}")]
        if stayed:
            rows.append(
                (
                    "key back",
                    f"after {stayed.details['seconds']:.1f} s still lost; StartDBCluster: "
                    f"{stayed.details['start_refused_with']}",
                )
            )
        return Result(figures={"lost_for_good": figures}, doubts=durations.doubts, rows=rows)
