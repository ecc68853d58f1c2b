"""The probes that only look: each true, and each false, on a lab that plays AWS."""

from __future__ import annotations

import base64
import itertools
import json
import logging

import pytest
from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext.aurora import probes as aurora_probes
from chaosaws_kms_ext.kms import probes as kms_probes
from chaosaws_kms_ext.load import probes as load_probes
from tests.support.clusters import (
    becomes,
    connect,
    new_cluster,
    new_instance,
    new_writer,
    refusal,
    snapshot_becomes,
    up,
)
from tests.support.labs import client

ACCOUNT = "123456789012"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
LAB_USER = f"arn:aws:iam::{ACCOUNT}:user/lab"
NUMBERS = itertools.count()
AURORA = "rds.amazonaws.com"
NOBODY = "12345678-1234-1234-1234-123456789012"

pytestmark = pytest.mark.usefixtures("on_aws")


@pytest.fixture
def key(kms):
    return kms.create_key()["KeyMetadata"]["Arn"]


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, principal, **more):
    return {"Effect": "Allow", "Action": action, "Principal": principal, "Resource": "*", **more}


def deny(action, principal, **more):
    return {**allow(action, principal, **more), "Effect": "Deny"}


# The key


def test_who_manages_a_key_is_said(rds, lab):
    new_cluster(rds, StorageEncrypted=True)  # which makes aws/rds
    assert kms_probes.key_manager() == "CUSTOMER"
    assert kms_probes.key_manager(key_id=lab.clusters[0]["key"]) == "CUSTOMER"
    assert kms_probes.key_manager(key_id="alias/aws/rds") == "AWS"


def test_a_key_policy_is_a_dict_and_the_very_policy(kms, key):
    put = {"Version": "2012-10-17", "Statement": [allow("kms:*", {"AWS": ROOT}, Sid="All")]}
    kms.put_key_policy(KeyId=key, Policy=json.dumps(put))
    assert kms_probes.key_policy(key_id=key) == put
    kms.create_alias(AliasName="alias/policy", TargetKeyId=key)
    assert kms_probes.key_policy(key_id="alias/policy") == put


def test_rotations_are_told_of(kms, key):
    assert kms_probes.rotation_status(key_id=key) == {
        "automatic": False,
        "next": None,
        "on_demand_started": None,
        "rotations": [],
    }
    kms.enable_key_rotation(KeyId=key)
    kms.rotate_key_on_demand(KeyId=key)
    kms.rotate_key_on_demand(KeyId=key)
    status = kms_probes.rotation_status(key_id=key)
    assert status["automatic"] is True
    assert status["next"] > status["rotations"][1]["date"] > status["rotations"][0]["date"]
    assert [each["type"] for each in status["rotations"]] == ["ON_DEMAND", "ON_DEMAND"]
    assert status["rotations"][0]["date"].endswith("+00:00")


def test_aurora_has_its_grant_until_somebody_revokes_it(kms, rds):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    one = new_cluster(rds, StorageEncrypted=True, KmsKeyId=key)
    other = new_cluster(rds, StorageEncrypted=True, KmsKeyId=key)
    mine, theirs = (each["DBClusterIdentifier"] for each in (one, other))
    assert kms_probes.aurora_has_its_grant(cluster_id=mine)
    assert kms_probes.aurora_has_its_grant()
    (grant,) = kms_probes.grants(cluster_id=mine)
    assert grant["context"] == {"aws:rds:dbc-id": one["DbClusterResourceId"]}
    assert "Decrypt" in grant["operations"]
    assert grant["grantee"] == "rds.eu-west-1.amazonaws.com"
    assert len(kms_probes.grants(key_id=key)) == 2

    kms.revoke_grant(KeyId=key, GrantId=grant["id"])
    assert not kms_probes.aurora_has_its_grant(cluster_id=mine)
    assert kms_probes.aurora_has_its_grant(cluster_id=theirs)
    assert kms_probes.grants(cluster_id=mine) == []


def test_a_cluster_without_a_key_has_no_grant_to_speak_of(rds):
    bare = new_cluster(rds, StorageEncrypted=False)["DBClusterIdentifier"]
    for probe in (kms_probes.aurora_has_its_grant, kms_probes.grants):
        with pytest.raises(ActivityFailed, match="not encrypted under a KMS key"):
            probe(cluster_id=bare)


# The encryption context

SAME = {"app": "shop", "table": "orders"}


@pytest.mark.parametrize(
    ("context", "opens"),
    [
        (SAME, True),
        (dict(reversed(SAME.items())), True),
        ({}, False),
        ({"app": "shop"}, False),
        ({**SAME, "table": "users"}, False),
        ({**SAME, "more": "x"}, False),
        ({"App": "shop", "table": "orders"}, False),
        ({"app": "Shop", "table": "orders"}, False),
    ],
)
def test_only_the_same_encryption_context_decrypts(context, opens):
    made = kms_probes.sealed(SAME)
    assert list(made) == ["ciphertext"]
    assert kms_probes.PLAINTEXT not in base64.b64decode(made["ciphertext"])
    assert kms_probes.decrypts(made["ciphertext"], context) is opens


def test_what_fails_otherwise_is_no_wrong_context(kms, key):
    sealed = kms_probes.sealed({}, key_id=key)["ciphertext"]
    kms.disable_key(KeyId=key)
    with pytest.raises(ActivityFailed, match="kms:Decrypt failed with DisabledException"):
        kms_probes.decrypts(sealed, {})
    with pytest.raises(ActivityFailed, match="kms:Encrypt failed with DisabledException"):
        kms_probes.sealed({}, key_id=key)
    kms.enable_key(KeyId=key)
    other = kms.encrypt(KeyId=key, Plaintext=b"somebody else's")["CiphertextBlob"]
    with pytest.raises(ActivityFailed, match="something else"):
        kms_probes.decrypts(base64.b64encode(other).decode(), {})
    for wrong in ("no base64!", 7, None):
        with pytest.raises(ActivityFailed, match="not base64"):
            kms_probes.decrypts(wrong, {})
    assert not kms_probes.decrypts(base64.b64encode(b"garbage").decode(), {})
    for wrong in ("app=shop", {"app": 7}, None):
        with pytest.raises(ActivityFailed, match="an encryption context holds text"):
            kms_probes.decrypts(sealed, wrong)
        with pytest.raises(ActivityFailed, match="an encryption context holds text"):
            kms_probes.sealed(wrong)


# May they use it?


@pytest.fixture
def person(lab):
    """Makes a user with every permission that IAM can give on KMS: their ARN, and their KMS."""

    def make(iam_allows=True):
        iam, name = client(lab, "iam", "us-east-1"), f"asker-{next(NUMBERS)}"
        iam.create_user(UserName=name)
        if iam_allows:
            all_of_kms = {"Effect": "Allow", "Action": ["kms:*", "rds:*"], "Resource": "*"}
            iam.put_user_policy(
                UserName=name, PolicyName="kms", PolicyDocument=document(all_of_kms)
            )
        access = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
        return f"arn:aws:iam::{ACCOUNT}:user/{name}", access

    return make


@pytest.mark.parametrize("iam_allows", [True, False])
@pytest.mark.parametrize(
    "number",
    range(9),
    ids=[
        "default",
        "named",
        "denied",
        "not-principal",
        "when-context",
        "via",
        "other-action",
        "tagged",
        "nobody",
    ],
)
def test_the_answer_is_what_really_happens(lab, kms, key, person, iam_allows, number):
    arn, access = person(iam_allows)
    me, everybody = {"AWS": arn}, {"AWS": "*"}
    administrator = allow("kms:*", {"AWS": LAB_USER})
    policies = [
        [allow("kms:*", {"AWS": ROOT})],
        [allow("kms:Encrypt", me)],
        [allow("kms:*", {"AWS": ROOT}), deny("kms:Enc*", me)],
        [allow("kms:*", me), {**deny("kms:*", None), "NotPrincipal": {"AWS": [LAB_USER, ROOT]}}],
        [allow("kms:*", everybody, Condition={
            "StringEquals": {"kms:EncryptionContext:app": "shop", "kms:CallerAccount": ACCOUNT},
        })],
        [allow("kms:*", me, Condition={"StringLike": {"kms:ViaService": "rds.*"}})],
        [allow("kms:*", me), deny(["kms:Decrypt", "kms:ReEncrypt*"], everybody)],
        [allow("kms:*", me, Condition={"Null": {"aws:ResourceTag/app": "true"}})],
        [],
    ]  # fmt: skip
    for statement in policies[number]:
        if "NotPrincipal" in statement:
            del statement["Principal"]
    kms.put_key_policy(KeyId=key, Policy=document(administrator, *policies[number]))
    for context in ({"app": "shop"}, {}):
        told = kms_probes.key_policy_allows("Encrypt", arn, key, context=context)
        asked = {"KeyId": key, "Plaintext": b"x", "EncryptionContext": context}
        try:
            client(lab, "kms", access_key=access).encrypt(**asked)
            really = True
        except kms.exceptions.ClientError as refused:
            assert refused.response["Error"]["Code"] == "AccessDeniedException"
            really = False
        if "IAM" in told["why"] and not iam_allows:
            assert (told["allowed"], really) == (True, False)  # as it says: if IAM allows it too
            assert told["why"].endswith("if IAM allows it too")
        else:
            assert told["allowed"] in (None, really), told
        assert kms_probes.key_policy_lets("Encrypt", arn, key, context=context) is (
            told["allowed"] is True
        )


def test_who_asks_is_whoever_signs_by_default(kms, key):
    assert kms_probes.key_policy_lets("kms:DescribeKey", key_id=key)
    answer = kms_probes.key_policy_allows("kms:DescribeKey", key_id=key)
    assert answer["why"].endswith("if IAM allows it too")
    mine = allow("kms:*", {"AWS": LAB_USER}, Sid="Me")
    kms.put_key_policy(KeyId=key, Policy=document(mine))
    answer = kms_probes.key_policy_allows("kms:DescribeKey", key_id=key)
    assert answer == {"allowed": True, "why": "the key policy itself lets it (the statement Me)"}


def test_a_session_is_known_by_its_role_with_its_path(lab, kms, key, monkeypatch):
    iam, name = client(lab, "iam", "us-east-1"), f"app-{next(NUMBERS)}"
    trust = document(allow("sts:AssumeRole", {"AWS": "*"}))
    role = iam.create_role(RoleName=name, Path="/team/", AssumeRolePolicyDocument=trust)["Role"]
    look = {"Effect": "Allow", "Action": ["kms:*", "iam:GetRole"], "Resource": "*"}
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(look))
    only = {"ArnEquals": {"aws:PrincipalArn": role["Arn"]}}
    policy = document(
        allow("kms:*", {"AWS": LAB_USER}), allow("kms:*", {"AWS": "*"}, Condition=only)
    )
    kms.put_key_policy(KeyId=key, Policy=policy)
    given = client(lab, "sts").assume_role(RoleArn=role["Arn"], RoleSessionName="one")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", given["Credentials"]["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", given["Credentials"]["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", given["Credentials"]["SessionToken"])
    assert kms_probes.key_policy_lets("kms:Encrypt", key_id=key, context={})
    assert kms_probes.sealed({}, key_id=key)


USE = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]


@pytest.mark.parametrize("with_the_account", [False, True])
def test_a_deny_takes_the_key_from_aurora_unless_it_spares_the_account(
    lab, kms, rds, key, person, with_the_account
):
    """The origin's F6: the person is excepted in both."""
    arn, access = person()
    spared = {"aws:PrincipalArn": [arn, LAB_USER]}
    if with_the_account:
        spared["kms:CallerAccount"] = ACCOUNT
    others = deny(USE, "*", Sid="OnlyMe", Condition={"StringNotEquals": spared})
    kms.put_key_policy(KeyId=key, Policy=document(allow("kms:*", {"AWS": ROOT}), others))

    assert kms_probes.key_policy_lets("kms:Encrypt", arn, key)
    client(lab, "kms", access_key=access).encrypt(KeyId=key, Plaintext=b"x")
    for needed in ("kms:DescribeKey", "kms:CreateGrant"):
        assert kms_probes.key_policy_lets(needed, arn, key, via_service="rds")
    aurora = kms_probes.key_policy_allows("kms:Decrypt", AURORA, key, as_granted=True)
    assert aurora["allowed"] is with_the_account
    params = {"StorageEncrypted": True, "KmsKeyId": key}
    as_person = client(lab, "rds", access_key=access)
    if not with_the_account:
        assert aurora["why"] == "the statement OnlyMe of the key policy denies it"
        params |= {"DBClusterIdentifier": "denied", "Engine": "aurora-postgresql"}
        assert refusal(as_person.create_db_cluster, **params) == "KMSKeyNotAccessibleFault"
        return
    made = new_cluster(as_person, **params)
    context = {"aws:rds:dbc-id": made["DbClusterResourceId"]}
    told = kms_probes.key_policy_allows("kms:Decrypt", AURORA, key, context=context)
    assert told == {"allowed": True, "why": "a grant on the key lets it"}
    assert not kms_probes.key_policy_lets(
        "kms:Decrypt", AURORA, key, context={"aws:rds:dbc-id": "cluster-OTHER"}
    )


def test_an_answer_that_cannot_be_told_lets_nothing_and_is_logged(kms, key, caplog):
    there = {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}
    policy = document(allow("kms:*", {"AWS": ROOT}), deny("kms:Sign", "*", Condition=there))
    kms.put_key_policy(KeyId=key, Policy=policy)
    told = kms_probes.key_policy_allows("kms:Sign", LAB_USER, key)
    assert told["allowed"] is None
    with caplog.at_level(logging.INFO, "chaostoolkit"):
        assert not kms_probes.key_policy_lets("kms:Sign", LAB_USER, key)
    assert "statement 2 of the key policy may deny it: aws:SourceIp cannot be told" in caplog.text


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"principal": "alice"}, "is no principal"),
        ({"principal": ["a"]}, "is no principal"),
        ({"key_id": NOBODY}, "kms:DescribeKey failed with NotFoundException"),
        ({"context": "app=shop"}, "encryption context"),
        ({"context": {"app": 1}}, "encryption context"),
        ({"action": ""}, "action"),
        ({"action": ["kms:Decrypt"]}, "action"),
        ({"via_service": "r d s"}, "is no service"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(wrong, why):
    asked = {"action": "kms:Decrypt", **wrong}
    with pytest.raises(ActivityFailed, match=why):
        kms_probes.key_policy_allows(**asked)


# Clusters and snapshots


def test_a_cluster_is_under_the_very_key_that_is_named(kms, rds, key, caplog):
    cluster = new_cluster(rds, StorageEncrypted=True, KmsKeyId=key)["DBClusterIdentifier"]
    bare = new_cluster(rds, StorageEncrypted=False)["DBClusterIdentifier"]
    kms.create_alias(AliasName="alias/very-key", TargetKeyId=key)
    for name in (key, key.rpartition("/")[2], "alias/very-key"):
        assert aurora_probes.encrypted_under(cluster, name)
    assert not aurora_probes.encrypted_under("orders", key)
    assert "is encrypted under" in caplog.text
    assert not aurora_probes.encrypted_under(bare, key)
    assert "is not encrypted" in caplog.text


def test_the_clusters_of_a_key_are_found(rds, key):
    names = [
        new_cluster(rds, StorageEncrypted=True, KmsKeyId=key)["DBClusterIdentifier"]
        for _ in range(2)
    ]
    assert aurora_probes.clusters_using_key(key) == sorted(names)
    assert aurora_probes.clusters_using_key() == ["orders"]


def test_a_snapshot_says_how_it_is_encrypted(kms, rds, lab):
    key = lab.clusters[0]["key"]
    rds.create_db_cluster_snapshot(
        DBClusterIdentifier="orders", DBClusterSnapshotIdentifier="shown"
    )
    snapshot_becomes(rds, "shown", "available")
    assert aurora_probes.snapshot_encryption("shown") == {
        "snapshot": "shown",
        "status": "available",
        "encrypted": True,
        "key": key,
        "key_manager": "CUSTOMER",
    }
    with pytest.raises(ActivityFailed, match="DBClusterSnapshotNotFoundFault"):
        aurora_probes.snapshot_encryption("nobody")


# Rows


def test_a_restored_cluster_has_the_same_rows_until_one_changes(rds, caplog):
    rds.create_db_cluster_snapshot(DBClusterIdentifier="orders", DBClusterSnapshotIdentifier="rows")
    snapshot_becomes(rds, "rows", "available")
    rds.restore_db_cluster_from_snapshot(
        DBClusterIdentifier="copy", SnapshotIdentifier="rows", Engine="aurora-postgresql"
    )
    becomes(rds, {"DBClusterIdentifier": "copy"}, "available")
    up(rds, new_instance(rds, {"DBClusterIdentifier": "copy"}))
    ours = load_probes.table_checksum("users")
    assert ours["table"] == "users"
    assert ours["rows"] == 4
    assert load_probes.table_checksum("public.users", cluster_id="copy", database="shop") == {
        **ours,
        "table": "public.users",
    }
    assert load_probes.rows_equal("users", "copy", database="shop")
    copy = rds.describe_db_clusters(DBClusterIdentifier="copy")["DBClusters"][0]
    with connect({**copy, "DatabaseName": "shop"}) as connection:
        connection.execute("UPDATE users SET name = 'bob' WHERE name = 'Bob'")
        assert not load_probes.rows_equal("users", "copy", "orders", database="shop")
        assert "4 rows in copy and 4 in orders, but not the same" in caplog.text
        connection.execute("DELETE FROM users WHERE name = 'bob'")
        assert not load_probes.rows_equal("users", "copy", database="shop")
        assert "users has 3 rows in copy and 4 in orders" in caplog.text


def test_a_table_that_is_not_there_is_one_sentence(rds):
    with pytest.raises(ActivityFailed, match="nobody of orders: the database has no table nobody"):
        load_probes.table_checksum("nobody")
    with pytest.raises(ActivityFailed, match="DBClusterNotFoundFault"):
        load_probes.table_checksum("users", cluster_id="nobody")
    for wrong in (7, None, ["users"], {"users": 1}):
        with pytest.raises(ActivityFailed):
            load_probes.table_checksum(wrong)
    empty = new_writer(rds)["DBClusterIdentifier"]
    with pytest.raises(ActivityFailed, match="has no table users"):
        load_probes.rows_equal("users", "orders", empty, database="postgres")
