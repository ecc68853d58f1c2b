"""What is sealed, under which key, in which context, and who may open it."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
)
from hypothesis import given, settings
from hypothesis import strategies as some

from chaosaws_kms_lab.calls import AwsError
from tests.support.examples import examples
from tests.support.kms_world import REGION, Kms, user

pytestmark = pytest.mark.common_lab


@pytest.fixture
def lab() -> Kms:
    return Kms()


@pytest.fixture
def key(lab) -> str:
    return lab.key()


def sealed(lab: Kms, key: str, plaintext: bytes = b"row", **context: str) -> bytes:
    params = {"KeyId": key, "Plaintext": plaintext, "EncryptionContext": context}
    blob: bytes = lab.ask("Encrypt", **params)["CiphertextBlob"]
    return blob


WORDS = some.dictionaries(some.text(max_size=4), some.text(max_size=4), max_size=3)


@settings(max_examples=examples(60), deadline=None)
@given(some.binary(min_size=1, max_size=64), WORDS, WORDS)
def test_a_ciphertext_opens_in_the_very_same_context_and_in_no_other(plaintext, context, other):
    lab = Kms()
    blob = lab.ask("Encrypt", KeyId=lab.key(), Plaintext=plaintext, EncryptionContext=context)[
        "CiphertextBlob"
    ]
    params = {"CiphertextBlob": blob}
    assert lab.ask("Decrypt", EncryptionContext=context, **params)["Plaintext"] == plaintext
    if other != context:
        refused = lab.refusal("Decrypt", EncryptionContext=other, **params)
        assert refused.code == "InvalidCiphertextException"


@settings(max_examples=examples(60), deadline=None)
@given(some.data())
def test_no_bit_of_a_ciphertext_can_be_changed(data):
    lab = Kms()
    blob = bytearray(sealed(lab, lab.key()))
    place = data.draw(some.integers(0, len(blob) - 1))
    blob[place] ^= 1 << data.draw(some.integers(0, 7))
    with pytest.raises(AwsError) as refused:
        lab.ask("Decrypt", CiphertextBlob=bytes(blob))
    # Where the key's own id was hit, it names a key that does not exist.
    assert refused.value.code in ("InvalidCiphertextException", "AccessDeniedException")


@pytest.mark.parametrize("cut", [1, 6, 7, 8, 20, 43, 44, 60, 76, 88, 100])
def test_half_a_ciphertext_is_none(lab, key, cut):
    refused = lab.refusal("Decrypt", CiphertextBlob=sealed(lab, key)[:cut])
    assert refused.code == "InvalidCiphertextException"


def test_no_context_and_an_empty_one_are_the_same(lab, key):
    blob = sealed(lab, key)
    assert lab.ask("Decrypt", CiphertextBlob=blob)["Plaintext"] == b"row"
    assert lab.ask("Decrypt", CiphertextBlob=blob, EncryptionContext={})["Plaintext"] == b"row"


def test_the_context_s_size_has_a_limit(lab, key):
    lab.ask("Encrypt", KeyId=key, Plaintext=b"x", EncryptionContext={"a": "x" * 8000})
    params = {"KeyId": key, "Plaintext": b"x", "EncryptionContext": {"a": "x" * 8192}}
    assert lab.refusal("Encrypt", **params).code == "ValidationException"


def test_decrypt_names_the_key_it_was_and_refuses_another(lab, key):
    blob = sealed(lab, key)
    for reference in (key, lab.arn(key)):
        answer = lab.ask("Decrypt", CiphertextBlob=blob, KeyId=reference)
        assert answer["KeyId"] == lab.arn(key)
    lab.ask("CreateAlias", AliasName="alias/k", TargetKeyId=key)
    lab.ask("Decrypt", CiphertextBlob=blob, KeyId="alias/k")
    refused = lab.refusal("Decrypt", CiphertextBlob=blob, KeyId=lab.key())
    assert refused.code == "IncorrectKeyException"


def test_a_ciphertext_of_another_region_is_not_opened_here(lab, key):
    there = lab.ask("CreateKey", region="us-east-1")["KeyMetadata"]["KeyId"]
    blob = lab.ask("Encrypt", region="us-east-1", KeyId=there, Plaintext=b"x")["CiphertextBlob"]
    assert lab.refusal("Decrypt", CiphertextBlob=blob).code == "AccessDeniedException"


def test_re_encrypting_changes_key_and_context_and_shows_nothing(lab, key):
    other = lab.key()
    answer = lab.ask(
        "ReEncrypt",
        CiphertextBlob=sealed(lab, key, a="1"),
        SourceEncryptionContext={"a": "1"},
        DestinationKeyId=other,
        DestinationEncryptionContext={"b": "2"},
    )
    assert (answer["SourceKeyId"], answer["KeyId"]) == (lab.arn(key), lab.arn(other))
    assert b"row" not in answer["CiphertextBlob"]
    opened = {"CiphertextBlob": answer["CiphertextBlob"]}
    assert lab.ask("Decrypt", EncryptionContext={"b": "2"}, **opened)["Plaintext"] == b"row"
    refused = lab.refusal("Decrypt", EncryptionContext={"a": "1"}, **opened)
    assert refused.code == "InvalidCiphertextException"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"SourceEncryptionContext": {"a": "2"}}, "InvalidCiphertextException"),
        ({"SourceKeyId": "other"}, "IncorrectKeyException"),
        ({"DestinationKeyId": "nonsense"}, "NotFoundException"),
        ({"CiphertextBlob": b"nonsense"}, "InvalidCiphertextException"),
        ({"SourceEncryptionAlgorithm": "RSAES_OAEP_SHA_1"}, "InvalidKeyUsageException"),
        ({"DestinationEncryptionAlgorithm": "RSAES_OAEP_SHA_1"}, "InvalidKeyUsageException"),
    ],
)
def test_what_cannot_be_re_encrypted_is_refused(lab, key, wrong, code):
    good = {
        "CiphertextBlob": sealed(lab, key, a="1"),
        "SourceEncryptionContext": {"a": "1"},
        "DestinationKeyId": key,
    }
    lab.ask("ReEncrypt", **good)
    if wrong.get("SourceKeyId"):
        wrong = {"SourceKeyId": lab.key()}
    assert lab.refusal("ReEncrypt", **good | wrong).code == code


@pytest.mark.parametrize("state", ["DisableKey", "ScheduleKeyDeletion"])
@pytest.mark.parametrize("end", ["source", "destination"])
def test_re_encrypting_needs_both_keys(lab, key, state, end):
    other = lab.key()
    params = {"CiphertextBlob": sealed(lab, key), "DestinationKeyId": other}
    lab.ask("ReEncrypt", **params)
    lab.ask(state, KeyId=key if end == "source" else other)
    code = "DisabledException" if state == "DisableKey" else "KMSInvalidStateException"
    assert lab.refusal("ReEncrypt", **params).code == code


# Data keys


@pytest.mark.parametrize(
    ("size", "expected"),
    [({"KeySpec": "AES_128"}, 16), ({"KeySpec": "AES_256"}, 32), ({"NumberOfBytes": 1}, 1)],
)
def test_a_data_key_has_the_size_that_was_asked_for(lab, key, size, expected):
    made = lab.ask("GenerateDataKey", KeyId=key, EncryptionContext={"a": "1"}, **size)
    assert len(made["Plaintext"]) == expected
    opened = {"CiphertextBlob": made["CiphertextBlob"], "EncryptionContext": {"a": "1"}}
    assert lab.ask("Decrypt", **opened)["Plaintext"] == made["Plaintext"]
    silent = lab.ask("GenerateDataKeyWithoutPlaintext", KeyId=key, **size)
    assert "Plaintext" not in silent
    assert len(lab.ask("Decrypt", CiphertextBlob=silent["CiphertextBlob"])["Plaintext"]) == expected


def test_a_data_key_has_one_size(lab, key):
    for size in ({}, {"KeySpec": "AES_256", "NumberOfBytes": 32}):
        for operation in ("GenerateDataKey", "GenerateDataKeyWithoutPlaintext"):
            assert lab.refusal(operation, KeyId=key, **size).code == "ValidationException"


@pytest.mark.parametrize(
    "spec",
    [
        "RSA_2048",
        "ECC_NIST_P256",
        "ECC_NIST_P384",
        "ECC_NIST_P521",
        "ECC_SECG_P256K1",
        "ECC_NIST_EDWARDS25519",
    ],
)
def test_a_key_pair_s_private_half_is_sealed_and_belongs_to_its_public_one(lab, key, spec):
    context = {"a": "1"}
    made = lab.ask("GenerateDataKeyPair", KeyId=key, KeyPairSpec=spec, EncryptionContext=context)
    opened = {"CiphertextBlob": made["PrivateKeyCiphertextBlob"], "EncryptionContext": context}
    private = lab.ask("Decrypt", **opened)["Plaintext"]
    assert private == made["PrivateKeyPlaintext"]
    public = load_der_private_key(private, None).public_key()
    form = PublicFormat.SubjectPublicKeyInfo
    assert public.public_bytes(Encoding.DER, form) == made["PublicKey"]
    silent = lab.ask("GenerateDataKeyPairWithoutPlaintext", KeyId=key, KeyPairSpec="ECC_NIST_P256")
    assert "PrivateKeyPlaintext" not in silent


@pytest.mark.parametrize("spec", ["SM2", "ML_KEM_512"])
def test_a_key_pair_that_the_lab_does_not_make_is_said(lab, key, spec):
    for operation in ("GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"):
        refused = lab.refusal(operation, KeyId=key, KeyPairSpec=spec)
        assert refused.code == "UnsupportedOperationException"


def test_random_bytes_come_in_the_number_asked_for(lab):
    one, two = (lab.ask("GenerateRandom", NumberOfBytes=32)["Plaintext"] for _ in "12")
    assert (len(one), len(two)) == (32, 32)
    assert one != two
    assert lab.refusal("GenerateRandom").code == "ValidationException"
    refused = lab.refusal("GenerateRandom", NumberOfBytes=1, CustomKeyStoreId="x")
    assert refused.code == "CustomKeyStoreNotFoundException"


# What every one of them takes


USES = {
    "Encrypt": {"Plaintext": b"x"},
    "Decrypt": {},
    "ReEncrypt": {},
    "GenerateDataKey": {"KeySpec": "AES_256"},
    "GenerateDataKeyWithoutPlaintext": {"KeySpec": "AES_256"},
    "GenerateDataKeyPair": {"KeyPairSpec": "ECC_NIST_P256"},
    "GenerateDataKeyPairWithoutPlaintext": {"KeyPairSpec": "ECC_NIST_P256"},
}


def use(lab: Kms, key: str, operation: str) -> dict[str, object]:
    if operation == "Decrypt":
        return {"CiphertextBlob": sealed(lab, key)}
    if operation == "ReEncrypt":
        return {"CiphertextBlob": sealed(lab, key), "DestinationKeyId": key}
    return {"KeyId": key, **USES[operation]}


@pytest.mark.parametrize("operation", USES)
def test_a_dry_run_says_whether_it_would_succeed(lab, key, operation):
    params = {**use(lab, key, operation), "DryRun": True}
    assert lab.refusal(operation, **params).code == "DryRunOperationException"
    assert lab.refusal(operation, user(), **params).code == "AccessDeniedException"
    lab.ask("DisableKey", KeyId=key)
    assert lab.refusal(operation, **params).code == "DisabledException"


@pytest.mark.parametrize("operation", USES)
def test_a_grant_token_that_is_none_is_refused(lab, key, operation):
    params = {**use(lab, key, operation), "GrantTokens": ["nonsense"]}
    assert lab.refusal(operation, **params).code == "InvalidGrantTokenException"


@pytest.mark.parametrize("operation", ["Encrypt", "Decrypt"])
def test_a_symmetric_key_has_one_algorithm(lab, key, operation):
    params = use(lab, key, operation)
    lab.ask(operation, **params, EncryptionAlgorithm="SYMMETRIC_DEFAULT")
    refused = lab.refusal(operation, **params, EncryptionAlgorithm="RSAES_OAEP_SHA_256")
    assert refused.code == "InvalidKeyUsageException"


def test_decrypt_without_a_ciphertext_is_refused(lab, key):
    assert lab.refusal("Decrypt", KeyId=key).code == "ValidationException"


@pytest.mark.parametrize("arn", ["arn:aws:s3:::bucket", "arn:nonsense"])
def test_a_bad_arn_is_an_error_that_the_operation_has(lab, arn):
    assert lab.refusal("DescribeKey", KeyId=arn).code == "InvalidArnException"
    assert lab.refusal("Encrypt", KeyId=arn, Plaintext=b"x").code == "NotFoundException"


def test_a_key_of_another_account_is_not_seen(lab):
    arn = f"arn:aws:kms:{REGION}:210987654321:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    refused = lab.refusal("DescribeKey", KeyId=arn)
    assert refused.code == "AccessDeniedException"
    assert "no resource-based policies allow access" in refused.message
