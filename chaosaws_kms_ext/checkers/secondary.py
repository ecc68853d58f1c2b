"""What was lost with a secondary key of the cluster, who could still log in, and who was told?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypedDict

from chaosaws_kms_ext.checkers import exactness
from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker
from chaosaws_kms_ext.checkers.exactness import Durations
from chaosaws_kms_ext.checkers.objectives import Objective
from chaosaws_kms_ext.history import END_OF_TIME, Conditions, Event, EventName
from chaosaws_kms_ext.history.event_details import KeyOf
from chaosaws_kms_ext.history.history import History

__all__ = ["Secondary"]

FAILED = "time_to_failure_seconds"

WHAT = {
    "master-secret": "secret",
    "performance-insights": "insights",
    "activity-stream": "activity stream",
}


class Told(TypedDict):
    """From what somebody could know of the loss of a key."""

    cloudtrail: str | None
    failed_decrypts: int | None
    rds_events: list[str]
    alarms: list[str]


class SecondaryFigures(TypedDict):
    """A secondary key that the run was to take away."""

    key_of: KeyOf
    key: str | None
    usable_without_key: bool | None
    error: str | None
    time_to_failure_seconds: float | None
    error_bound_seconds: float | None
    cached_login: bool | None
    status: str | None
    newest_record: str | None
    usable_afterwards: bool | None
    told: Told | None


@checker
class Secondary(Checker):
    """Says for each such key what could be used without it."""

    name = "secondary"
    place = 52
    objectives = (
        Objective("usable_without_key", "usable_without_key"),
        Objective("unusable_afterwards", "unusable_afterwards"),
    )
    fields = {
        "secondary_keys": Field(
            list[SecondaryFigures] | None,
            "of each key of the cluster beside that of its storage that the run was to take away "
            "(`key`: `null` where the cluster has none; then nothing else is said): whether what "
            "it encrypts could be used at the end of the time without it, else the `error`, and "
            "how long after the loss it first failed; of a secret, `cached_login`: whether a new "
            "login worked with the password that had been read before; what RDS called its "
            "`status` then; of an activity stream, when its newest record then was written (UTC); "
            "whether it could be used again afterwards; and who was `told` meanwhile: when "
            "CloudTrail has the call, and how many failed Decrypts, which RDS events of a lost "
            "key came, which alarms went off. An objective `usable_without_key` counts those that "
            "could be used without their key, `unusable_afterwards` those that could not be used "
            "again",
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """From the uses that the run recorded."""
        named = {each.details["key_of"]: each for each in history.all(EventName.SECONDARY_KEY)}
        counts: dict[str, int | None] = {"usable_without_key": None, "unusable_afterwards": None}
        if not named:
            return Result(figures={"secondary_keys": None}, measured=counts)
        its = [_Measured(history, conditions, each) for each in named.values()]
        there = [each for each in its if each.figures["key"] is not None]
        doubts = [why for each in there for why in each.doubts()]
        if not there:
            doubts.append("the cluster has none of these keys, so nothing was tried")
        counts["usable_without_key"] = _count(there, "usable_without_key", True)
        counts["unusable_afterwards"] = _count(there, "usable_afterwards", False)
        return Result(
            figures={"secondary_keys": [each.figures for each in its]},
            measured=counts,
            doubts=doubts,
            rows=[each.row() for each in its],
        )


class _Measured:
    """One of these keys."""

    def __init__(self, history: History, conditions: Conditions, named: Event) -> None:
        self._history = history
        self._of, key = named.details["key_of"], named.details["key"]
        self._durations = Durations(conditions.settings.status_poll)
        self.figures: dict[str, Any] = dict.fromkeys(SecondaryFigures.__annotations__)
        self.figures |= {"key_of": self._of, "key": key}
        lost = history.first(EventName.INJECTED, named.at, key=key) if key else None
        if lost is None:
            return
        back = history.first(EventName.PUT_BACK, lost.at, key=key)
        until = back.at if back else END_OF_TIME
        uses = [each for each in self._uses(lost.at) if each.at <= until]
        failed = next((each for each in uses if each.details["works"] is False), None)
        last = uses[-1].details if uses else {}
        again = [each.details["works"] for each in self._uses(until) if each.at > until]
        took = self._durations.between(FAILED, exactness.of(lost), exactness.of(failed))
        self.figures |= {
            "usable_without_key": last.get("works"),
            "error": failed.details["code"] if failed else None,
            FAILED: took,
            "error_bound_seconds": self._durations.bounds.get(FAILED),
            "cached_login": last.get("cached_login"),
            "status": last.get("status") or None,
            "newest_record": last.get("newest_record"),
            "usable_afterwards": again[-1] if again else None,
            "told": self._told(lost.at, until),
        }

    def doubts(self) -> list[str]:
        """What is not known of it."""
        its = self.figures
        said = []
        if its["usable_without_key"] is None:
            said.append(f"whether the {WHAT[self._of]} could be used without its key is not known")
        if its["usable_afterwards"] is None:
            said.append(f"whether the {WHAT[self._of]} could be used again is not known")
        return said + self._durations.doubts

    def row(self) -> tuple[str, str]:
        """For a person."""
        its, name = self.figures, f"without {WHAT[self._of]} key"
        if its["key"] is None:
            return name, "not tried: the cluster has none"
        usable = its["usable_without_key"]
        words = ["not known" if usable is None else "still usable" if usable else "lost"]
        if its["error"]:
            after = exactness.in_words(its[FAILED], its["error_bound_seconds"])
            words[0] += f" after {after} ({its['error']})"
        if its["cached_login"] is not None:
            can = "works" if its["cached_login"] else "fails"
            words.append(f"a login with the password read before {can}")
        if told := its["told"]:
            others = [*told["rds_events"], *told["alarms"]]
            words.append(f"told by {', '.join(others)}" if others else "no RDS event, no alarm")
            if told["cloudtrail"]:
                words.append(f"CloudTrail has it, and {told['failed_decrypts']} failed Decrypts")
        if its["usable_afterwards"] is False:
            words.append("not usable again")
        return name, " · ".join(words)

    # Internals

    def _uses(self, since: int) -> Iterator[Event]:
        uses = self._history.all(EventName.SECONDARY_USE, key_of=self._of)
        return (each for each in uses if each.at >= since)

    def _told(self, since: int, until: int) -> dict[str, Any]:
        history = self._history
        trail = history.first(EventName.SECONDARY_TOLD, since, key_of=self._of)
        events = [e for e in history.all(EventName.RDS_EVENT) if since <= e.at <= until]
        alarms = [
            each.details["alarm"]
            for each in history.all(EventName.ALARM, state="ALARM")
            if since <= each.at <= until and each.details.get("before") not in (None, "ALARM")
        ]
        return {
            "cloudtrail": trail.details["taken"] if trail else None,
            "failed_decrypts": trail.details["failed_decrypts"] if trail else None,
            "rds_events": list(dict.fromkeys(each.details["event"] for each in events)),
            "alarms": list(dict.fromkeys(alarms)),
        }


def _count(there: list[_Measured], figure: str, wrong: bool) -> int | None:
    """How many of them are wrong; None: there is none, or one is not known."""
    found = [each.figures[figure] for each in there]
    if not found or None in found:
        return None
    return sum(each is wrong for each in found)
