"""When a schedule fires: an expression read into a plan that knows its next instant.

EventBridge Scheduler User Guide, "Schedule types in EventBridge Scheduler".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chaosaws_kms_lab.calls import AwsError

__all__ = ["Every", "Once", "Plan", "read"]

AT = re.compile(r"at\(([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})\)")
RATE = re.compile(r"rate\(([0-9]+) (minute|hour|day)(s?)\)")
CRON = re.compile(r"cron\(.*\)")
UNITS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}


@dataclass(frozen=True)
class Once:
    """at(…)."""

    first: datetime

    def next_after(self, instant: datetime) -> datetime | None:
        """Its instant, if that is later than `instant`."""
        return self.first if self.first > instant else None


@dataclass(frozen=True)
class Every:
    """rate(…): from `first` on, as long as it is before `end`."""

    first: datetime
    period: timedelta
    end: datetime | None = None

    def next_after(self, instant: datetime) -> datetime | None:
        """The first of its instants that is later than `instant`."""
        passed = (instant - self.first) // self.period + 1
        try:
            following = self.first + max(0, passed) * self.period
        except OverflowError:
            return None  # after the year 9999
        return following if self.end is None or following < self.end else None


Plan = Once | Every


def read(expression: str, zone: str, start: datetime, end: datetime | None) -> Plan:
    """The plan of an expression; raises AwsError for a wrong one.

    `start` and `end` are for rates only: a one-time schedule ignores them ("StartDate" and
    "EndDate" of CreateSchedule, API reference).
    """
    place = _zone(zone)
    if CRON.fullmatch(expression):
        raise AwsError("ValidationException", "The lab does at() and rate(), and no cron().")
    invalid = AwsError("ValidationException", f"Invalid Schedule Expression {expression}.")
    try:
        if named := AT.fullmatch(expression):
            local = datetime.strptime(named[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=place)
            return Once(local.astimezone(UTC))
        if named := RATE.fullmatch(expression):
            number, unit, plural = int(named[1]), named[2], named[3]
            # The guide's units are plurals, the API reference has singulars as well.
            if number == 1 or (number and plural):
                return Every(start, number * UNITS[unit], end)
    except (ValueError, OverflowError):
        raise invalid from None
    raise invalid


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        why = f"Invalid Schedule Expression Timezone {name}."
        raise AwsError("ValidationException", why) from None
