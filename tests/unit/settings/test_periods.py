"""Times in which no run may be, as pure values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.settings.periods import DAYS, clash, periods

SUNDAY = datetime(2026, 11, 29, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

points = st.tuples(st.sampled_from(DAYS), st.integers(0, 23), st.integers(0, 59))


def in_week(at):
    return at.weekday() * 1440 + at.hour * 60 + at.minute


@given(points, points, st.integers(0, 4 * 10080), st.integers(1, 3 * 1440))
def test_a_weekly_period_touches_a_time_if_a_minute_of_it_is_in_the_period(begin, end, at, length):
    first, last = (
        DAYS.index(day) * 1440 + hour * 60 + minute for day, hour, minute in (begin, end)
    )
    if first == last:
        return
    text = "{}:{:02}:{:02}-{}:{:02}:{:02}".format(*begin, *end)
    start = SUNDAY + at * MINUTE
    minutes = (in_week(start + number * MINUTE) for number in range(length))
    inside = any((minute - first) % 10080 < (last - first) % 10080 for minute in minutes)
    found = clash(text, start, start + length * MINUTE)
    assert (found is not None) is inside
    if found:
        assert (in_week(found[0]), in_week(found[1])) == (first, last)
        assert found[0] < start + length * MINUTE
        assert start < found[1]


@pytest.mark.parametrize(
    ("start", "hours", "touches"),
    [
        (datetime(2026, 12, 19, 23, 0, tzinfo=UTC), 1, False),
        (datetime(2026, 12, 19, 23, 0, tzinfo=UTC), 1.1, True),
        (datetime(2027, 1, 2, 23, 59, tzinfo=UTC), 1, True),
        (datetime(2027, 1, 3, tzinfo=UTC), 100, False),
    ],
)
def test_dates_are_from_the_first_day_to_the_end_of_the_last(start, hours, touches):
    found = clash("2026-12-20/2027-01-02", start, start + timedelta(hours=hours))
    assert bool(found) is touches


def test_a_setting_has_periods_with_commas_in_any_case():
    text = " Fri:16:00-Mon:08:00, maintenance ,2026-12-20/2026-12-20,"
    found = ("fri:16:00-mon:08:00", "maintenance", "2026-12-20/2026-12-20")
    assert periods(text) == found
