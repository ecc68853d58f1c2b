"""Misbehaviours of the API: each kind, for a count, for a time, and none that nobody ordered."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours, NotALab
from chaosaws_kms_lab.misbehaviours import KINDS, ApiMisbehaviour, BadOrder
from tests.support.chaos import Chaos
from tests.support.clusters import refusal
from tests.support.labs import client, program, until

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers, pytest.mark.thorough]


@pytest.fixture
def key(kms):
    return kms.create_key()["KeyMetadata"]["KeyId"]


def state(kms, key):
    return kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]


@pytest.mark.parametrize(
    ("kind", "service", "code", "status"),
    [
        ("throttling", "kms", "ThrottlingException", 400),
        ("throttling", "rds", "Throttling", 400),
        ("error", "kms", "KMSInternalException", 500),
        ("error", "rds", "InternalFailure", 500),
        ("expired-token", "kms", "ExpiredTokenException", 403),
        ("expired-token", "rds", "ExpiredToken", 403),
        ("throttling", "sts", "ThrottlingException", 400),
    ],
)
def test_the_next_calls_of_an_operation_are_refused_as_aws_refuses_them(
    lab, misbehaviours, kind, service, code, status
):
    calls = {
        "kms": client(lab, "kms").list_keys,
        "rds": client(lab, "rds").describe_db_clusters,
        "sts": client(lab, "sts").get_caller_identity,
    }
    operations = {"kms": "ListKeys", "rds": "DescribeDBClusters", "sts": "GetCallerIdentity"}
    misbehaviours.order(kind=kind, service=service, operation=operations[service], count=2)
    for _ in range(2):
        with pytest.raises(ClientError) as refused:
            calls[service]()
        assert refused.value.response["Error"]["Code"] == code
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    calls[service]()
    assert misbehaviours.holding() == []


def test_other_operations_and_services_go_on(lab, kms, misbehaviours, key):
    misbehaviours.order(kind="error", service="kms", operation="DisableKey")
    assert refusal(kms.disable_key, KeyId=key) == "KMSInternalException"
    kms.enable_key(KeyId=key)
    client(lab, "rds").describe_db_clusters()
    misbehaviours.clear()
    kms.disable_key(KeyId=key)


def test_before_means_that_nothing_was_done_and_after_that_it_was(kms, misbehaviours, key):
    for kind, code, afterwards in [
        ("error", "KMSInternalException", "Enabled"),
        ("error-after", "KMSInternalException", "Disabled"),
    ]:
        misbehaviours.order(kind=kind, service="kms", operation="DisableKey", count=1)
        assert refusal(kms.disable_key, KeyId=key) == code
        assert state(kms, key) == afterwards
    kms.enable_key(KeyId=key)
    for kind, afterwards in [("cut", "Enabled"), ("cut-after", "Disabled")]:
        misbehaviours.order(kind=kind, service="kms", operation="DisableKey", count=1)
        with pytest.raises(ConnectionClosedError):
            kms.disable_key(KeyId=key)
        assert state(kms, key) == afterwards


def test_an_answer_is_late_and_holds_up_nobody_else(kms, misbehaviours, key):
    misbehaviours.order(kind="delay", service="kms", operation="DescribeKey", seconds=4, count=1)

    def late():
        state(kms, key)
        return time.monotonic()

    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(late)
        until(lambda: misbehaviours.holding() == [])
        kms.list_keys()
        others = time.monotonic()
        assert waiting.result() >= max(others, began + 4)


def test_a_stale_describe_key_says_the_old_state_for_a_while(kms, misbehaviours, key):
    misbehaviours.order(kind="stale", service="kms", operation="DescribeKey", seconds=2)
    before = time.monotonic()
    kms.disable_key(KeyId=key)
    seen = []

    def look():
        seen.append((state(kms, key), time.monotonic()))
        return seen[-1][0] == "Disabled"

    until(look)
    assert seen[-1][1] >= before + 2
    assert {said for said, _ in seen[:-1]} == {"Enabled"}
    assert refusal(kms.encrypt, KeyId=key, Plaintext=b"x") == "DisabledException"


def test_a_fault_ends_with_its_time(kms, misbehaviours):
    misbehaviours.order(kind="throttling", service="kms", **{"for": 3})
    assert refusal(kms.list_keys) == "ThrottlingException"
    until(lambda: misbehaviours.holding() == [])
    kms.list_keys()


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ({"kind": "nonsense", "service": "kms"}, "there is no misbehaviour 'nonsense'"),
        ({"kind": "delay", "service": "kms"}, "delay needs seconds"),
        ({"kind": "delay", "service": "kms", "seconds": 1e9}, "at most 600"),
        ({"kind": "stale", "service": "rds", "seconds": 1}, "only kms DescribeKey"),
        ({"kind": "error"}, "needs a kind and a service: there is no service"),
        ({"kind": "error", "service": "kms", "count": "x"}, "seconds, count and for are numbers"),
        ({"kind": "error", "service": "kms", "cuont": 2}, "has no 'cuont'"),
        ({"kind": "error", "service": "kms", "count": 0}, "count is a number of calls"),
    ],
)
def test_an_order_that_makes_no_sense_is_one_sentence(misbehaviours, order, said):
    with pytest.raises(NotALab, match=said):
        misbehaviours.order(**order)
    assert misbehaviours.holding() == []


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("https://kms.eu-west-1.amazonaws.com", "is not a lab on this machine"),
        ("http://192.0.2.1:4566", "is not a lab on this machine"),
        ("", "No lab is named"),
    ],
)
def test_faults_are_for_a_lab_on_this_machine_only(endpoint, said):
    with pytest.raises(NotALab, match=said):
        Misbehaviours(endpoint)


def test_what_is_no_lab_is_one_sentence():
    with pytest.raises(NotALab, match="no lab answers"):
        Misbehaviours("http://127.0.0.1:9").holding()


def test_faults_are_ordered_from_a_shell(lab, kms, key, tmp_path):
    chaos = Chaos(tmp_path, lab.environment)

    def fault(*arguments):
        return chaos.kms("lab", "fault", *arguments)

    ordered = fault("add", "throttling", "kms", "DisableKey", "--count", "1")
    assert json.loads(ordered.output)["operation"] == "DisableKey"
    assert json.loads(fault("list").output)["count"] == 1
    assert refusal(kms.disable_key, KeyId=key) == "ThrottlingException"
    kms.disable_key(KeyId=key)
    assert fault("clear").output == "No misbehaviours.\n"
    assert json.loads(fault("add", "cut", "KMS", "disable-key").output)["operation"] == "DisableKey"
    fault("clear")
    for arguments, said in [
        (("nonsense", "kms"), "there is no misbehaviour"),
        (("error", "kms", "DisableKeys"), "kms has no operation 'DisableKeys'"),
        (("error", "foo"), "there is no service 'foo'"),
    ]:
        wrong = fault("add", *arguments)
        assert wrong.status == 1
        assert said in wrong.output
        assert "Traceback" not in wrong.output


def test_help_needs_no_lab_and_an_order_says_that_it_does():
    def fault(*arguments):
        command = [program("chaos"), "--no-version-check", "kms", "lab", "fault", *arguments]
        return subprocess.run(command, env={}, capture_output=True, text=True)

    assert "KIND" in fault("add", "--help").stdout
    assert "No lab is named" in fault("list").stderr


@given(
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(["kms", "*"]),
    st.sampled_from(["DescribeKey", "*"]),
    st.integers(1, 5),
    st.integers(0, 10),
)
def test_a_counted_fault_meets_exactly_as_many_calls(kind, service, operation, count, calls):
    order = {"kind": kind, "service": service, "operation": operation, "count": count}
    try:
        fault = ApiMisbehaviour.ordered(order | {"seconds": 1})
    except BadOrder:  # it is for kms DescribeKey alone
        assert kind == "stale"
        return
    met = 0
    for _ in range(calls):
        if fault.meets("kms", "DescribeKey"):
            met += 1
            fault.count -= 1
    assert met == min(count, calls)
    assert not fault.meets("sts", "GetCallerIdentity") or service == operation == "*"


def test_mixed_calls_meet_no_error_that_nobody_ordered_and_none_hangs(lab, misbehaviours):
    """600 calls on 8 threads, while misbehaviours are ordered and ended."""
    ordered = {"ThrottlingException", "Throttling", "KMSInternalException", "InternalFailure"}
    unexpected, slow, stop = [], [], threading.Event()

    def caller(number):
        kms, rds = client(lab, "kms"), client(lab, "rds")
        orders = "arn:aws:rds:eu-west-1:123456789012:cluster:orders"
        calls = [
            (kms.create_key, {"Description": str(number)}),
            (kms.list_keys, {"Limit": 5}),
            (kms.encrypt, {"KeyId": "alias/orders", "Plaintext": b"x"}),
            (rds.describe_db_clusters, {}),
            (rds.add_tags_to_resource, {"ResourceName": orders, "Tags": [{"Key": "a"}]}),
        ]
        for turn in range(75):
            call, params = calls[turn % len(calls)]
            began = time.monotonic()
            try:
                call(**params)
            except ClientError as refused:
                if refused.response["Error"]["Code"] not in ordered:
                    unexpected.append(refused)
            except ConnectionClosedError:
                pass
            slow.append(time.monotonic() - began)

    def mischief():
        while not stop.wait(0.05):
            for kind in ("throttling", "error", "error-after", "cut"):
                misbehaviours.order(kind=kind, service="*", count=2)
            if len(slow) % 2:
                misbehaviours.clear()

    threads = [threading.Thread(target=caller, args=(n,)) for n in range(8)]
    troublemaker = threading.Thread(target=mischief)
    for thread in (*threads, troublemaker):
        thread.start()
    for thread in threads:
        thread.join(150)
    stop.set()
    troublemaker.join(60)
    assert len(slow) == 600
    assert unexpected == []
    assert max(slow) < 20  # after which the client gives up
    misbehaviours.clear()
    assert client(lab, "kms").list_keys()["Keys"]
