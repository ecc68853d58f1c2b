"""What others did in a run that only watched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaosaws_kms_ext.checkers import CHECKERS
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.report import summary
from chaosaws_kms_ext.report.verdict import Course
from tests.support.histories import (
    ENDED,
    conditions,
    event,
    history,
    outage_of_main,
    started,
    told,
)


def watched(expected=True):
    return replace(conditions(expected, ["rto", "lost_writes"]), by_others=True)


def by_others(events, seen_by="key-state", within=0.2):
    """The same events, but the key is others' doing."""
    more = {"by": "others", "seen_by": seen_by, "within_seconds": within}
    of = {EventName.INJECTED, EventName.PUT_BACK}
    return [
        each._replace(details={**each.details, **more}) if each.name in of else each
        for each in events
    ]


def checked(recorded, its):
    return CHECKERS["by_others"].check(recorded, its)


def whole(seen_by="key-state", within=0.2, more=()):
    operations, events = outage_of_main()
    its = [*started("main"), *by_others(events, seen_by, within), *more, ENDED]
    return history(operations, its)


def test_an_outage_that_others_brought_about_is_measured_and_passes():
    judged = summary.judge(whole(), watched())
    assert judged.verdict.word == "passed", judged.verdict
    assert judged.summary["by_others"] == {
        "taken": {"seen_by": "key-state", "within_seconds": 0.2},
        "back": {"seen_by": "key-state", "within_seconds": 0.2},
    }
    assert judged.summary["bounds"]["time_to_recovery_seconds"] >= 0.2
    assert judged.summary["recovery_path"] is None  # others may have started it


def test_what_only_the_status_showed_is_too_inexact_for_the_time_to_recovery():
    judged = summary.judge(whole("cluster-status", 60.0), watched())
    assert judged.verdict.word == "inconclusive"
    assert judged.summary["time_to_recovery_seconds"] is None
    assert judged.summary["outage_seconds"] is not None
    assert any("neither the key's state nor its policy" in why for why in judged.verdict.reasons)


def test_the_path_is_known_where_cloudtrail_knows_it():
    audit = event(EventName.AUDIT, 299, **{**told(None, None).details, "started_by": None})
    assert summary.judge(whole(more=[audit]), watched()).summary["recovery_path"] == "self-restart"


def test_that_nobody_came_is_a_doubt_and_says_so_once():
    operations, _ = outage_of_main()
    judged = summary.judge(history(operations[:100], [*started("main"), ENDED]), watched())
    assert judged.verdict.word == "inconclusive"
    assert judged.verdict.reasons[0].startswith("nobody was seen to take the key away within 180 s")
    assert "no fault was injected" not in judged.verdict.reasons


def test_somebody_who_was_not_expected_fails_the_run():
    found = checked(whole(), watched(expected=False))
    assert found.failures == [
        "somebody took the key away, and CHAOS_EXPECT_LOSS says that nobody would"
    ]
    assert checked(history(), watched(expected=False)).failures == []


@pytest.mark.parametrize("its", [conditions(True), conditions()])
def test_of_every_other_run_it_says_nothing(its):
    found = checked(whole(), its)
    assert (found.figures, found.doubts, found.rows) == ({"by_others": None}, (), ())


def test_a_watching_run_that_was_killed_has_no_key_to_put_back():
    _, events = outage_of_main()
    taken = by_others(events)[:1]
    assert Course.of(history(events=taken)).failures == ()
    ours = [taken[0]._replace(details={"key": "arn:k"})]
    assert "arn:k was put back" in Course.of(history(events=ours)).failures[0]
