"""What did the RDS Proxy between load and database say while the key was away?"""

from __future__ import annotations

from typing import Any, TypedDict

from chaosaws_kms_ext.checkers import exactness
from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker
from chaosaws_kms_ext.checkers.exactness import Durations
from chaosaws_kms_ext.checkers.key_events import KeyEvents
from chaosaws_kms_ext.history import MAIN, Conditions, Event, EventName
from chaosaws_kms_ext.history.history import History

__all__ = ["Proxy"]

LOST, BACK = "time_to_unavailable_seconds", "time_to_available_seconds"
AVAILABLE = "AVAILABLE"


class ProxyFigures(TypedDict):
    """How it saw the writer."""

    name: str
    time_to_unavailable_seconds: float | None
    unavailable_error_bound_seconds: float | None
    reason: str | None
    description: str | None
    time_to_available_seconds: float | None
    available_error_bound_seconds: float | None
    state: str | None


@checker
class Proxy(Checker):
    """Measures from AWS' answers to the calls that took the key away and put it back."""

    name = "proxy"
    place = 33
    fields = {
        "proxy": Field(
            ProxyFigures | None,
            "the RDS Proxy (`name`) that the load `main` went through, as DescribeDBProxyTargets "
            "showed it: seconds from the key being taken away until the writer was first seen not "
            "AVAILABLE to it, with the `reason` and the `description` of that; from the key being "
            "put back until it was seen AVAILABLE again; and its last `state`. `null`: the load "
            "went through none",
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """From what was seen of its targets."""
        started = history.first(EventName.LOAD_STARTED, load=MAIN)
        name = started.details.get("proxy") if started else None
        if not name:
            return Result(figures={"proxy": None})
        seen = list(history.all(EventName.PROXY_TARGET, proxy=name))
        figures: dict[str, Any] = dict.fromkeys(ProxyFigures.__annotations__)
        figures |= {"name": name, "state": seen[-1].details["state"] if seen else None}
        injected = KeyEvents.of(history).injected
        durations = Durations(conditions.settings.status_poll)
        if injected:
            lost = _first(seen, injected.at, available=False)
            back = history.first(EventName.PUT_BACK, injected.at)
            again = _first(seen, max(lost.at, back.at), available=True) if lost and back else None
            said = lost.details if lost else {}
            figures |= {
                LOST: durations.between(LOST, exactness.of(injected), exactness.of(lost)),
                "unavailable_error_bound_seconds": durations.bounds.get(LOST),
                "reason": said.get("reason") or None,
                "description": said.get("description") or None,
                BACK: durations.between(BACK, exactness.of(back), exactness.of(again)),
                "available_error_bound_seconds": durations.bounds.get(BACK),
            }
        return Result(figures={"proxy": figures}, rows=[("through RDS Proxy", _in_words(figures))])


def _first(seen: list[Event], since: int, available: bool) -> Event | None:
    its = (each for each in seen if each.at >= since)
    return next((e for e in its if (e.details["state"] == AVAILABLE) is available), None)


def _in_words(its: dict[str, Any]) -> str:
    words = [its["name"]]
    if its[LOST] is None:
        words.append("the writer was not seen unavailable to it")
    else:
        after = exactness.in_words(its[LOST], its["unavailable_error_bound_seconds"])
        words.append(f"its writer unavailable after {after} ({its['reason'] or 'no reason given'})")
        words.append(
            "not seen available again"
            if its[BACK] is None
            else "available again "
            f"{exactness.in_words(its[BACK], its['available_error_bound_seconds'])} after the "
            "key's return"
        )
    return " · ".join(words)
