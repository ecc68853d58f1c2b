"""The time until something restored answers."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.history import (
    EventName,
)
from chaosaws_kms_ext.settings import Settings
from tests.support.histories import (
    event,
    replaced,
    verdict,
)


def test_the_time_to_replacement_is_from_the_order_to_the_first_answer():
    measured = replaced(
        event(EventName.RESTORE_ORDERED, 0, cluster="copy", snapshot="s"),
        event(EventName.RESTORED, 100, cluster="copy"),
        event(EventName.FIRST_ANSWER, 120, cluster="copy", within_seconds=0.2),
    )
    assert measured.figures["replacement"] == {
        "cluster": "copy",
        "time_to_available_seconds": 5.0,
        "time_to_first_answer_seconds": 6.0,
        "error_bound_seconds": 0.2,
    }
    assert verdict(measured, "replacement_rto").passed
    hurried = Settings(lab_speed=60, replacement_rto=300)
    told = verdict(measured, "replacement_rto", settings=hurried)
    assert told.reasons == ("objective missed: replacement_rto was 6.0 s, and its limit is 5 s",)


@pytest.mark.parametrize(
    "events",
    [
        [],
        [event(EventName.RESTORE_ORDERED, 0, cluster="copy", snapshot="s")],
        [event(EventName.FIRST_ANSWER, 9, cluster="copy", within_seconds=0.2)],
        [
            event(EventName.RESTORE_ORDERED, 0, cluster="copy", snapshot="s"),
            event(EventName.FIRST_ANSWER, 9, cluster="orders", within_seconds=0.2),
        ],
    ],
)
def test_what_was_not_restored_or_never_answered_replaces_nothing(events):
    measured = replaced(*events)
    assert measured.figures["replacement"] is None
    assert verdict(measured, "replacement_rto").word == "inconclusive"


def test_another_clusters_answer_before_is_no_replacement():
    measured = replaced(
        event(EventName.FIRST_ANSWER, 1, cluster="orders", within_seconds=0.2),
        event(EventName.RESTORE_ORDERED, 2, cluster="copy", snapshot="s"),
        event(EventName.FIRST_ANSWER, 22, cluster="copy", within_seconds=0.2),
    )
    assert measured.measured["time_to_replacement"] == 1.0
