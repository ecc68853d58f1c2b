"""The lab's KMS over real HTTP, held against the documents."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.conftest import client


@pytest.fixture
def kms(lab):
    return client(lab, "kms")


@pytest.fixture
def key(kms):
    return kms.create_key(Description="a test's own")["KeyMetadata"]


def refusal(call, **params):
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value.response["Error"]["Code"]


def in_state(kms, key, state):
    if state == "Disabled":
        kms.disable_key(KeyId=key["KeyId"])
    elif state == "PendingDeletion":
        kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    return key["KeyId"]


USES = {
    "encrypt": {"Plaintext": b"x"},
    "generate_data_key": {"KeySpec": "AES_256"},
    "generate_data_key_without_plaintext": {"KeySpec": "AES_256"},
}


@pytest.mark.parametrize("state", ["Disabled", "PendingDeletion"])
@pytest.mark.parametrize("use", USES)
def test_an_unusable_key_encrypts_nothing(kms, key, state, use):
    getattr(kms, use)(KeyId=key["KeyId"], **USES[use])
    key_id = in_state(kms, key, state)
    expected = {"Disabled": "DisabledException", "PendingDeletion": "KMSInvalidStateException"}
    assert refusal(getattr(kms, use), KeyId=key_id, **USES[use]) == expected[state]


@pytest.mark.parametrize("state", ["Disabled", "PendingDeletion"])
def test_an_unusable_key_decrypts_nothing_and_does_again_when_it_is_back(kms, key, state):
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"row")["CiphertextBlob"]
    in_state(kms, key, state)
    refusal(kms.decrypt, CiphertextBlob=sealed)
    if state == "PendingDeletion":
        kms.cancel_key_deletion(KeyId=key["KeyId"])
        assert refusal(kms.decrypt, CiphertextBlob=sealed) == "DisabledException"
    kms.enable_key(KeyId=key["KeyId"])
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"row"


@pytest.mark.parametrize("operation", ["enable_key", "disable_key", "schedule_key_deletion"])
def test_a_key_that_is_pending_deletion_changes_only_by_cancelling(kms, key, operation):
    key_id = in_state(kms, key, "PendingDeletion")
    assert refusal(getattr(kms, operation), KeyId=key_id) == "KMSInvalidStateException"
    kms.cancel_key_deletion(KeyId=key_id)
    assert kms.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"] == "Disabled"


def test_cancelling_a_deletion_that_is_not_pending_is_refused(kms, key):
    assert refusal(kms.cancel_key_deletion, KeyId=key["KeyId"]) == "KMSInvalidStateException"


@pytest.mark.parametrize("state", ["enable_key", "disable_key"])
def test_enabling_and_disabling_twice_is_no_error(kms, key, state):
    getattr(kms, state)(KeyId=key["Arn"])
    getattr(kms, state)(KeyId=key["Arn"])


@pytest.mark.parametrize("reference", ["KeyId", "Arn"])
def test_id_and_arn_name_a_key_everywhere(kms, key, reference):
    kms.disable_key(KeyId=key[reference])
    kms.enable_key(KeyId=key[reference])
    kms.schedule_key_deletion(KeyId=key[reference], PendingWindowInDays=7)
    kms.cancel_key_deletion(KeyId=key[reference])
    assert kms.describe_key(KeyId=key[reference])["KeyMetadata"]["Arn"] == key["Arn"]


@pytest.mark.parametrize(
    "operation", ["enable_key", "disable_key", "schedule_key_deletion", "cancel_key_deletion"]
)
def test_an_alias_is_refused_where_aws_refuses_it(kms, key, operation):
    alias = f"alias/{key['KeyId']}"
    kms.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
    assert kms.describe_key(KeyId=alias)["KeyMetadata"]["Arn"] == key["Arn"]
    kms.encrypt(KeyId=alias, Plaintext=b"x")
    assert refusal(getattr(kms, operation), KeyId=alias) == "NotFoundException"


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("00000000-0000-0000-0000-000000000000", "NotFoundException"),
        ("nonsense", "NotFoundException"),
        ("alias/nobody", "NotFoundException"),
        ("arn:aws:kms:us-east-1:123456789012:key/x", "InvalidArnException"),
        ("arn:aws:s3:::bucket", "InvalidArnException"),
    ],
)
def test_a_key_that_is_not_there_is_said_as_aws_says_it(kms, reference, code):
    assert refusal(kms.describe_key, KeyId=reference) == code


def test_a_key_lives_in_one_region(lab, key):
    assert refusal(client(lab, "kms", "us-east-1").describe_key, KeyId=key["KeyId"]) == (
        "NotFoundException"
    )


def test_a_ciphertext_opens_only_in_its_own_context(kms, key):
    sealed = kms.encrypt(
        KeyId=key["KeyId"], Plaintext=b"row", EncryptionContext={"a": "1", "b": "2"}
    )["CiphertextBlob"]
    opened = kms.decrypt(CiphertextBlob=sealed, EncryptionContext={"b": "2", "a": "1"})
    assert opened["Plaintext"] == b"row"
    for context in ({}, {"a": "1"}, {"a": "1", "b": "2", "c": "3"}, {"A": "1", "b": "2"}):
        assert (
            refusal(kms.decrypt, CiphertextBlob=sealed, EncryptionContext=context)
            == "InvalidCiphertextException"
        )


def test_a_flipped_bit_and_another_key_are_refused(kms, key):
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"row")["CiphertextBlob"]
    flipped = sealed[:-1] + bytes([sealed[-1] ^ 1])
    assert refusal(kms.decrypt, CiphertextBlob=flipped) == "InvalidCiphertextException"
    assert refusal(kms.decrypt, CiphertextBlob=b"nonsense") == "InvalidCiphertextException"
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    assert refusal(kms.decrypt, CiphertextBlob=sealed, KeyId=other) == "IncorrectKeyException"


def test_a_data_key_is_the_one_that_its_ciphertext_holds(kms, key):
    made = kms.generate_data_key(KeyId=key["Arn"], KeySpec="AES_256")
    assert len(made["Plaintext"]) == 32
    assert kms.decrypt(CiphertextBlob=made["CiphertextBlob"])["Plaintext"] == made["Plaintext"]
    assert refusal(kms.generate_data_key, KeyId=key["Arn"]) == "ValidationException"


def test_the_aws_managed_key_cannot_be_changed(kms):
    key = kms.describe_key(KeyId="alias/aws/rds")["KeyMetadata"]
    assert key["KeyManager"] == "AWS"
    for operation in (kms.disable_key, kms.schedule_key_deletion):
        assert refusal(operation, KeyId=key["KeyId"]) == "AccessDeniedException"
    assert refusal(kms.create_alias, AliasName="alias/aws/mine", TargetKeyId=key["KeyId"]) in (
        "NotAuthorizedException"
    )


def test_aliases_move_and_go(kms, key):
    alias, other = f"alias/{key['KeyId']}", kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
    assert refusal(kms.create_alias, AliasName=alias, TargetKeyId=other) == (
        "AlreadyExistsException"
    )
    kms.update_alias(AliasName=alias, TargetKeyId=other)
    assert kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"] == other
    named = kms.list_aliases(KeyId=other)["Aliases"]
    assert [entry["AliasName"] for entry in named] == [alias]
    kms.delete_alias(AliasName=alias)
    assert refusal(kms.describe_key, KeyId=alias) == "NotFoundException"


def test_tags_are_kept_and_removed(kms):
    key_id = kms.create_key(Tags=[{"TagKey": "a", "TagValue": "1"}])["KeyMetadata"]["KeyId"]
    kms.tag_resource(KeyId=key_id, Tags=[{"TagKey": "b", "TagValue": "2"}])
    kms.untag_resource(KeyId=key_id, TagKeys=["a"])
    assert kms.list_resource_tags(KeyId=key_id)["Tags"] == [{"TagKey": "b", "TagValue": "2"}]


def test_a_deletion_waits_7_to_30_days(kms, key):
    assert (
        refusal(kms.schedule_key_deletion, KeyId=key["KeyId"], PendingWindowInDays=3)
        == "ValidationException"
    )
    answer = kms.schedule_key_deletion(KeyId=key["KeyId"])
    assert answer["KeyId"] == key["Arn"]
    assert answer["PendingWindowInDays"] == 30
    assert answer["KeyState"] == "PendingDeletion"


def test_lists_come_in_pages(kms):
    made = {kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(5)}
    pages = list(kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 2}))
    assert len(pages) > 2
    assert made <= {key["KeyId"] for page in pages for key in page["Keys"]}
