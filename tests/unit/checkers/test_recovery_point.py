"""What a replacement lacks of the writes of a lost cluster."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.history import EventName, WrittenRow
from tests.support.histories import event, history, load, measure, verdict, written

WRITES = load("main", *["ok"] * 100)
"""A write every 0.1 s, with the sequence of its arrival: 1, 3, … 99."""

ORDERS = [
    event(EventName.SNAPSHOT_ORDERED, 42, snapshot="a", cluster="orders", within_seconds=0.1),
    event(EventName.SNAPSHOT_ORDERED, 52, snapshot="b", source="a", within_seconds=0.1),
    event(EventName.RESTORE_ORDERED, 110, cluster="new", snapshot="b", within_seconds=0.1),
]
READ = event(EventName.ROWS_FROM, 120, load="main", cluster="new")


def of(there, *events, operations=WRITES):
    rows = {"main": there} if there is not None else {}
    return measure(["main"], history(operations, events, rows))


def until(last):
    """The rows of the writes up to a sequence."""
    return {row for row in written(WRITES) if row.sequence <= last}


def test_the_loss_is_counted_and_dated():
    found = of(until(59), *ORDERS, READ)
    assert found.figures["recovery_point"] == {
        "load": "main",
        "cluster": "new",
        "backup_ordered": "1970-01-01T00:00:09.100Z",
        "acknowledged": 50,
        "present": 30,
        "lost_writes": 20,
        "lost_seconds": 2.0,
        "error_bound_seconds": 0.1,
        "last_present": {"writer": 1, "sequence": 59, "acknowledged": "1970-01-01T00:00:09.951Z"},
        "first_lost": {"writer": 1, "sequence": 61, "acknowledged": "1970-01-01T00:00:10.051Z"},
        "lost_before_backup": 0,
    }
    assert dict(found.rows)["lost with it"] == "20 of 50 acknowledged writes, the last 2.00 s"
    assert verdict(found, {"name": "rpo", "limit": 120}, "lost_before_backup").passed
    late = verdict(found, {"name": "rpo", "limit": 60})
    assert late.reasons == ("objective missed: rpo was 2.0 s, and its limit is 1 s",)


def test_nothing_that_was_acknowledged_before_the_backup_was_ordered_may_be_missing():
    found = of(until(59) - {WrittenRow(1, 11), WrittenRow(1, 41)}, *ORDERS, READ)
    its = found.figures["recovery_point"]
    # 41 was acknowledged after the call was made, and before it was answered.
    assert (its["lost_writes"], its["lost_before_backup"]) == (22, 1)
    assert its["first_lost"]["sequence"] == 11
    told = verdict(found, "lost_before_backup")
    assert told.reasons == ("objective missed: lost_before_backup was 1, and its limit is 0",)
    assert "1 of them from before the backup" in dict(found.rows)["lost with it"]


def test_nothing_from_before_the_latest_restorable_time_may_be_missing_at_a_point_in_time():
    restored = event(
        EventName.RESTORE_ORDERED,
        110,
        cluster="new",
        source="orders",
        restorable="1970-01-01T00:00:09.000Z",
        within_seconds=0.1,
    )
    whole, holed = (
        of(until(59), restored, READ),
        of(until(59) - {WrittenRow(1, 11)}, restored, READ),
    )
    its = whole.figures["recovery_point"]
    assert (its["backup_ordered"], its["lost_writes"]) == ("1970-01-01T00:00:09.000Z", 20)
    assert verdict(whole, "lost_before_backup").passed
    told = verdict(holed, "lost_before_backup")
    assert told.reasons == ("objective missed: lost_before_backup was 1, and its limit is 0",)


def test_where_everything_is_there_nothing_is_lost():
    found = of(until(99), *ORDERS, READ)
    its = found.figures["recovery_point"]
    assert (its["lost_writes"], its["lost_seconds"], its["first_lost"]) == (0, 0.0, None)


def test_an_empty_replacement_has_no_date_and_nothing_passes():
    found = of(set(), *ORDERS, READ)
    its = found.figures["recovery_point"]
    assert (its["present"], its["lost_seconds"], its["lost_before_backup"]) == (0, None, 20)
    assert verdict(found, {"name": "rpo", "limit": 9999}).word == "inconclusive"


@pytest.mark.parametrize(
    ("there", "events"),
    [
        (None, [*ORDERS, READ]),
        (until(59), [READ]),
        (until(59), [*ORDERS[1:], READ]),
        (
            until(59),
            [
                event(EventName.SNAPSHOT_ORDERED, 1, snapshot="b", source="b", within_seconds=0),
                ORDERS[2],
                READ,
            ],
        ),
    ],
)
def test_what_is_not_recorded_is_a_doubt(there, events):
    found = of(there, *events)
    assert found.doubts
    assert verdict(found, "lost_before_backup").word == "inconclusive"


def test_a_run_that_read_nothing_back_elsewhere_has_no_such_figure():
    found = of(until(99), *ORDERS)
    assert found.figures["recovery_point"] is None
    assert found.measured["lost_seconds"] is None
