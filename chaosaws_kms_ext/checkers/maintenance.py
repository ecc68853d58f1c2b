"""Was the cluster under maintenance when its key was back, and how long of the recovery?"""

from __future__ import annotations

from typing import Any, TypedDict

from chaosaws_kms_ext.checkers import exactness
from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker
from chaosaws_kms_ext.checkers.exactness import Durations
from chaosaws_kms_ext.checkers.key_events import KeyEvents
from chaosaws_kms_ext.checkers.objectives import Objective
from chaosaws_kms_ext.history import Conditions, Event, EventName
from chaosaws_kms_ext.history.history import History

__all__ = ["Maintenance"]

STATUSES = frozenset({"maintenance", "modifying", "upgrading"})
"""Aurora User Guide, "Viewing DB cluster status in an Aurora cluster": RDS applies an update, a
modification, or an engine upgrade."""

TOOK, WITHOUT = "maintenance_seconds", "time_to_available_without_maintenance_seconds"


class Spell(TypedDict):
    """The cluster was in one of these statuses."""

    status: str
    seconds: float | None
    error_bound_seconds: float | None


class MaintenanceFigures(TypedDict):
    """What was seen of it after the key was put back."""

    spells: list[Spell]
    time_to_available_without_maintenance_seconds: float | None


@checker
class Maintenance(Checker):
    """Tells the time in such statuses from the rest of the recovery."""

    name = "maintenance"
    place = 36
    objectives = (Objective("rto_without_maintenance", WITHOUT, "rto", "seconds"),)
    fields = {
        "maintenance": Field(
            MaintenanceFigures | None,
            "of a cluster whose status said, after the key was put back and before it was "
            "available, that RDS applies something (`maintenance`, `modifying`, `upgrading`): "
            "each such time (`spells`; `seconds` is `null` where its end was not seen), and "
            "seconds from the key being put back until it was available, without these: that "
            "much the recovery itself took, as far as the two do not overlap. `null`: the key was "
            "not put back. An objective `rto_without_maintenance` is compared with that",
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """From the statuses that were seen."""
        back, available = KeyEvents.of(history).put_back, KeyEvents.of(history).available
        if back is None:
            return Result(figures={"maintenance": None}, measured={WITHOUT: None})
        durations = Durations(conditions.settings.status_poll)
        seen = [each for each in history.all(EventName.STATUS) if each.at >= back.at]
        if available:
            seen = [each for each in seen if each.at <= available.at]
        spells = _spells(seen, durations)
        whole = durations.between(WITHOUT, exactness.of(back), exactness.of(available))
        known = [each["seconds"] for each in spells]
        without = None
        if whole is not None and None not in known:
            without = round(whole - sum(each for each in known if each is not None), 3)
        figures = {"spells": spells, WITHOUT: without}
        rows = [("maintenance", _in_words(spells, without))] if spells else []
        return Result(
            figures={"maintenance": figures},
            measured={WITHOUT: without},
            doubts=durations.doubts if "rto_without_maintenance" in conditions.objectives else (),
            rows=rows,
        )


def _spells(seen: list[Event], durations: Durations) -> list[Spell]:
    """One for each time; looks that saw the same status again are of one."""
    found: list[Spell] = []
    began: Event | None = None
    for each in [*seen, None]:
        status = None if each is None else each.details.get("cluster")
        if began is not None and status != began.details.get("cluster"):
            name = f"{TOOK} {len(found) + 1}"
            took = durations.between(name, exactness.of(began), exactness.of(each))
            found.append(
                {
                    "status": str(began.details.get("cluster")),
                    "seconds": took,
                    "error_bound_seconds": durations.bounds.get(name),
                }
            )
            began = None
        if began is None and status in STATUSES:
            began = each
    return found


def _in_words(spells: list[Spell], without: float | None) -> str:
    words = [
        f"status {each['status']} for "
        f"{exactness.in_words(each['seconds'], each['error_bound_seconds'])} of the recovery"
        for each in spells
    ]
    rest: Any = exactness.in_words(without)
    return " · ".join([*words, f"available without it after {rest}"])
