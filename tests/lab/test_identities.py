"""Callers that IAM knows are held to their policies, and are whom a key policy names."""

from __future__ import annotations

import boto3
import pytest
from botocore.config import Config

from tests.support.clusters import refusal
from tests.support.identities import ALL, document, session, user

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers]

ACCOUNT = "123456789012"


@pytest.fixture
def key(own_lab):
    return own_lab.client("kms").create_key()["KeyMetadata"]["KeyId"]


def deny(own_lab, key, arn):
    allow = {**ALL, "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}
    no = {"Effect": "Deny", "Action": "kms:Encrypt", "Resource": "*", "Principal": {"AWS": arn}}
    own_lab.client("kms").put_key_policy(KeyId=key, Policy=document(allow, no))


@pytest.mark.parametrize("path", ["/", "/team/db/"])
def test_a_deny_of_a_role_is_one_of_its_sessions(own_lab, key, path):
    role, kms = session(own_lab, path)
    kms.encrypt(KeyId=key, Plaintext=b"x")
    deny(own_lab, key, role["Arn"])
    assert refusal(kms.encrypt, KeyId=key, Plaintext=b"x") == "AccessDeniedException"


@pytest.mark.parametrize("path", ["/", "/team/db/"])
def test_a_deny_of_a_user_holds_whatever_their_path(own_lab, key, path):
    made, _, kms = user(own_lab, path)
    kms.encrypt(KeyId=key, Plaintext=b"x")
    deny(own_lab, key, made["Arn"])
    assert refusal(kms.encrypt, KeyId=key, Plaintext=b"x") == "AccessDeniedException"


def test_a_session_has_no_more_than_it_was_narrowed_to(own_lab, key):
    narrow = {"Effect": "Allow", "Action": "kms:Describe*", "Resource": "*"}
    _, kms = session(own_lab, Policy=document(narrow))
    kms.describe_key(KeyId=key)
    assert refusal(kms.encrypt, KeyId=key, Plaintext=b"x") == "AccessDeniedException"


def test_a_session_outlives_its_role_without_any_permission(own_lab, key):
    role, kms = session(own_lab)
    iam = own_lab.client("iam")
    iam.delete_role_policy(RoleName=role["RoleName"], PolicyName="kms")
    iam.delete_role(RoleName=role["RoleName"])
    assert refusal(kms.encrypt, KeyId=key, Plaintext=b"x") == "AccessDeniedException"


def test_an_inactive_access_key_may_nothing(own_lab, key):
    made, access, kms = user(own_lab)
    own_lab.client("iam").update_access_key(
        UserName=made["UserName"], AccessKeyId=access["AccessKeyId"], Status="Inactive"
    )
    assert refusal(kms.encrypt, KeyId=key, Plaintext=b"x") == "AccessDeniedException"


def test_tagging_a_new_key_takes_the_permission_for_keys_not_for_everything(own_lab):
    made, _, kms = user(own_lab)
    keys_only = {
        "Effect": "Allow",
        "Action": "kms:TagResource",
        "Resource": f"arn:aws:kms:*:{ACCOUNT}:key/*",
    }
    create = {"Effect": "Allow", "Action": "kms:CreateKey", "Resource": "*"}
    put = own_lab.client("iam").put_user_policy
    tags = [{"TagKey": "a", "TagValue": "1"}]
    put(UserName=made["UserName"], PolicyName="kms", PolicyDocument=document(create))
    assert refusal(kms.create_key, Tags=tags) == "AccessDeniedException"
    put(UserName=made["UserName"], PolicyName="kms", PolicyDocument=document(create, keys_only))
    kms.create_key(Tags=tags)


def test_nobody_is_served_without_a_signature(lab):
    from botocore import UNSIGNED

    nobody = boto3.client(
        "kms",
        endpoint_url=lab.endpoint,
        region_name=lab.region,
        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
    )
    code = refusal(nobody.disable_key, KeyId="alias/orders")
    assert code == "MissingAuthenticationTokenException"
