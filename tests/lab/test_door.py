"""Who answers what: ours, moto, or a clean refusal."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import psutil
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.support.labs import client

pytestmark = pytest.mark.common_lab


@pytest.mark.parametrize(
    ("service", "operation", "params"),
    [
        ("kms", "get_public_key", {"KeyId": "alias/orders"}),
        ("rds", "reboot_db_cluster", {"DBClusterIdentifier": "orders"}),
        ("cloudtrail", "list_public_keys", {}),
        ("fis", "list_actions", {}),
        (
            "iam",
            "simulate_custom_policy",
            {"PolicyInputList": ["{}"], "ActionNames": ["kms:EnableKey"]},
        ),
    ],
)
def test_what_nobody_implements_is_an_aws_error_that_names_the_operation(
    lab, service, operation, params
):
    asked = client(lab, service)
    name = asked.meta.method_to_api_mapping[operation]
    with pytest.raises(ClientError) as refused:
        getattr(asked, operation)(**params)
    error = refused.value.response["Error"]
    assert error["Code"] == "NotImplemented"
    assert name in error["Message"] or "GET /actions" in error["Message"]


def test_the_rest_of_aws_is_moto(lab):
    assert client(lab, "sts").get_caller_identity()["Account"] == "123456789012"
    s3 = client(lab, "s3", "us-east-1")
    s3.create_bucket(Bucket="orders-archive")
    s3.put_object(Bucket="orders-archive", Key="k", Body=b"content")
    assert s3.get_object(Bucket="orders-archive", Key="k")["Body"].read() == b"content"


def test_every_call_is_in_the_request_log(lab):
    client(lab, "kms").list_keys()
    with pytest.raises(ClientError):
        client(lab, "kms").describe_key(KeyId="nonsense")
    last = [json.loads(line) for line in lab.requests.read_text().splitlines()][-2:]
    assert [(call["operation"], call["status"]) for call in last] == [
        ("ListKeys", 200),
        ("DescribeKey", 400),
    ]


def test_it_listens_on_loopback_only(lab):
    tree = psutil.Process(lab._child.process.pid)
    listening = [
        connection.laddr.ip
        for process in [tree, *tree.children(recursive=True)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 2
    assert all(address.startswith("127.") for address in listening)


@pytest.mark.parametrize("junk", [b"", b"\x00\xff", b"Action=DescribeDBClusters&MaxRecords=x"])
def test_junk_is_answered_and_the_door_stays_open(lab, junk):
    headers = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=lab/20260101/eu-west-1/rds/aws4_request"
    }
    request = urllib.request.Request(lab.endpoint, data=junk, headers=headers)
    with pytest.raises(urllib.error.HTTPError) as answered:
        urllib.request.urlopen(request, timeout=10)
    assert b"<html" not in answered.value.read().lower()
    address = urlsplit(lab.endpoint)
    with socket.create_connection((address.hostname, address.port)) as raw:
        raw.sendall(junk)
    assert client(lab, "rds").describe_db_clusters()["DBClusters"]


def raw(lab, body, service="kms", target="TrentService.CreateKey", **headers):
    """The status and the body of what a request without any SDK is answered."""
    asked = AWSRequest(
        method="POST",
        url=f"{lab.endpoint}/",
        data=body,
        headers={"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"} | headers,
    )
    SigV4Auth(Credentials("lab", lab.secret_key), service, "eu-west-1").add_auth(asked)
    sent = dict(asked.headers.items()) | headers
    request = urllib.request.Request(
        lab.endpoint, data=body, headers={k: v for k, v in sent.items() if v}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


@pytest.mark.parametrize(
    "body",
    [
        b'{"Description": "x',
        b"[]",
        b"1",
        b'{"Tags": 5}',
        b'{"Tags": [{"TagKey": {}}]}',
        b'{"Policy": "{\\"Version\\": [], \\"Statement\\": [{}]}"}',
        b'{"Policy": "' + b"[" * 20000 + b'"}',
    ],
)
def test_what_cannot_be_read_is_refused_and_changes_nothing(lab, body):
    before = client(lab, "kms").list_keys()["Keys"]
    status, said = raw(lab, body)
    assert status == 400
    assert b'"__type"' in said
    assert client(lab, "kms").list_keys()["Keys"] == before


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"KeyId": "k", "Plaintext": "eA==", "EncryptionContext": {"a": 1}}', b"Validation"),
        (
            b'{"KeyId": "k", "Plaintext": "eA==", "EncryptionContext": {"a": "\\ud800"}}',
            b"Validation",
        ),
        (b'{"Plaintext": "eA=="}', b"Validation"),
    ],
)
def test_parameters_of_another_kind_are_refused(lab, body, said):
    status, answer = raw(lab, body, target="TrentService.Encrypt")
    assert status == 400
    assert said in answer


def test_a_service_that_nobody_knows_and_one_that_is_addressed_wrongly_are_answered(lab):
    for answered in (
        raw(lab, b"{}", service="no-such-service"),
        raw(lab, b"a=b", **{"Content-Type": "application/x-www-form-urlencoded"}),
        raw(lab, b"{}", Authorization=""),
    ):
        assert 400 <= answered[0] < 502
        assert b"<html" not in answered[1].lower()


def test_the_name_of_a_service_may_be_in_capitals(lab):
    status, said = raw(lab, b"{}", service="KMS", target="TrentService.ListKeys")
    assert status == 200
    assert json.loads(said)["Keys"]


@pytest.mark.parametrize("length", ["abc", "-1"])
def test_a_length_that_is_none_is_refused_at_once(lab, length):
    address = urlsplit(lab.endpoint)
    with socket.create_connection((address.hostname, address.port), timeout=5) as sent:
        head = f"POST / HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {length}"
        sent.sendall(f"{head}\r\n\r\n".encode())
        assert b" 400 " in sent.recv(4096)


def test_what_no_answer_could_say_is_not_taken(lab):
    rds = client(lab, "rds")
    arn = rds.describe_db_clusters(DBClusterIdentifier="orders")["DBClusters"][0]["DBClusterArn"]
    for key, value in [("ctl", "x\x01y"), ("aws:x", "1"), ("k" * 129, "1"), ("k", "v" * 257)]:
        with pytest.raises(ClientError):
            rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": key, "Value": value}])
    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "größe", "Value": "日本 +-=._:/@"}])
    assert rds.describe_db_clusters()["DBClusters"]
