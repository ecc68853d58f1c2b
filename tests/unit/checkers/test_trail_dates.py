"""Two looks and a date in whole seconds: what is left between them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from chaosaws_kms_ext.checkers.trail_dates import CLOCKS, done_by_others, refined, started_by_others
from chaosaws_kms_ext.history import SECOND, Event, EventName
from tests.support.histories import history

BORN = datetime(1970, 1, 1, tzinfo=UTC)
"""The anchor of these histories: CLOCK_MONOTONIC is UTC."""


def by(seconds):
    when = (BORN + timedelta(seconds=seconds)).isoformat()
    return {"who": "arn:you", "when": when, "event_id": "1"}


def taken(at, within):
    return Event(
        at * SECOND,
        EventName.INJECTED,
        {"by": "others", "seen_by": "key-state", "within_seconds": within},
    )


def audited(**calls):
    return history(events=[Event(1, EventName.AUDIT, calls)])


@pytest.mark.parametrize(
    ("at", "within", "date", "latest", "left"),
    [
        (20, 10.0, 13, 13 + 1 + CLOCKS, 1 + 2 * CLOCKS),  # the date lies within the looks
        (20, 0.2, 19, 20, 0.2),  # the looks are the more exact
        (20, 10.0, 20, 20, CLOCKS),  # the date is as late as can be
        (20, 10.0, 9, 9 + 1 + CLOCKS, CLOCKS),  # and as early
        (20, 10.0, 40, 20, 10.0),  # they contradict each other
        (20, 10.0, 1, 20, 10.0),
    ],
)
def test_it_is_known_as_exactly_as_both_tell(at, within, date, latest, left):
    found = refined(audited(disabled_by=by(date)), taken(at, within), "disabled_by")
    assert found.at == latest * SECOND
    assert found.details["within_seconds"] == pytest.approx(left)
    assert found.details["seen_by"] == "key-state"
    if found.at != at * SECOND:  # whatever the date says, the outage is looked for since the looks
        earliest = found.at - found.details["well_before_seconds"] * SECOND
        assert earliest == pytest.approx((at - within) * SECOND)


def test_without_a_date_and_of_our_own_calls_it_is_as_it_was():
    ours = Event(20 * SECOND, EventName.INJECTED, {"within_seconds": 0.1})
    told = audited(disabled_by=by(19))
    assert refined(told, ours, "disabled_by") is ours
    assert not done_by_others(ours)
    others = taken(20, 10.0)
    assert refined(told, others, "enabled_by") is others
    assert refined(history(), others, "disabled_by") is others
    assert refined(told, None, "disabled_by") is None


def test_a_start_by_others_is_as_exact_as_its_date():
    start = started_by_others(audited(started_by=by(30)))
    assert (start.at, start.details["within_seconds"]) == (
        (30 + 1 + CLOCKS) * SECOND,
        1 + 2 * CLOCKS,
    )
    of = started_by_others(audited(started_by=by(30), cluster="db:orders"))
    assert of.details["cluster"] == "db:orders"
    assert started_by_others(audited(started_by=None)) is None
    assert started_by_others(history()) is None
