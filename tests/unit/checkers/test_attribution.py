"""Whom CloudTrail names."""

from __future__ import annotations

import pytest

from tests.support.histories import (
    READY,
    replaced,
    told,
    verdict,
)


@pytest.mark.parametrize(
    ("events", "wrong"),
    [
        ([READY, told()], 0),
        ([READY, told(disabled="arn:you")], 1),
        ([READY, told("arn:you", "arn:you")], 2),
        ([READY, told(enabled=None)], None),
        ([READY], None),
        ([told()], None),
    ],
)
def test_calls_are_misattributed_where_the_trail_names_another(events, wrong):
    measured = replaced(*events)
    assert measured.measured["misattributed_calls"] == wrong
    word = {None: "inconclusive", 0: "passed"}.get(wrong, "failed")
    assert verdict(measured, "misattributed_calls").word == word


def test_what_the_trail_did_not_tell_is_unmeasured():
    measured = replaced(READY, told(unknown=["no failed Decrypt was delivered"]))
    assert measured.doubts == ("no failed Decrypt was delivered",)
