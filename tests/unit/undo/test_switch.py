"""Schedules are believed only where they are as we make them."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.aws import names
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo.switch import Armed, arm, undo_of
from chaosaws_kms_ext.undo.undo import Call, Undo

KEY = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000"
UNDO = Undo((Call("kms", "EnableKey", {"KeyId": KEY}),))
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


def test_each_cluster_has_a_schedule_of_its_own_behind_the_calls_of_the_undo():
    key_id = KEY.rpartition("/")[2]
    assert names.schedules(KEY, 1, 3) == (
        f"undo-{key_id}",
        f"start-{key_id}",
        f"start-2-{key_id}",
        f"start-3-{key_id}",
    )
    every = names.schedules(KEY)
    assert len(every) == len(set(every)) == names.MOST_CALLS + names.MOST_CLUSTERS
    assert max(map(len, every)) <= 64  # EventBridge Scheduler API reference, CreateSchedule


def starts(cluster, name, **more):
    call = Call("rds", "StartDBCluster", {"DBClusterIdentifier": cluster})
    return Armed(**OURS | {"call": call, "cluster": cluster, "name": name} | more)


def test_what_starts_another_cluster_is_ours_and_no_call_of_the_undo():
    every = names.schedules(KEY)
    found = [starts("carts", every[3]), starts("orders", every[2]), Armed(**OURS)]
    assert all(each.is_ours for each in found)
    assert undo_of(found).actions == ("kms:EnableKey",)
    assert not starts("carts", f"start-99-{KEY.rpartition('/')[2]}").is_ours


def test_what_starts_an_instance_is_ours_too():
    call = Call("rds", "StartDBInstance", {"DBInstanceIdentifier": "orders"})
    found = starts("db:orders", names.schedules(KEY)[2], call=call)
    assert found.is_ours
    assert found.starts


def test_more_clusters_than_there_are_schedules_are_refused():
    many = [f"c{number}" for number in range(names.MOST_CLUSTERS + 1)]
    with pytest.raises(Refused, match="the switch can start 20 databases, not 21"):
        arm(None, "", run="r1", owner="o", clusters=many, key=KEY, undo=UNDO, after=1)


STORE = {"CustomKeyStoreId": "cks-1234567890abcdef0"}


def connects(params):
    return Armed(**OURS | {"call": Call("kms", "ConnectCustomKeyStore", params)})


def test_what_connects_a_key_store_is_ours():
    assert connects(STORE).is_ours
    assert undo_of([connects(STORE)]).actions == ("kms:ConnectCustomKeyStore",)


@pytest.mark.parametrize(
    "params", [{}, {"CustomKeyStoreId": "x"}, {"KeyId": KEY}, {**STORE, "KeyId": KEY}]
)
def test_what_connects_no_key_store_is_not(params):
    assert not connects(params).is_ours


@pytest.mark.parametrize(
    "change",
    [
        {"name": "undo-another"},
        {"run": "../../elsewhere"},
        {"call": Call("kms", "EnableKey", {"KeyId": "arn:aws:kms:eu-west-1:1:key/another"})},
        {"call": Call("rds", "StartDBCluster", {"DBClusterIdentifier": "payments"})},
        {"call": Call("kms", "EnableKey", {"KeyId": KEY, "More": "x"})},
        {"call": Call("rds", "StartDBInstance", {"DBInstanceIdentifier": "orders"})},
        {
            "cluster": "db:orders",
            "call": Call("rds", "StartDBCluster", {"DBClusterIdentifier": "orders"}),
        },
        {
            "cluster": "db:orders",
            "call": Call("rds", "StartDBInstance", {"DBInstanceIdentifier": "payments"}),
        },
    ],
)
def test_a_schedule_that_does_something_else_is_not(change):
    assert not Armed(**OURS | change).is_ours
