"""The durations of an outage, and what makes them doubtful."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.checkers.outage import OutageChecker
from chaosaws_kms_ext.history import EventName
from tests.support.histories import conditions, event, history, load, outage_of_main, ran, started


def check(events=(), operations=None, without=()):
    """What is measured of an outage, but for these events."""
    recorded, usual = outage_of_main()
    kept = [each for each in usual if each.name not in without]
    operations = recorded if operations is None else operations
    return OutageChecker().check(
        history(operations, [*started("main"), *kept, *events]), conditions(outage=True)
    )


def test_every_duration_counts_from_the_answer_of_aws():
    found = check().loads["main"]
    assert found["time_to_impact_seconds"] == pytest.approx(0.45, abs=0.01)
    assert found["time_to_inaccessible_seconds"] == 1.5
    assert found["key_unusable_seconds"] == 3.0
    assert found["outage_seconds"] == pytest.approx(5.05, abs=0.01)
    assert found["time_to_recovery_seconds"] == pytest.approx(2.5, abs=0.01)
    assert found["time_to_available_seconds"] == 2.0
    assert found["recovery_path"] == "self-restart"
    assert check().doubts == []


def test_a_cluster_that_was_started_came_back_by_that():
    found = check([event(EventName.START_CALLED, 170)]).loads["main"]
    assert found["recovery_path"] == "start-db-cluster"
    assert found["recovery"]["start_called_after_seconds"] == 1.0
    assert found["recovery"]["waited_seconds"] == 1.0
    assert found["recovery"]["start_to_available_seconds"] == 1.0


def test_a_status_that_was_never_seen_is_a_doubt():
    found = check(without=[EventName.STATUS])
    assert list(found.doubts) == ["the cluster was never seen to be inaccessible"]
    assert found.loads["main"]["time_to_inaccessible_seconds"] is None
    assert found.loads["main"]["time_to_available_seconds"] is None


def test_without_a_fault_that_alone_is_the_doubt():
    assert list(check(without=[EventName.INJECTED]).doubts) == ["no fault was injected"]


def test_a_load_that_recorded_nothing_leaves_the_outage_unknown():
    found = check(operations=[])
    assert list(found.doubts) == ["nothing was recorded of the load, so the outage is not known"]
    assert found.measured["time_to_recovery_seconds"] is None


def test_a_call_that_took_long_bounds_what_counts_from_it():
    late = event(EventName.INJECTED, 90, key="arn:k", within_seconds=30.0)
    found = check([late], without=[EventName.INJECTED])
    assert found.loads["main"]["time_to_inaccessible_seconds"] is None
    assert any("time to inaccessible is not known: 1.5 s can be off by" in w for w in found.doubts)


def test_a_load_that_nothing_should_happen_to_has_no_outage():
    operations, events = outage_of_main()
    operations += load("copy", *["timeout"] * 200)
    recorded = history(operations, [*started("main", "copy"), *events, *ran("copy", 0, 200)])
    found = OutageChecker().check(recorded, conditions(outage=True)).loads["copy"]
    assert found["outage_seconds"] is None
    assert set(found["timeline"].values()) == {None}


def test_a_key_that_is_taken_away_again_has_an_outage_that_is_not_measured():
    flaps = [*["ok"] * 100, *["timeout"] * 100, *["ok"] * 100, *["timeout"] * 60, *["ok"] * 100]
    operations = load("main", *flaps)
    again = [
        event(EventName.INJECTED, 290, key="arn:k"),
        event(EventName.PUT_BACK, 340),
        event(EventName.LOAD_STOPPED, 460, load="main"),
    ]
    found = check(again, operations, without=[EventName.LOAD_STOPPED])
    assert "the key was taken away again: of two outages only one can be measured" in found.doubts
    assert not check(again[:2]).doubts  # the second one showed nothing
