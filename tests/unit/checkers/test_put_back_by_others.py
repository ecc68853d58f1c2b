"""Who put the key back: what tells that it was not this run."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.checkers.outage import OutageChecker
from chaosaws_kms_ext.checkers.put_back_by_others import PutBackByOthers
from chaosaws_kms_ext.history import EventName
from tests.support.histories import conditions, event, history, outage_of_main, started

ENABLED = [
    event(EventName.STATUS, 100, key="Disabled", meaning="accessible"),
    event(EventName.STATUS, 130, key="Enabled", meaning="recoverable"),
]


def recorded(more=(), back=150, without=(), **details):
    operations, events = outage_of_main()
    kept = [each for each in events if each.name not in (EventName.PUT_BACK, *without)]
    put_back = event(EventName.PUT_BACK, back, key="arn:k", **details)
    return history(operations, [*started("main"), *kept, *more, put_back])


def test_a_key_that_this_run_put_back_says_nothing():
    assert PutBackByOthers().check(recorded(), conditions(outage=True)).doubts == ()


@pytest.mark.parametrize(
    ("history_", "said"),
    [
        (
            recorded(by="chaos kms restore"),
            "the key was put back by `chaos kms restore`, not by this run",
        ),
        (
            recorded(ENABLED),
            "the key was Enabled before this run put it back: somebody else did",
        ),
        (
            recorded(back=250, without=[EventName.STATUS]),
            "the database answered again before this run put the key back",
        ),
    ],
)
def test_one_that_others_put_back_is_said_and_no_duration_counts_from_there(history_, said):
    assert list(PutBackByOthers().check(history_, conditions(outage=True)).doubts) == [said]
    found = OutageChecker().check(history_, conditions(outage=True)).loads["main"]
    for figure in ("time_to_recovery_seconds", "key_unusable_seconds", "time_to_available_seconds"):
        assert found[figure] is None
    assert found["outage_seconds"] is not None


def test_without_an_outage_nobody_asks():
    assert PutBackByOthers().check(recorded(ENABLED), conditions()).doubts == ()
