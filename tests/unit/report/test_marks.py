"""Bands and marks of the timeline."""

from __future__ import annotations

from chaosaws_kms_ext.history import Anchor, Event, EventName
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.report.marks import Band, Mark, bands_of, marks_of


def history(*events):
    return History({}, [Event(*each) for each in events], {}, Anchor(0, 0))


def status(at, **details):
    return (at, EventName.STATUS, details)


def test_a_band_lasts_until_another_state_was_seen_and_the_last_until_the_end():
    its = history(
        status(10, key="Enabled", cluster="available"),
        status(20, key="Enabled", cluster="available"),
        status(30, key="Disabled", cluster="available"),
        status(50, key="Disabled", cluster="inaccessible"),
        status(70, key=None),
        status(90, key="Enabled", cluster="inaccessible"),
    )
    assert bands_of(its, 100) == [
        Band("key", "Enabled", 10, 30),
        Band("key", "Disabled", 30, 90),
        Band("key", "Enabled", 90, 100),
        Band("cluster", "available", 10, 50),
        Band("cluster", "inaccessible", 50, 100),
    ]


def test_another_cluster_and_its_key_have_bands_of_their_own():
    other = {"of": "copy", "key": "Disabled", "cluster": "available"}
    its = history(status(10, key="Enabled"), (20, EventName.OTHER_STATUS, other))
    assert bands_of(its, 50) == [
        Band("key", "Enabled", 10, 50),
        Band("key", "Disabled", 20, 50, "copy"),
        Band("cluster", "available", 20, 50, "copy"),
    ]


def test_a_state_that_is_seen_after_the_end_has_no_length():
    assert bands_of(history(status(10, key="Enabled")), 5) == [Band("key", "Enabled", 10, 10)]


def test_marks_are_in_order_with_what_was_measured_and_say_what_happened():
    its = history(
        (30, EventName.INJECTED, {"fault": "disable-key", "key": "arn"}),
        (10, EventName.LOAD_STEADY, {"load": "main"}),
        (20, EventName.STATUS, {"key": "Enabled"}),
        (50, "nothing-we-know", {}),
        (60, EventName.RDS_EVENT, {"event": "RDS-EVENT-0418", "message": "m" * 500}),
    )
    assert marks_of(its, [("impact", 40), ("recovery", None)]) == [
        Mark(10, "load steady", "main"),
        Mark(30, "fault injected", "disable-key"),
        Mark(40, "impact"),
        Mark(60, "RDS event", f"RDS-EVENT-0418, {'m' * 200}"),
    ]
