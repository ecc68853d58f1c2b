"""Schedules are believed only where they are as we make them."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.aws import names
from chaosaws_kms_ext.undo.switch import Armed
from chaosaws_kms_ext.undo.undo import Call

KEY = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000"
OURS = {
    "name": names.schedules(KEY)[0],
    "call": Call("kms", "EnableKey", {"KeyId": KEY}),
    "run": "20261124T100000Z-abc123",
    "owner": "o",
    "cluster": "orders",
    "key": KEY,
}


def test_one_of_ours_is_ours():
    assert Armed(**OURS).is_ours


@pytest.mark.parametrize(
    "change",
    [
        {"name": "undo-another"},
        {"run": "../../elsewhere"},
        {"call": Call("kms", "EnableKey", {"KeyId": "arn:aws:kms:eu-west-1:1:key/another"})},
        {"call": Call("rds", "StartDBCluster", {"DBClusterIdentifier": "payments"})},
        {"call": Call("kms", "EnableKey", {"KeyId": KEY, "More": "x"})},
    ],
)
def test_a_schedule_that_does_something_else_is_not(change):
    assert not Armed(**OURS | change).is_ours
