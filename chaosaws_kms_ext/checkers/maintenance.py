"""Was the cluster under maintenance when its key was back, and how long of the recovery?"""

from __future__ import annotations

from typing import Any, TypedDict

from chaosaws_kms_ext.checkers import exactness
from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker
from chaosaws_kms_ext.checkers.exactness import Durations
from chaosaws_kms_ext.checkers.key_events import KeyEvents
from chaosaws_kms_ext.checkers.objectives import Objective
from chaosaws_kms_ext.history import SECOND, Conditions, Event, EventName
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
            "each such time (`spells`; `seconds` is `null` where its end was not seen, or it is "
            "too inexact), and seconds from the key being put back until it was available, without "
            "these: that much the recovery itself took, as far as the two do not overlap. `null`: "
            "the key was not put back. The objective `rto_without_maintenance` is compared with it",
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """From the statuses that were seen."""
        back, available = KeyEvents.of(history).put_back, KeyEvents.of(history).available
        if back is None:
            return Result(figures={"maintenance": None}, measured={WITHOUT: None})
        durations = Durations(conditions.settings.status_poll)
        times = _times(_of_recovery(history, back, available))
        spells = [_spell(*each, durations) for each in times]
        without = None
        if available and all(end for _, end in times):
            # What is left is as exact as all of its ends together.
            ends = [back, available, *(each for time in times for each in time if each)]
            bound = sum(exact[1] for each in ends if (exact := exactness.of(each)))
            ours = available.at - back.at - sum(e.at - begin.at for begin, e in times if e)
            without = durations.keep(WITHOUT, round(ours / SECOND, 3), bound)
        figures = {"spells": spells, WITHOUT: without}
        rows = [("maintenance", _in_words(spells, without))] if spells else []
        return Result(
            figures={"maintenance": figures},
            measured={WITHOUT: without},
            doubts=durations.doubts if "rto_without_maintenance" in conditions.objectives else (),
            rows=rows,
        )


def _of_recovery(history: History, back: Event, available: Event | None) -> list[Event]:
    """The looks from the key's return until the cluster was available, and first the status that it
    had at that return: it is recorded when it begins, which may be long before."""
    seen = list(history.all(EventName.STATUS))
    if available:
        seen = [each for each in seen if each.at <= available.at]
    within = {"within_seconds": back.details.get("within_seconds", 0.0)}
    at_return = [
        Event(back.at, each.name, {**each.details, **within})
        for each in [each for each in seen if each.at < back.at][-1:]
    ]
    return at_return + [each for each in seen if each.at >= back.at]


def _times(seen: list[Event]) -> list[tuple[Event, Event | None]]:
    """The first looks that saw such a status, and another one after it; None: none did."""
    found: list[tuple[Event, Event | None]] = []
    began: Event | None = None
    for each in seen:
        status = each.details.get("cluster")
        if began is not None and status != began.details.get("cluster"):
            found.append((began, each))
            began = None
        if began is None and status in STATUSES:
            began = each
    return [*found, *([(began, None)] if began else [])]


def _spell(began: Event, ended: Event | None, durations: Durations) -> Spell:
    """`seconds` is None where that is too inexact."""
    begin, end = exactness.of(began), exactness.of(ended)
    return {
        "status": str(began.details.get("cluster")),
        "seconds": durations.between(TOOK, begin, end, short=True),
        "error_bound_seconds": durations.bounds.pop(TOOK, None),
    }


def _in_words(spells: list[Spell], without: float | None) -> str:
    words = [
        f"status {each['status']} for "
        f"{exactness.in_words(each['seconds'], each['error_bound_seconds'])} of the recovery"
        for each in spells
    ]
    rest: Any = exactness.in_words(without)
    return " · ".join([*words, f"available without it after {rest}"])
