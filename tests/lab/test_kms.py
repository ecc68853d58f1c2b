"""The lab's KMS over real HTTP, compared with the documents."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_der_public_key

from tests.support.document import shows
from tests.support.labs import FAST, client, until

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers]


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
@shows("kms:Encrypt", "kms:Decrypt")
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
@shows(
    "kms:DisableKey",
    "kms:EnableKey",
    "kms:ScheduleKeyDeletion",
    "kms:CancelKeyDeletion",
    "kms:DescribeKey",
)
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
        ("arn:aws:kms:us-east-1:123456789012:key/x", "NotFoundException"),
        ("arn:aws:s3:::bucket", "InvalidArnException"),
    ],
)
def test_a_key_that_is_not_there_is_said_as_aws_says_it(kms, reference, code):
    assert refusal(kms.describe_key, KeyId=reference) == code


def test_a_key_lives_in_one_region(lab, key):
    assert refusal(client(lab, "kms", "us-east-1").describe_key, KeyId=key["KeyId"]) == (
        "NotFoundException"
    )


@shows("kms:Encrypt", "kms:Decrypt")
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


@shows("kms:Decrypt")
def test_a_flipped_bit_and_another_key_are_refused(kms, key):
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"row")["CiphertextBlob"]
    flipped = sealed[:-1] + bytes([sealed[-1] ^ 1])
    assert refusal(kms.decrypt, CiphertextBlob=flipped) == "InvalidCiphertextException"
    assert refusal(kms.decrypt, CiphertextBlob=b"nonsense") == "InvalidCiphertextException"
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    assert refusal(kms.decrypt, CiphertextBlob=sealed, KeyId=other) == "IncorrectKeyException"


@shows("kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext")
def test_a_data_key_is_the_one_that_its_ciphertext_holds(kms, key):
    made = kms.generate_data_key(KeyId=key["Arn"], KeySpec="AES_256")
    assert len(made["Plaintext"]) == 32
    assert kms.decrypt(CiphertextBlob=made["CiphertextBlob"])["Plaintext"] == made["Plaintext"]
    silent = kms.generate_data_key_without_plaintext(KeyId=key["Arn"], NumberOfBytes=24)
    assert "Plaintext" not in silent
    assert len(kms.decrypt(CiphertextBlob=silent["CiphertextBlob"])["Plaintext"]) == 24
    assert refusal(kms.generate_data_key, KeyId=key["Arn"]) == "ValidationException"


@shows("kms:DescribeKey", "kms:DisableKey", "kms:ScheduleKeyDeletion")
def test_the_aws_managed_key_cannot_be_changed(kms):
    key = kms.describe_key(KeyId="alias/aws/rds")["KeyMetadata"]
    assert key["KeyManager"] == "AWS"
    for operation in (kms.disable_key, kms.schedule_key_deletion):
        assert refusal(operation, KeyId=key["KeyId"]) == "AccessDeniedException"
    assert refusal(kms.create_alias, AliasName="alias/aws/mine", TargetKeyId=key["KeyId"]) == (
        "AccessDeniedException"
    )


@shows("kms:CreateAlias", "kms:UpdateAlias", "kms:ListAliases", "kms:DeleteAlias")
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


@shows("kms:CreateKey", "kms:TagResource", "kms:UntagResource", "kms:ListResourceTags")
def test_tags_are_kept_and_removed(kms):
    key_id = kms.create_key(Tags=[{"TagKey": "a", "TagValue": "1"}])["KeyMetadata"]["KeyId"]
    kms.tag_resource(KeyId=key_id, Tags=[{"TagKey": "b", "TagValue": "2"}])
    kms.untag_resource(KeyId=key_id, TagKeys=["a"])
    assert kms.list_resource_tags(KeyId=key_id)["Tags"] == [{"TagKey": "b", "TagValue": "2"}]


@shows("kms:ScheduleKeyDeletion")
def test_a_deletion_waits_7_to_30_days(kms, key):
    assert (
        refusal(kms.schedule_key_deletion, KeyId=key["KeyId"], PendingWindowInDays=3)
        == "ValidationException"
    )
    answer = kms.schedule_key_deletion(KeyId=key["KeyId"])
    assert answer["KeyId"] == key["Arn"]
    assert answer["PendingWindowInDays"] == 30
    assert answer["KeyState"] == "PendingDeletion"


@shows("kms:ListKeys")
def test_lists_come_in_pages(kms):
    made = {kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(5)}
    pages = list(kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 2}))
    assert len(pages) > 2
    assert made <= {key["KeyId"] for page in pages for key in page["Keys"]}


# The rest of the service once over HTTP; what it does in detail is in the tests beside this one


def wrapped(public, material):
    digest = hashes.SHA256()
    oaep = padding.OAEP(padding.MGF1(digest), digest, None)
    return load_der_public_key(public).encrypt(material, oaep)


def import_material(kms, key_id, **expiry):
    got = kms.get_parameters_for_import(
        KeyId=key_id, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
    )
    return kms.import_key_material(
        KeyId=key_id,
        ImportToken=got["ImportToken"],
        EncryptedKeyMaterial=wrapped(got["PublicKey"], bytes(range(32))),
        **expiry,
    )


@shows("kms:GetParametersForImport", "kms:ImportKeyMaterial", "kms:DeleteImportedKeyMaterial")
def test_imported_material_expires_and_comes_back(kms):
    key_id = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
    assert refusal(kms.encrypt, KeyId=key_id, Plaintext=b"row") == "KMSInvalidStateException"
    import_material(kms, key_id, ValidTo=datetime.now(UTC) + timedelta(seconds=6))
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"row")["CiphertextBlob"]

    def state():
        return kms.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"]

    assert state() == "Enabled"
    until(lambda: state() == "PendingImport")
    assert refusal(kms.decrypt, CiphertextBlob=sealed) == "KMSInvalidStateException"
    import_material(kms, key_id, ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"row"
    kms.delete_imported_key_material(KeyId=key_id)
    assert state() == "PendingImport"


@shows("kms:GetKeyPolicy", "kms:PutKeyPolicy", "kms:ListKeyPolicies")
def test_a_key_policy_is_read_replaced_and_obeyed(kms, key):
    before = kms.get_key_policy(KeyId=key["KeyId"])["Policy"]
    assert kms.list_key_policies(KeyId=key["KeyId"])["PolicyNames"] == ["default"]
    document = json.loads(before)
    document["Statement"].append(
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "kms:Encrypt",
            "Resource": "*",
        }
    )
    kms.put_key_policy(KeyId=key["KeyId"], Policy=json.dumps(document))
    assert refusal(kms.encrypt, KeyId=key["KeyId"], Plaintext=b"x") == "AccessDeniedException"
    kms.put_key_policy(KeyId=key["KeyId"], PolicyName="default", Policy=before)
    kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    shut = json.dumps(document | {"Statement": document["Statement"][1:]})
    for bad in ("nonsense", shut):
        assert (
            refusal(kms.put_key_policy, KeyId=key["KeyId"], Policy=bad)
            == "MalformedPolicyDocumentException"
        )


@shows(
    "kms:CreateGrant",
    "kms:ListGrants",
    "kms:ListRetirableGrants",
    "kms:RevokeGrant",
    "kms:RetireGrant",
)
def test_grants_are_made_listed_and_taken_away(kms, key):
    alice = "arn:aws:iam::123456789012:user/alice"
    params = {
        "KeyId": key["KeyId"],
        "GranteePrincipal": alice,
        "RetiringPrincipal": alice,
        "Operations": ["Decrypt"],
        "Constraints": {"EncryptionContextSubset": {"a": "1"}},
    }
    made = [kms.create_grant(**params)["GrantId"] for _ in range(3)]
    pages = kms.get_paginator("list_grants").paginate(
        KeyId=key["KeyId"], PaginationConfig={"PageSize": 2}
    )
    listed = [grant for page in pages for grant in page["Grants"]]
    assert [grant["GrantId"] for grant in listed] == made
    assert listed[0]["Constraints"] == params["Constraints"]
    retirable = kms.list_retirable_grants(RetiringPrincipal=alice)["Grants"]
    assert [grant["GrantId"] for grant in retirable] == made
    kms.revoke_grant(KeyId=key["KeyId"], GrantId=made[0])
    kms.retire_grant(KeyId=key["Arn"], GrantId=made[1])
    only = kms.list_grants(KeyId=key["KeyId"], GranteePrincipal=alice)["Grants"]
    assert [grant["GrantId"] for grant in only] == made[2:]
    gone = {"KeyId": key["KeyId"], "GrantId": made[0]}
    assert refusal(kms.revoke_grant, **gone) == "NotFoundException"
    assert refusal(kms.create_grant, **params, DryRun=True) == "DryRunOperationException"


@shows(
    "kms:EnableKeyRotation",
    "kms:DisableKeyRotation",
    "kms:GetKeyRotationStatus",
    "kms:RotateKeyOnDemand",
    "kms:ListKeyRotations",
)
def test_rotation_is_switched_on_and_done_on_demand(kms, key):
    key_id = key["KeyId"]
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"row")["CiphertextBlob"]
    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    status = kms.get_key_rotation_status(KeyId=key_id)
    assert (status["KeyRotationEnabled"], status["RotationPeriodInDays"]) == (True, 90)
    assert status["NextRotationDate"] > datetime.now(UTC)
    kms.rotate_key_on_demand(KeyId=key_id)
    (rotation,) = kms.list_key_rotations(KeyId=key_id)["Rotations"]
    assert rotation["RotationType"] == "ON_DEMAND"
    opened = kms.decrypt(CiphertextBlob=sealed)
    assert opened["Plaintext"] == b"row"
    assert opened["KeyMaterialId"] != rotation["KeyMaterialId"]
    kms.disable_key_rotation(KeyId=key_id)
    assert kms.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"] is False
    imported = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
    assert refusal(kms.enable_key_rotation, KeyId=imported) == "UnsupportedOperationException"


@shows(
    "kms:ReEncrypt",
    "kms:GenerateRandom",
    "kms:GenerateDataKeyPair",
    "kms:GenerateDataKeyPairWithoutPlaintext",
)
def test_the_other_cryptographic_operations_answer(kms, key):
    other = kms.create_key(MultiRegion=True)["KeyMetadata"]
    assert other["MultiRegionConfiguration"]["MultiRegionKeyType"] == "PRIMARY"
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"row")["CiphertextBlob"]
    again = kms.re_encrypt(CiphertextBlob=sealed, DestinationKeyId=other["KeyId"])
    assert kms.decrypt(CiphertextBlob=again["CiphertextBlob"])["KeyId"] == other["Arn"]
    assert len(kms.generate_random(NumberOfBytes=16)["Plaintext"]) == 16
    pair = kms.generate_data_key_pair(KeyId=key["KeyId"], KeyPairSpec="ECC_NIST_P256")
    opened = kms.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"])["Plaintext"]
    assert opened == pair["PrivateKeyPlaintext"]
    silent = kms.generate_data_key_pair_without_plaintext(
        KeyId=key["KeyId"], KeyPairSpec="ECC_NIST_P256"
    )
    assert "PrivateKeyPlaintext" not in silent
    assert refusal(kms.re_encrypt, CiphertextBlob=b"x", DestinationKeyId=key["KeyId"]) == (
        "InvalidCiphertextException"
    )


def test_the_date_of_a_deletion_is_when_it_will_happen_on_the_wall_clock(kms, key):
    answer = kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    ahead = answer["DeletionDate"] - datetime.now(UTC)
    assert abs(ahead - timedelta(days=7) / FAST) < timedelta(seconds=10)


@shows("kms:UpdateKeyDescription")
def test_a_description_is_replaced(kms, key):
    kms.update_key_description(KeyId=key["KeyId"], Description="another")
    assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["Description"] == "another"
    missing = "00000000-0000-0000-0000-000000000000"
    refused = refusal(kms.update_key_description, KeyId=missing, Description="x")
    assert refused == "NotFoundException"
