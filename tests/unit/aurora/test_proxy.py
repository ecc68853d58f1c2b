"""The probes of an RDS Proxy where RDS does not say what they want to know."""

from __future__ import annotations

import pytest
from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.aurora import proxy
from chaosaws_kms_ext.aws.client import Aws, AwsError
from tests.support.in_process_aws import InProcessAws
from tests.support.in_process_lab import InProcessLab
from tests.support.proxies import new_proxy, new_secret


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Has a proxy that stands before no cluster; this process plays a run on AWS."""
    lab = InProcessLab(tmp_path / "requests.jsonl")
    aws = InProcessAws(lab, tmp_path)
    monkeypatch.setattr(Aws, "of", lambda run: aws)
    monkeypatch.setenv("CHAOS_TARGET", "aws")
    monkeypatch.setenv("CHAOS_CLUSTER_ID", "orders")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    runs.end()
    yield lab
    runs.end()


def test_without_a_fault_of_the_run_nobody_waits_for_its_writer(lab):
    assert proxy.wait_until_proxy_reaches_writer("front") == {"why": "nothing to wait for"}


def test_who_waits_for_one_that_is_gone_is_told_at_once(lab):
    new_proxy(lab, new_secret(lab, None), cluster="")
    lab.client("rds").delete_db_proxy(DBProxyName="front")
    with pytest.raises(AwsError, match="DB proxy front not found"):
        proxy._wait(runs.current(), "front", "lose its writer", 3, lost=True)


def test_a_secret_whose_key_cannot_be_asked_for_does_not_end_a_run(lab):
    own, gone = new_secret(lab, None), new_secret(lab, None)
    new_proxy(lab, own, cluster="")
    new_proxy(lab, gone, "back", cluster="")
    lab.client("secretsmanager").delete_secret(SecretId=gone, ForceDeleteWithoutRecovery=True)
    assert proxy.proxy_targets("front")["secrets"] == {own: ""}
    assert proxy.proxy_targets("back")["secrets"] == {gone: None}


def test_one_that_is_not_there_is_one_sentence(lab):
    with pytest.raises(ActivityFailed) as caught:
        proxy.proxy_targets("nowhere")
    assert "\n" not in str(caught.value)
