"""What is said of the loss of a secondary key."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.history import EventName
from tests.support.histories import ALL_WELL, event, history, load, measure, ran, verdict

SECRET, INSIGHTS, STREAM = "master-secret", "performance-insights", "activity-stream"
NOTHING = dict.fromkeys(("usable_without_key", "unusable_afterwards"))


def use(number, works, of=SECRET, **more):
    its = {"code": "" if works else "DecryptionFailure", "why": "", "status": "active"}
    its |= {"cached_login": None, "newest_record": None, "within_seconds": 0.1}
    return event(EventName.SECONDARY_USE, number, key_of=of, works=works, **(its | more))


def lost(number, of=SECRET, key="arn:s"):
    return [
        event(EventName.SECONDARY_KEY, number - 1, key_of=of, key=key),
        event(EventName.INJECTED, number, key=key, cluster="orders", within_seconds=0.1),
    ]


def back(number, key="arn:s"):
    return event(EventName.PUT_BACK, number, key=key, cluster="orders", within_seconds=0.1)


def told(of=SECRET, key="arn:s", failed=3):
    its = {"taken": "2026-11-23T10:00:00+00:00", "failed_decrypts": failed, "why": ""}
    return event(EventName.SECONDARY_TOLD, 190, key_of=of, key=key, **its)


def measured(*events):
    operations = load("main", *ALL_WELL)
    return measure(["main"], history(operations, [*ran("main", 0, 200), *events]))


LOST = [use(10, True), *lost(20), use(24, False, cached_login=True), back(60), use(64, True)]


def test_a_secret_that_is_lost_with_its_key_is_said_with_all_that_followed():
    found = measured(*LOST, told())
    (its,) = found.figures["secondary_keys"]
    assert its == {
        "key_of": SECRET,
        "key": "arn:s",
        "usable_without_key": False,
        "error": "DecryptionFailure",
        "time_to_failure_seconds": 0.2,
        "error_bound_seconds": 0.2,
        "cached_login": True,
        "status": "active",
        "newest_record": None,
        "usable_afterwards": True,
        "told": {
            "cloudtrail": "2026-11-23T10:00:00+00:00",
            "failed_decrypts": 3,
            "rds_events": [],
            "alarms": [],
        },
    }
    row = dict(found.rows)["without secret key"]
    assert "lost after 0.20 s ± 0.20 (DecryptionFailure)" in row
    assert "a login with the password read before works" in row
    assert "no RDS event, no alarm" in row
    asked = ("usable_without_key", "unusable_afterwards", "missed_arrivals")
    assert verdict(found, *asked).passed


def test_who_was_told_meanwhile_is_named_and_nobody_else():
    def alarm(number, name, before):
        its = {"alarm": name, "state": "ALARM", "before": before, "date": ""}
        return event(EventName.ALARM, number, **its, within_seconds=0.2)

    found = measured(
        *LOST,
        event(EventName.RDS_EVENT, 15, event="RDS-EVENT-0001"),
        event(EventName.RDS_EVENT, 30, event="RDS-EVENT-0418"),
        alarm(31, "keys", "OK"),
        alarm(32, "always", "ALARM"),
        alarm(90, "late", "OK"),
    )
    its = found.figures["secondary_keys"][0]["told"]
    assert (its["rds_events"], its["alarms"]) == (["RDS-EVENT-0418"], ["keys"])
    assert its["cloudtrail"] is None
    assert "told by RDS-EVENT-0418, keys" in dict(found.rows)["without secret key"]


def test_what_works_without_its_key_misses_the_objective():
    found = measured(*lost(20), use(24, True), back(60), use(64, True))
    why = verdict(found, "usable_without_key").reasons
    assert why == ("objective missed: usable_without_key was 1, and its limit is 0",)
    assert "still usable" in dict(found.rows)["without secret key"]


def test_what_failed_for_a_moment_and_then_worked_counts_as_usable():
    found = measured(*lost(20), use(24, False), use(30, True), back(60), use(64, True))
    assert found.measured["usable_without_key"] == 1


def test_what_does_not_work_again_misses_the_other():
    found = measured(*lost(20), use(24, False), back(60), use(64, False))
    why = verdict(found, "unusable_afterwards").reasons
    assert why == ("objective missed: unusable_afterwards was 1, and its limit is 0",)
    assert "not usable again" in dict(found.rows)["without secret key"]


@pytest.mark.parametrize(
    "events",
    [
        [*lost(20), back(60), use(64, True)],
        [*lost(20), use(24, None), back(60), use(64, True)],
        [*lost(20), use(24, False), back(60)],
        [*lost(20), use(24, False)],
        lost(20)[:1],
    ],
)
def test_what_is_not_known_is_a_doubt_and_nothing_passes(events):
    found = measured(*events)
    assert found.doubts
    assert verdict(found, "usable_without_key", "unusable_afterwards").word == "inconclusive"


def test_what_the_cluster_does_not_have_is_said_and_the_others_are_judged():
    none = event(EventName.SECONDARY_KEY, 70, key_of=STREAM, key=None)
    found = measured(*LOST, none)
    assert [each["key"] for each in found.figures["secondary_keys"]] == ["arn:s", None]
    assert found.figures["secondary_keys"][1]["told"] is None
    rows = dict(found.rows)
    assert rows["without activity stream key"] == "not tried: the cluster has none"
    assert verdict(found, "usable_without_key", "unusable_afterwards").passed


def test_where_it_has_none_at_all_nothing_was_tried_and_nothing_passes():
    found = measured(event(EventName.SECONDARY_KEY, 70, key_of=STREAM, key=None))
    assert "the cluster has none of these keys, so nothing was tried" in found.doubts


def test_of_several_each_is_measured_by_its_own_key():
    found = measured(
        *LOST,
        *lost(80, INSIGHTS, "arn:i"),
        use(82, False, INSIGHTS, code="NotAuthorizedException"),
        back(120, "arn:i"),
        use(124, True, INSIGHTS),
        told(),
        told(INSIGHTS, "arn:i", 7),
    )
    secret, insights = found.figures["secondary_keys"]
    assert (secret["error"], insights["error"]) == ("DecryptionFailure", "NotAuthorizedException")
    assert insights["time_to_failure_seconds"] == 0.1
    assert (secret["told"]["failed_decrypts"], insights["told"]["failed_decrypts"]) == (3, 7)


def test_a_run_about_something_else_has_no_such_figure():
    found = measured()
    assert found.figures["secondary_keys"] is None
    assert {name: found.measured[name] for name in NOTHING} == NOTHING
