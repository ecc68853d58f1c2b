"""When no run may be: freezes by date, and hours of the week. All in UTC, as RDS has its windows.

2026-12-20/2027-01-02    from the first day to the end of the last one
fri:16:00-mon:08:00      every week; the form of RDS' maintenance windows
maintenance              the maintenance window of the cluster
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

__all__ = ["MAINTENANCE", "clash", "periods"]

MAINTENANCE = "maintenance"

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
POINT = rf"({'|'.join(DAYS)}):([01]\d|2[0-3]):([0-5]\d)"
WEEKLY = re.compile(rf"{POINT}-{POINT}")
DATES = re.compile(r"(\d{4}-\d\d-\d\d)/(\d{4}-\d\d-\d\d)")
WEEK = timedelta(days=7)
MOST = 100
"""Periods in one setting."""


@dataclass(frozen=True)
class Weekly:
    """From one instant of the week to another, both since Monday; over its end if that is less."""

    begin: timedelta
    end: timedelta

    def spans(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Those that could touch the time from `start` to `end`."""
        monday = datetime.combine(start.date() - timedelta(days=start.weekday()), time(), UTC)
        length = (self.end - self.begin) % WEEK
        at = monday - WEEK + self.begin
        while at < end:
            yield at, at + length
            at += WEEK


@dataclass(frozen=True)
class Dates:
    """From the first day to the end of the last one."""

    first: date
    last: date

    def spans(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        yield _midnight(self.first), _midnight(self.last) + timedelta(days=1)


def periods(text: str) -> tuple[str, ...]:
    """The periods in a setting, separated by commas; raises ValueError for one that is none."""
    found = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if len(found) > MOST:
        raise ValueError(f"must have {MOST} periods at most")
    for each in found:
        if each != MAINTENANCE:
            _period(each)
    return found


def clash(period: str, start: datetime, end: datetime) -> tuple[datetime, datetime] | None:
    """When the period is next, if it touches the time from `start` to `end`; all with UTC.

    Raises ValueError for a text that is no period.
    """
    for first, last in _period(period).spans(start, end):
        if first < end and start < last:
            return first, last
    return None


def _period(text: str) -> Weekly | Dates:
    if match := WEEKLY.fullmatch(text):
        parts = match.groups()
        begin, end = _of_week(*parts[:3]), _of_week(*parts[3:])
        if begin == end:
            raise ValueError(f"must not have a period that is empty, {text}")
        return Weekly(begin, end)
    if match := DATES.fullmatch(text):
        try:
            first, last = map(date.fromisoformat, match.groups())
            if first <= last < date.max:
                return Dates(first, last)
        except ValueError:
            pass
        raise ValueError(f"must have dates from a day to a later one: {text}")
    raise ValueError(
        "must be periods in UTC, with commas, as 2026-12-20/2027-01-02, fri:16:00-mon:08:00 or "
        f"{MAINTENANCE}"
    )


def _of_week(day: str, hour: str, minute: str) -> timedelta:
    return timedelta(days=DAYS.index(day), hours=int(hour), minutes=int(minute))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
