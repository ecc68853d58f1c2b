"""Of a run that only watched: did somebody take the key away, and how is it known when?"""

from __future__ import annotations

from typing import TypedDict

from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker
from chaosaws_kms_ext.checkers.key_events import KeyEvents
from chaosaws_kms_ext.history import Conditions, Event
from chaosaws_kms_ext.history.event_details import SeenBy
from chaosaws_kms_ext.history.history import History

__all__ = ["ByOthers", "Sight"]

WORDS = {
    "key-state": "by the key's state",
    "key-policy": "by the key's policy",
    "cluster-status": "by the cluster's status alone",
}


class Sight(TypedDict):
    """What showed it, and how much earlier than it was seen it can have been, seconds."""

    seen_by: SeenBy
    within_seconds: float


class Watched(TypedDict):
    """What others did; None: it was not seen."""

    taken: Sight | None
    back: Sight | None


@checker
class ByOthers(Checker):
    """Says whether what was expected of others came."""

    name = "by_others"
    place = 10
    fields = {
        "by_others": Field(
            Watched | None,
            "of a run that only watched (`watch-only`): what showed that somebody else took the "
            "key away and gave it back (`key-state`, `key-policy`, or `cluster-status` alone), and "
            "how much earlier it can have been: by two looks, and by CloudTrail's date, where "
            "there is one",
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """From the events of what was seen, and from what the settings expect."""
        if not conditions.by_others:
            return Result(figures={"by_others": None})
        events = KeyEvents.of(history)
        taken, back = events.injected, events.put_back
        expected = conditions.expects_outage
        waited = conditions.settings.real(conditions.settings.impact_timeout)
        doubts, failures = [], []
        if expected and taken is None:
            doubts.append(
                f"nobody was seen to take the key away within {waited:g} s (CHAOS_IMPACT_TIMEOUT): "
                "nothing was measured"
            )
        if taken is not None and not expected:
            failures.append(
                "somebody took the key away, and CHAOS_EXPECT_LOSS says that nobody would"
            )
        return Result(
            figures={"by_others": {"taken": _sight(taken), "back": _sight(back)}},
            doubts=doubts,
            failures=failures,
            rows=[*_row("key taken away", taken), *_row("key given back", back)],
        )


def _sight(event: Event | None) -> Sight | None:
    if event is None:
        return None
    return {
        "seen_by": event.details["seen_by"],
        "within_seconds": event.details["within_seconds"],
    }


def _row(what: str, event: Event | None) -> list[tuple[str, str]]:
    if event is None:
        return [(what, "by nobody")]
    its = event.details
    return [
        (what, f"by others, seen {WORDS[its['seen_by']]}, within {its['within_seconds']:.2f} s")
    ]
