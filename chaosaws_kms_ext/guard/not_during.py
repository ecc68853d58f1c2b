"""Whether a run would be in a time in which none may be: CHAOS_NOT_DURING."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from chaosaws_kms_ext.guard.findings import Finding, ok, refused
from chaosaws_kms_ext.settings.periods import MAINTENANCE, clash

__all__ = ["not_during"]


def not_during(
    periods: Sequence[str], window: str, longest: float, now: datetime | None = None
) -> list[Finding]:
    """One finding, or none if no period was given.

    `window`: the cluster's own maintenance window, as RDS says it. `longest`: seconds that the run
    may take: a period that begins while it goes on refuses it too.
    """
    now = now or datetime.now(UTC)
    end = now + timedelta(seconds=longest)
    for each in periods:
        period = window if each == MAINTENANCE else each
        try:
            found = clash(period, now, end)
        except ValueError:
            why = f"the cluster's maintenance window is not known: RDS says {window!r:.60}"
            return [refused("calendar", why)]
        if found:
            first, last = (f"{at:%Y-%m-%d %H:%M}" for at in found)
            why = (
                f"a run now could take until {end:%Y-%m-%d %H:%M} UTC, and CHAOS_NOT_DURING keeps "
                f"{first} to {last} UTC free ({each}): run it at another time"
            )
            return [refused("calendar", why)]
    if not periods:
        return []
    return [ok("calendar", f"no period of CHAOS_NOT_DURING begins before {end:%Y-%m-%d %H:%M} UTC")]
