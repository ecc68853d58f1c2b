"""How long of the recovery the cluster was under maintenance."""

from __future__ import annotations

from chaosaws_kms_ext.checkers.maintenance import Maintenance
from chaosaws_kms_ext.history import EventName
from tests.support.histories import conditions, event, history, outage_of_main, started

WITHOUT = "time_to_available_without_maintenance_seconds"
ASKED = {"name": "rto_without_maintenance", "limit": 60}


def status(number, cluster, meaning="changing", within=0.2):
    return event(
        EventName.STATUS, number, key="Enabled", cluster=cluster, meaning=meaning,
        within_seconds=within,
    )  # fmt: skip


def checked(*seen, without=(), asked=()):
    """The key goes at 90 and comes back at 150; an arrival takes 0.05 s."""
    operations, events = outage_of_main()
    events = [
        each
        for each in events
        if each.name not in without and (each.name != EventName.STATUS or each.at < events[2].at)
    ]
    its = history(operations, [*started("main"), *events, *seen])
    return Maintenance().check(its, conditions(outage=True, objectives=asked))


RECOVERED = status(250, "available", "accessible")
SEEN = (status(160, "starting"), status(170, "maintenance"), status(210, "starting"), RECOVERED)


def test_its_time_is_told_from_the_rest_of_the_recovery():
    found = checked(*SEEN)
    assert found.figures["maintenance"] == {
        "spells": [{"status": "maintenance", "seconds": 2.0, "error_bound_seconds": 0.4}],
        WITHOUT: 3.0,
    }
    assert found.measured == {WITHOUT: 3.0}
    assert found.rows == [
        (
            "maintenance",
            "status maintenance for 2.00 s ± 0.40 of the recovery · available without it after "
            "3.00 s",
        )
    ]


def test_a_recovery_without_maintenance_is_its_own_time():
    found = checked(status(160, "starting"), RECOVERED)
    assert found.figures["maintenance"] == {"spells": [], WITHOUT: 5.0}
    assert not found.rows


def test_each_time_counts_once_whatever_was_seen_in_between():
    found = checked(
        status(160, "modifying"), status(165, "modifying"), status(180, "starting"),
        status(200, "upgrading"), RECOVERED,
    )  # fmt: skip
    spells = found.figures["maintenance"]["spells"]
    assert [(each["status"], each["seconds"]) for each in spells] == [
        ("modifying", 1.0), ("upgrading", 2.5),
    ]  # fmt: skip
    assert found.figures["maintenance"][WITHOUT] == 1.5


def test_what_came_after_the_recovery_or_before_the_key_is_not_of_it():
    found = checked(
        status(100, "maintenance"), status(140, "lost"), *SEEN[:1], RECOVERED,
        status(260, "maintenance"),
    )  # fmt: skip
    assert found.figures["maintenance"] == {"spells": [], WITHOUT: 5.0}


def test_maintenance_in_which_the_key_comes_back_counts_from_then_on():
    found = checked(status(149, "maintenance", within=9.0), status(200, "starting"), RECOVERED)
    assert found.figures["maintenance"] == {
        "spells": [{"status": "maintenance", "seconds": 2.5, "error_bound_seconds": 0.2}],
        WITHOUT: 2.5,
    }


def test_a_cluster_that_never_came_back_has_no_time_without_it():
    found = checked(*SEEN[:2], asked=[ASKED])
    assert found.figures["maintenance"]["spells"] == [
        {"status": "maintenance", "seconds": None, "error_bound_seconds": None}
    ]
    assert found.measured == {WITHOUT: None}
    assert "not measured" in found.rows[0][1]


def test_a_time_that_is_inexact_is_left_out_and_the_rest_may_still_be_known():
    near = (SEEN[0], status(170, "maintenance", within=1.1), *SEEN[2:])
    found = checked(*near, asked=[ASKED])
    assert found.figures["maintenance"]["spells"][0]["seconds"] is None
    assert found.figures["maintenance"][WITHOUT] == 3.0
    assert not found.doubts


def test_looks_that_are_too_far_apart_are_a_doubt_where_it_is_asked_for():
    far = (SEEN[0], status(170, "maintenance", within=9.0), *SEEN[2:])
    assert checked(*far).figures["maintenance"][WITHOUT] is None
    assert not checked(*far).doubts
    (why,) = checked(*far, asked=[ASKED]).doubts
    assert why.startswith("time to available without maintenance is not known: 3.0 s can be off by")


def test_without_the_keys_return_there_is_nothing_to_say():
    found = checked(*SEEN, without=[EventName.PUT_BACK])
    assert found.figures == {"maintenance": None}
    assert found.measured == {WITHOUT: None}
