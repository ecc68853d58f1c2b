"""When somebody could know: status, RDS event, alarm, health check; and that nobody could."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaosaws_kms_ext.checkers.time_to_know import TimeToKnow
from chaosaws_kms_ext.history import EventName, Operation
from tests.support.histories import (
    SETTINGS,
    at,
    conditions,
    event,
    history,
    measure,
    outage_of_main,
    started,
    verdict,
)

WATCHED = replace(SETTINGS, alarms=("errors", "latency"))
ASKED = {"name": "time_to_alarm", "limit": 180}
"""3 s on this lab."""


def alarm(number, state, before="OK", name="errors", within=0.2):
    return event(
        EventName.ALARM, number, alarm=name, state=state, before=before, within_seconds=within
    )


def rds_event(number, name="RDS-EVENT-0418", within=0.2):
    return event(EventName.RDS_EVENT, number, event=name, source="i", within_seconds=within)


KNOWN = [alarm(2, "OK", None), alarm(2, "OK", None, "latency")]
"""The first look at the alarms."""
BLIND = event(EventName.ALARMS_UNKNOWN, 100, why="throttled")


def recorded(*more, put_back=True, connects=None):
    """The fault at arrival 90, seen inaccessible at 120, put back at 150: 1.5 s and 3 s later."""
    operations, events = outage_of_main()
    if connects is not None:
        operations = [o for o in operations if o.kind != "connect"] + connects
    if not put_back:
        events = [each for each in events if each.name != EventName.PUT_BACK]
    return history(operations, [*started("main"), *events, *more])


def check(*more, settings=WATCHED, asked=(), outage=True, **how):
    return TimeToKnow().check(recorded(*more, **how), conditions(outage, asked, settings))


def known(*more, **how):
    return check(*more, **how).figures["time_to_know"]


def test_each_counts_from_the_key_being_taken_away_and_says_how_exact_it_is():
    found = known(*KNOWN, rds_event(115), alarm(130, "ALARM", name="latency", within=0.4))
    assert found == {
        "status": {"seconds": 1.5, "bound": 0.0},
        "rds_event": {
            "seconds": 1.25,
            "bound": 0.2,
            "event": "RDS-EVENT-0418",
            "by": "DescribeEvents",
        },
        "alarm": {"seconds": 2.0, "bound": 0.4, "name": "latency"},
        "health_check": {"seconds": 3.0, "bound": 0.0},
    }


def test_a_person_reads_it_in_one_row():
    found = check(*KNOWN, rds_event(115), alarm(130, "ALARM"))
    assert found.rows == [
        (
            "time to know",
            "status 1.50 s ± 0.00 · RDS-EVENT-0418 by DescribeEvents 1.25 s ± 0.20 · "
            "alarm errors 2.00 s ± 0.20 · new connection failed 3.00 s ± 0.00",
        )
    ]
    found = check(settings=SETTINGS, connects=[])
    assert found.rows == [
        ("time to know", "status 1.50 s ± 0.00 · no RDS event seen · no new connection failed")
    ]
    assert "no alarm within 3.00 s" in check(*KNOWN).rows[0][1]
    assert "alarms not known" in check().rows[0][1]


def test_what_was_not_seen_is_none_and_no_doubt():
    found = check(settings=SETTINGS, connects=[])
    its = found.figures["time_to_know"]
    assert (its["rds_event"], its["alarm"], its["health_check"]) == (None, None, None)
    assert found.measured == {"time_to_alarm_seconds": None}
    assert found.doubts == ()


def test_without_a_fault_there_is_nothing_to_know():
    assert known(*KNOWN, outage=False) is None
    nothing = TimeToKnow().check(history(), conditions(True))
    assert nothing.figures == {"time_to_know": None}
    assert nothing.rows == ()


# RDS events


def test_the_first_event_of_a_loss_after_the_fault_counts():
    before, back = rds_event(80), rds_event(100, "RDS-EVENT-0420")
    found = known(before, back, rds_event(110, "RDS-EVENT-0419"), rds_event(112))["rds_event"]
    assert (found["seconds"], found["bound"], found["event"]) == (1.0, 0.2, "RDS-EVENT-0419")


def test_it_says_by_which_way_the_event_came():
    of_queue = event(EventName.RDS_EVENT, 110, event="RDS-EVENT-0418", by="EventBridge")
    assert known(of_queue)["rds_event"]["by"] == "EventBridge"
    assert "RDS-EVENT-0418 by EventBridge 1.00 s" in check(of_queue).rows[0][1]


# New connections


def connect(begin, end, outcome):
    return Operation("main", 0, begin, "connect", at(begin), at(begin), at(end), outcome, None)


@pytest.mark.parametrize(
    ("tries", "seconds"),
    [
        ([connect(91, 92, "ok"), connect(96, 140, "timeout"), connect(98, 100, "error")], 0.5),
        ([connect(91, 110, "lost")], 1.0),
        ([connect(88, 92, "error")], None),  # it began before the fault
        ([connect(91, 110, "aborted")], None),
        ([connect(91, 92, "ok")], None),
    ],
)
def test_the_end_of_the_first_try_that_failed_counts(tries, seconds):
    found = known(connects=tries)["health_check"]
    assert (found and found["seconds"]) == seconds


# Alarms


def test_only_an_alarm_that_goes_off_after_the_fault_counts():
    its = [
        alarm(50, "ALARM", name="latency"),  # and stays so
        alarm(100, "INSUFFICIENT_DATA"),
        alarm(120, "ALARM", "INSUFFICIENT_DATA"),
    ]
    assert known(*KNOWN, *its)["alarm"]["seconds"] == 1.5


@pytest.mark.parametrize(
    "late",
    [
        [],
        [alarm(160, "ALARM")],
        [alarm(50, "ALARM")],
        [alarm(50, "ALARM"), alarm(100, "OK", "ALARM")],
        [alarm(100, "MISSING")],
    ],
    ids=["none", "after the key was put back", "before the fault", "and ended", "deleted"],
)
def test_no_alarm_while_the_key_is_away_is_measured_and_misses_any_limit(late):
    none = {"seconds": None, "bound": None, "name": None, "not_within_seconds": 3.0}
    assert known(*KNOWN, *late)["alarm"] == none
    found = measure(["main"], recorded(*KNOWN, *late), outage=True, settings=WATCHED)
    said = verdict(found, {"name": "time_to_alarm", "limit": 7200}, settings=WATCHED)
    assert said.word == "failed"
    assert said.reasons[0] == (
        "objective missed: time_to_alarm was not within 3.0 s, and its limit is 120 s"
    )


def test_one_that_may_have_gone_off_before_the_key_was_put_back_counts():
    assert known(*KNOWN, alarm(153, "ALARM", within=0.2))["alarm"]["seconds"] == 3.15
    assert known(*KNOWN, alarm(154, "ALARM", within=0.2))["alarm"]["seconds"] is None


def test_an_experiment_can_limit_it():
    def word(number):
        its = recorded(*KNOWN, alarm(number, "ALARM"))
        return verdict(measure(["main"], its, True, WATCHED), ASKED, settings=WATCHED).word

    assert word(150) != "failed"
    assert word(151) == "failed"


@pytest.mark.parametrize(
    ("looks", "why"),
    [
        ([], "no look at one is recorded before the fault"),
        ([alarm(110, "OK", None)], "no look at one is recorded before the fault"),
        ([*KNOWN, BLIND], "throttled"),
        ([*KNOWN, BLIND, alarm(120, "OK")], "throttled"),
    ],
)
def test_alarms_that_could_not_be_read_are_unknown_and_a_doubt_where_they_are_asked_for(looks, why):
    assert known(*looks)["alarm"] is None
    assert check(*looks).doubts == ()
    assert check(*looks, asked=[ASKED]).doubts == [f"whether an alarm went off is not known: {why}"]


def test_a_look_that_failed_before_the_fault_or_after_it_all_does_no_harm():
    early = event(EventName.ALARMS_UNKNOWN, 20, why="throttled")
    late = event(EventName.ALARMS_UNKNOWN, 160, why="throttled")
    assert known(*KNOWN, early, alarm(40, "OK"), late)["alarm"]["not_within_seconds"] == 3.0
    assert known(*KNOWN, early)["alarm"] is None  # never read again


def test_an_alarm_that_is_seen_after_a_long_silence_is_too_inexact():
    found = check(*KNOWN, BLIND, alarm(130, "ALARM", within=1.5), asked=[ASKED])
    assert found.figures["time_to_know"]["alarm"] == {
        "seconds": None, "bound": 1.5, "name": "errors",
    }  # fmt: skip
    (why,) = found.doubts
    assert why.startswith("time to alarm is not known: 2.0 s can be off by 1.5 s")


def test_where_no_alarm_is_named_the_objective_cannot_be_judged():
    found = check(settings=SETTINGS, asked=[ASKED])
    assert found.doubts == ["no alarm was watched: CHAOS_ALARMS names none"]


def test_while_the_key_is_not_known_to_be_back_no_alarm_is_late():
    found = check(*KNOWN, asked=[ASKED], put_back=False)
    assert found.figures["time_to_know"]["alarm"] is None
    assert found.doubts == [
        "whether an alarm went off is not known: when the key was put back is not known"
    ]
