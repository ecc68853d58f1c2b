"""When somebody else did something, by CloudTrail's date of it and this run's own looks together.

A look says: not before the one before it, and not after itself. A date is in whole seconds
(CloudTrail User Guide, "CloudTrail record contents"), and of another clock.
"""

from __future__ import annotations

from datetime import datetime

from chaosaws_kms_ext.history import SECOND, Event, EventName
from chaosaws_kms_ext.history.history import History

__all__ = ["CLOCKS", "done_by_others", "refined", "started_by_others"]

CLOCKS = 1.0
"""Seconds by which AWS' clock and this machine's may differ. Assumed: both follow NTP."""


def done_by_others(event: Event | None) -> bool:
    """Whether it is the taking or the return of a key by somebody else, in a run that watched."""
    return event is not None and "seen_by" in event.details


def refined(history: History, event: Event | None, call: str) -> Event | None:
    """The event as exactly as both tell; `call`: `disabled_by` or `enabled_by` of the audit.

    Of what this run did itself, and where the two contradict each other: as it is.
    """
    if event is None or not done_by_others(event):
        return event
    found = _dated(history, call)
    if found is None:
        return event
    within = float(event.details["within_seconds"])
    first = max(event.at - round(within * SECOND), found[0])
    last = min(event.at, found[1])
    if last <= first:
        return event
    # The search for the outage begins where the looks say: another clock may be wrong.
    before = float(event.details.get("well_before_seconds", within))
    well = round(before - (event.at - last) / SECOND, 3)
    return _event(event.name, first, last, {**event.details, "well_before_seconds": well})


def started_by_others(history: History) -> Event | None:
    """StartDBCluster or StartDBInstance, if CloudTrail says that somebody called it."""
    found, audit = _dated(history, "started_by"), history.first(EventName.AUDIT)
    if found is None or audit is None:
        return None
    return _event(EventName.START_CALLED, *found, {"cluster": audit.details.get("cluster")})


def _event(name: str, first: int, last: int, details: dict[str, object]) -> Event:
    within = round((last - first) / SECOND, 3)
    return Event(last, name, {**details, "within_seconds": within})


def _dated(history: History, call: str) -> tuple[int, int] | None:
    """From when to when (CLOCK_MONOTONIC, ns) the call can have been made; None: not known."""
    audit = history.first(EventName.AUDIT)
    its = audit.details.get(call) if audit else None
    if not its:
        return None
    at = history.anchor.monotonic(datetime.fromisoformat(its["when"]))
    return at - round(CLOCKS * SECOND), at + round((1 + CLOCKS) * SECOND)
