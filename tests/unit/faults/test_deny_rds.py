"""The fault that denies RDS the key by its policy: one statement more, and then the old policy."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.faults.deny_rds import SID, DenyRds
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo.replay import replay
from tests.support.labs import client

pytestmark = pytest.mark.no_servers

ARN = "arn:aws:kms:eu-west-1:123456789012:key/k"
ROOT = {"AWS": "arn:aws:iam::123456789012:root"}
OF_IAM = {"Effect": "Allow", "Principal": ROOT, "Action": "kms:*", "Resource": "*"}


@pytest.fixture
def kms(lab):
    return client(lab, "kms")


@pytest.fixture
def aws(lab):
    return Aws(lab.region, lab.endpoint, lab=lab.credentials)


def policy_of(kms, key):
    return kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]


STATEMENT = st.fixed_dictionaries({"Sid": st.text(max_size=5), "Effect": st.just("Allow")})


@given(STATEMENT | st.lists(STATEMENT), st.text(max_size=9))
def test_one_statement_is_added_and_everything_else_stays(statement, name):
    old = {"Version": "2012-10-17", "Id": name, "Statement": statement}
    made = DenyRds(ARN, json.dumps(old))
    new = json.loads(made._new())
    before = statement if isinstance(statement, list) else [statement]
    assert new == {**old, "Statement": [*before, made._statement()]}


def test_what_changes_a_key_is_not_denied_and_nothing_but_by_way_of_rds():
    denied = DenyRds(ARN, "{}")._statement()
    by_rds = {"kms:ViaService": "rds.eu-west-1.amazonaws.com"}
    assert denied["Condition"] == {"StringEquals": by_rds}
    for action in ("Put", "Enable", "Disable", "Schedule", "Cancel", "Get", "Tag", "*"):
        assert not any(each.startswith(f"kms:{action}") for each in denied["Action"])


def test_aurora_is_denied_and_nobody_else_until_the_policy_is_as_it_was(lab, kms, aws):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    old = policy_of(kms, key)
    made = DenyRds.of(aws, key)
    assert not made.shows(aws)
    made.inject(aws)
    assert made.shows(aws)
    assert json.loads(policy_of(kms, key))["Statement"][-1]["Sid"] == SID
    kms.encrypt(KeyId=key, Plaintext=b"we are no service")
    for _ in range(2):
        replay(aws, made.undo())
        assert json.loads(policy_of(kms, key)) == json.loads(old)
    assert not made.shows(aws)


def test_a_policy_that_cannot_take_it_is_left_as_it_is(lab, kms, aws, monkeypatch):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    made = DenyRds.of(aws, key)
    made.inject(aws)
    with pytest.raises(Refused, match=f"has a statement {SID} already"):
        DenyRds.of(aws, key)
    replay(aws, made.undo())
    filler = {**OF_IAM, "Sid": "x" * (32 * 1024 - 450)}
    kms.put_key_policy(KeyId=key, Policy=json.dumps({"Statement": [OF_IAM, filler]}))
    with pytest.raises(Refused, match="has no room for one more statement"):
        DenyRds.of(aws, key)
    monkeypatch.setattr("chaosaws_kms_ext.aws.kms.policy", lambda *_: "no json")
    with pytest.raises(Refused, match="cannot be read: it is left as it is"):
        DenyRds.of(aws, key)
