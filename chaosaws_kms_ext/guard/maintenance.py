"""Maintenance that is pending for a database: told, since a recovery may then take longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from chaosaws_kms_ext.aws import maintenance
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.guard.findings import Finding, unproven
from chaosaws_kms_ext.settings.periods import clash

__all__ = ["findings"]


def findings(
    aws: Aws, database: Database, longest: float, now: datetime | None = None
) -> list[Finding]:
    """One if something is pending, or cannot be asked for; none of them refuses.

    `longest`: seconds that the run may take: whether the maintenance window begins meanwhile is
    said too. CHAOS_NOT_DURING=maintenance refuses a run for that.
    """
    try:
        found = maintenance.pending(aws, database)
    except AwsError as problem:
        why = f"whether maintenance of {database.id} is pending is not known: {problem}"
        return [unproven("maintenance", why)]
    if not found:
        return []
    now = now or datetime.now(UTC)
    try:
        near = clash(database.maintenance_window, now, now + timedelta(seconds=longest))
    except ValueError:
        near = None
    window = (
        f"; the maintenance window is {near[0]:%Y-%m-%d %H:%M} to {near[1]:%H:%M} UTC, while the "
        "run may go on (CHAOS_NOT_DURING=maintenance keeps it free)"
        if near
        else ""
    )
    said = ", ".join(map(str, found))
    why = f"pending is {said}: if it is applied meanwhile, the recovery takes longer{window}"
    return [unproven("maintenance", why)]
