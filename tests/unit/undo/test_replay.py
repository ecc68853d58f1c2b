"""When something is back: values are equal, and documents are, however they are written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.undo import replay as replays
from chaosaws_kms_ext.undo.replay import NotPutBack, is_back, replay, still_wrong
from chaosaws_kms_ext.undo.undo import Call, NotAnUndo, Undo
from chaosaws_kms_lab.data_misbehaviours import order
from tests.support.key_stores import StoreLab, time_of


class Says:
    """An AWS that says one thing."""

    def __init__(self, value):
        self.value = value

    def call(self, service, operation, params):
        if isinstance(self.value, Exception):
            raise self.value
        return {"Policy": self.value}


def undo(wanted):
    policy = {"KeyId": "k", "PolicyName": "default", "Policy": wanted}
    return Undo((Call("kms", "PutKeyPolicy", policy),))


def back(found, wanted):
    return is_back(Says(found), undo(wanted))


documents = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=8,
    ),
    max_size=4,
)


@given(documents, st.randoms(use_true_random=False), st.integers(0, 4))
def test_a_document_is_the_same_however_it_is_written(document, random, indent):
    names = list(document)
    random.shuffle(names)
    other = json.dumps({name: document[name] for name in names}, indent=indent)
    assert back(other, json.dumps(document, ensure_ascii=False))


@given(documents, documents)
def test_documents_that_differ_are_not_the_same(one, other):
    assert back(json.dumps(one), json.dumps(other)) == (one == other)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ("Disabled", "Enabled"),
        ("1", "1.0"),
        ('"Enabled"', "Enabled"),
        ("[1]", "[1.0]"),
        (None, "{}"),
        ("{}", None),
        (None, "Enabled"),
        (True, "true"),
        ("{", "{}"),
        ({}, "{}"),
        ("NaN", "nan"),
    ],
)
def test_anything_else_is_the_same_only_if_it_is_equal(found, wanted):
    assert not back(found, wanted)
    assert back(found, found)
    assert still_wrong(Says(found), undo(wanted)) == f"Policy is {found}, not {wanted}"


def test_what_is_not_answered_is_not_back():
    assert not back(AwsError("no answer"), "Enabled")


# What takes minutes: a custom key store


CONNECT = "ConnectCustomKeyStore"


@pytest.fixture
def lab(tmp_path):
    return StoreLab(tmp_path / "requests.jsonl")


@pytest.fixture
def slept(lab, monkeypatch):
    return time_of(lab, monkeypatch, replays)


def disconnect(lab, seconds=0.0):
    lab.ask("kms", "DisconnectCustomKeyStore", CustomKeyStoreId=lab.store)
    lab.pass_time(seconds)


def connect(lab, store=None):
    return Undo((Call("kms", CONNECT, {"CustomKeyStoreId": store or lab.store}),))


def test_a_store_is_connected_by_one_call_and_waited_for(lab, slept):
    disconnect(lab, 600)
    replay(lab.aws(), connect(lab))
    assert lab.state() == "CONNECTED"
    assert sum(slept) == 50
    assert lab.operations().count(CONNECT) == 1


def test_a_store_that_is_being_disconnected_is_asked_again_until_it_takes_the_call(lab, slept):
    disconnect(lab)
    replay(lab.aws(), connect(lab))
    assert lab.state() == "CONNECTED"
    assert lab.operations().count(CONNECT) == 6
    assert 55 <= sum(slept) <= 60


@pytest.mark.parametrize("already", ["connected", "connecting"])
def test_a_store_that_somebody_connects_is_no_error(lab, slept, already):
    if already == "connecting":
        disconnect(lab, 600)
        lab.ask("kms", CONNECT, CustomKeyStoreId=lab.store)
    replay(lab.aws(), connect(lab))
    assert lab.state() == "CONNECTED"
    assert sum(slept) == (50 if already == "connecting" else 0)


def test_a_store_that_is_disconnected_again_meanwhile_is_connected_again(lab, slept):
    disconnect(lab, 600)
    real, aws = lab.pass_time, lab.aws()

    def somebody(seconds):
        lab.pass_time = real
        real(seconds)
        disconnect(lab)

    lab.pass_time = somebody
    replay(aws, connect(lab))
    assert lab.state() == "CONNECTED"


def test_a_store_that_fails_to_connect_ends_it_with_kms_own_code(lab, slept):
    disconnect(lab, 600)
    order(lab.world, {"kind": "key-store-fails", "code": "XKS_PROXY_TIMED_OUT"})
    with pytest.raises(NotPutBack) as caught:
        replay(lab.aws(), connect(lab))
    assert str(caught.value).startswith(
        "CustomKeyStores[0].ConnectionState is FAILED (XKS_PROXY_TIMED_OUT), not CONNECTED: AWS "
        f'could not do it (kms:{CONNECT} {{"CustomKeyStoreId": "{lab.store}"}}). Mend what it says'
    )
    assert sum(slept) < 70
    # And again, as a watchdog does; until somebody has mended it and disconnected the store.
    with pytest.raises(NotPutBack, match="FAILED"):
        replay(lab.aws(), connect(lab))
    lab.world.data_misbehaviours.clear()
    disconnect(lab)
    replay(lab.aws(), connect(lab))
    assert lab.state() == "CONNECTED"


@pytest.mark.parametrize("within", [60.0, 200.0])
def test_a_store_that_takes_too_long_ends_it_at_the_deadline(lab, slept, within):
    disconnect(lab, 600)
    order(lab.world, {"kind": "key-store-slow", "seconds": 3600})
    with pytest.raises(NotPutBack, match=rf"is CONNECTING, not CONNECTED after {within:.0f} s"):
        replay(lab.aws(), connect(lab), slow_within=within)
    assert within <= sum(slept) <= within + 10


def test_while_a_store_is_connected_aws_may_fall_silent_for_a_minute(lab, slept):
    disconnect(lab, 600)
    order(lab.world, {"kind": "key-store-slow", "seconds": 200})
    aws = lab.aws()
    real, silent = aws.call, []

    def call(service, operation, params):
        if 100 < sum(slept) < 100 + silence and operation == "DescribeCustomKeyStores":
            silent.append(operation)
            raise AwsError("no answer")
        return real(service, operation, params)

    aws.call, silence = call, 50
    replay(aws, connect(lab))
    assert silent
    disconnect(lab, 600)
    slept.clear()
    silence = 5000
    with pytest.raises(NotPutBack, match="no answer"):
        replay(aws, connect(lab))
    assert sum(slept) < 200


def test_an_aws_that_is_silent_from_the_first_call_on_ends_it_after_a_minute(lab, slept):
    disconnect(lab, 600)
    aws = lab.aws()

    def call(service, operation, params):
        raise AwsError("no answer")

    aws.call = call
    with pytest.raises(NotPutBack, match="no answer"):
        replay(aws, connect(lab))
    assert 60 <= sum(slept) <= 62


def test_a_store_that_is_not_there_is_given_up_at_once(lab, slept):
    with pytest.raises(NotPutBack, match="CustomKeyStoreNotFoundException"):
        replay(lab.aws(), connect(lab, "cks-00000000000000000"))
    assert slept == []


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"KeyId": "k"},
        {"CustomKeyStoreId": None},
        {"CustomKeyStoreId": ["cks-1234567890abcdef0"]},
        {"CustomKeyStoreId": "cks-"},
        {"CustomKeyStoreId": "cks-1234567890abcdef0\n"},
        {"CustomKeyStoreId": "cks-" + "a" * 61},
        {"CustomKeyStoreId": "../../key"},
        {"CustomKeyStoreId": "cks-1234567890abcdef0", "KeyId": "k"},
    ],
)
def test_a_file_can_name_nothing_but_a_store(params):
    with pytest.raises(NotAnUndo):
        Undo((Call("kms", CONNECT, params),)).check_about("k")
