"""Who answers what: ours, moto, or a clean refusal."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import psutil
import pytest
from botocore.exceptions import ClientError

from tests.conftest import client


@pytest.mark.parametrize(
    ("service", "operation", "params"),
    [
        ("kms", "get_public_key", {"KeyId": "alias/orders"}),
        ("rds", "reboot_db_cluster", {"DBClusterIdentifier": "orders"}),
        ("cloudtrail", "lookup_events", {}),
        ("fis", "list_actions", {}),
        (
            "iam",
            "simulate_principal_policy",
            {"PolicySourceArn": "arn:aws:iam::123456789012:user/app", "ActionNames": ["kms:*"]},
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
        ("ListKeys", 200), ("DescribeKey", 400),
    ]  # fmt: skip


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
