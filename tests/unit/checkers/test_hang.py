"""Hangs, by what the witnesses saw."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.checkers import hang
from chaosaws_kms_ext.history import Operation
from tests.support.histories import at, conditions, history, outage_of_main, started


def witnessed(*spans):
    return [
        Operation("main", 0, n, "session", sent, sent, done, outcome, None)
        for n, (sent, done, outcome) in enumerate(spans)
    ]


def hung(operations):
    return hang.hung(operations, impact=100, slack=5, until=200)


def test_what_still_waited_at_the_end_hung_whatever_became_of_it():
    def waited(sent, until):
        return hang.hung(witnessed((sent, until + 9, "lost")), impact=100, slack=5, until=until)

    assert waited(200, 10**9) is True
    assert waited(10**9 - 1000, 10**9) is None


def test_neither_an_answer_nor_an_error_is_a_hang():
    assert hung(witnessed((50, 60, "ok"), (120, 180, "timeout"), (250, 260, "ok"))) is True


@pytest.mark.parametrize("outcome", ["ok", "error", "lost"])
def test_an_answer_or_an_error_during_the_outage_is_no_hang(outcome):
    assert hung(witnessed((110, 160, "timeout"), (170, 180, outcome))) is False


def test_what_was_sent_just_before_and_never_answered_hung():
    assert hung(witnessed((99, 180, "timeout"))) is True


def test_what_was_answered_while_the_hang_began_counts_neither_way():
    assert hung(witnessed((103, 104, "ok"), (120, 180, "timeout"))) is True
    assert hung(witnessed((103, 104, "ok"))) is None


def test_nothing_tried_is_not_known():
    assert hung([]) is None
    assert hung(witnessed((20, 30, "ok"))) is None


def test_what_the_end_of_the_load_cut_says_nothing():
    assert hung(witnessed((120, 180, "aborted"))) is None
    assert hung(witnessed((120, 170, "timeout"), (171, 180, "aborted"))) is True
    assert hung(witnessed((120, 170, "ok"), (171, 180, "aborted"))) is False


def test_each_load_that_the_fault_hits_is_looked_at_and_no_other():
    operations, events = outage_of_main()
    refused = [
        o._replace(load="reader", outcome="lost", done=at(130))
        if o.kind == "connect"
        else o._replace(load="reader")
        for o in operations
    ]
    others = [o._replace(load="copy") for o in operations]
    its = ("main", "reader", "copy")
    recorded = history([*operations, *refused, *others], [*started(*its), *events])
    found = hang.Hang().check(recorded, conditions(outage=True)).loads
    assert [tuple(found[load]["hang"].values()) for load in its] == [
        (True, True),
        (True, False),
        (None, None),
    ]
