"""Tables of the page that are made from events and calls."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.history import SECOND, EventName
from chaosaws_kms_ext.history.aws_calls import AwsCall
from chaosaws_kms_ext.report.page import records
from tests.support.histories import event, history

KEY = "arn:aws:kms:eu-west-1:123456789012:key/k"


def call(operation, at=1, **more):
    values = {"seconds": 0.5, "service": "kms", "named": "k", "outcome": "ok", **more}
    return AwsCall(at=at, operation=operation, **values)


def test_what_was_attacked_and_by_whom():
    its = history(
        events=[
            event(EventName.TARGET, 1, cluster="orders", key=KEY),
            event(EventName.READY, 2, caller="arn:me"),
            event(
                EventName.INJECTED,
                3,
                fault="disable-key",
                key=KEY,
                cluster="orders",
                others=["carts"],
            ),
        ]
    )
    assert list(records.targets(its).rows) == [
        ("cluster of the run", "orders"),
        ("its key", KEY),
        ("disable-key", f"{KEY}, of orders"),
        ("lost its key with it", "carts"),
        ("by", "arn:me"),
    ]


def test_every_finding_of_the_guard_stands_there_with_its_instant():
    finding = {"about": "consent", "state": "ok", "why": "the key carries the tag chaos:allow=kms"}
    other = {"about": "backup", "state": "refused", "why": "there is none"}
    its = history(events=[event(EventName.GUARD, 1, findings=[finding, other])])
    when = its.in_utc(its.events[0].at)
    assert list(records.guard_found(its).rows) == [
        ("consent", "ok", "the key carries the tag chaos:allow=kms", when),
        ("backup", "refused", "there is none", when),
    ]


def test_every_safeguard_stands_there_with_its_instant():
    its = history(
        events=[
            event(EventName.SAFEGUARDS, 1, key=KEY, armed={"watchdog": "a watchdog (pid 3)"}),
            event(EventName.JOURNAL_OPENED, 2, key=KEY, entry="/e"),
            event(EventName.SWITCH_ARMED, 3, schedules=["s"], due="2026"),
            event(EventName.JOURNAL_CLOSED, 4, entry="/e"),
        ]
    )
    assert [row[:2] for row in records.safeguards(its).rows] == [
        ("watchdog", "a watchdog (pid 3)"),
        ("undo journal", "the undo was written: /e"),
        ("switch", "armed: s, due 2026"),
        ("undo journal", "closed: /e"),
    ]


def test_a_read_that_is_made_again_is_one_row_until_something_may_change():
    looks = [call("DescribeKey", SECOND), call("ListGrants"), call("DescribeKey", 2 * SECOND)]
    made = [*looks, call("DisableKey", outcome="ThrottlingException", retries=4), *looks]
    rows = list(records.calls(replace(history(), calls=made)).rows)
    assert [(row[1], row[3], row[5][:1]) for row in rows] == [
        ("kms:DescribeKey", "ok", "2"),
        ("kms:ListGrants", "ok", "1"),
        ("kms:DisableKey", "ThrottlingException, tried 5 times", "1"),
        ("kms:DescribeKey", "ok", "2"),
        ("kms:ListGrants", "ok", "1"),
    ]
    assert rows[0][5] == "2, the last at 1970-01-01T00:00:02.500Z"


OPERATIONS = st.sampled_from(["DescribeKey", "ListGrants", "DisableKey", "EnableKey"])


@given(st.lists(st.builds(call, OPERATIONS, outcome=st.sampled_from(["ok", "no answer"]))))
def test_no_call_is_left_out_and_none_that_changes_something_is_put_together(made):
    found = records.repeated(made)
    assert sum(each.times for each in found) == len(made)
    changing = [each.first for each in found if each.first.changes]
    assert changing == [each for each in made if each.changes]
    assert {each.times for each in found if each.first.changes} <= {1}
