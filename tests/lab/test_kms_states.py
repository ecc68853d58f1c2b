"""Every operation on a key in every state, against the documents' table."""

from __future__ import annotations

import pytest

from chaosaws_kms_lab import kms
from chaosaws_kms_lab.calls import AwsError
from tests.support.kms_world import (
    ADMINISTRATOR,
    DAY,
    DOES_NOT,
    REGION,
    Kms,
    bring,
    errors,
    imported,
    parameters,
    policy,
    wrap,
)

pytestmark = [pytest.mark.common_lab, pytest.mark.thorough]

STATES = ["Enabled", "Disabled", "PendingImport", "PendingDeletion"]

# AWS KMS Developer Guide, "Key states of AWS KMS keys": operation → the note in each state, of a
# key with KMS' own material and of one with imported material; "-" succeeds.
TABLE = {
    #                          AWS_KMS    EXTERNAL
    "CancelKeyDeletion":       ("4 4 . -", "4 4 4 -"),
    "CreateAlias":             ("- - . 3", "- - - 3"),
    "CreateGrant":             ("- 1 . 3", "- 1 5 3"),
    "Decrypt":                 ("- 1 . 3", "- 1 5 3"),
    "DeleteAlias":             ("- - . -", "- - - -"),
    "DeleteImportedKeyMaterial": ("9 9 . 9", "- - - -"),
    "DescribeKey":             ("- - . -", "- - - -"),
    "DisableKey":              ("- - . 3", "- - 5 3"),
    "DisableKeyRotation":      ("- 1 . 3", "7 7 7 7"),
    "EnableKey":               ("- - . 3", "- - 5 3"),
    "EnableKeyRotation":       ("- 1 . 3", "7 7 7 7"),
    "Encrypt":                 ("- 1 . 3", "- 1 5 3"),
    "GenerateDataKey":         ("- 1 . 3", "- 1 5 3"),
    "GenerateDataKeyPair":     ("- 1 . 3", "- 1 5 3"),
    "GenerateDataKeyPairWithoutPlaintext": ("- 1 . 3", "- 1 5 3"),
    "GenerateDataKeyWithoutPlaintext": ("- 1 . 3", "- 1 5 3"),
    "GetKeyPolicy":            ("- - . -", "- - - -"),
    "GetKeyRotationStatus":    ("- - . -", "7 7 7 7"),
    "GetParametersForImport":  ("9 9 . 9", "- - - 3"),
    "ImportKeyMaterial":       ("9 9 . 9", "- - - 3"),
    "ListAliases":             ("- - . -", "- - - -"),
    "ListGrants":              ("- - . -", "- - - -"),
    "ListKeyPolicies":         ("- - . -", "- - - -"),
    "ListKeyRotations":        ("- - . -", "- - - -"),
    "ListResourceTags":        ("- - . -", "- - - -"),
    "PutKeyPolicy":            ("- - . -", "- - - -"),
    "ReEncrypt":               ("- 1 . 3", "- 1 5 3"),
    "RetireGrant":             ("- - . -", "- - - -"),
    "RevokeGrant":             ("- - . -", "- - - -"),
    "RotateKeyOnDemand":       ("- 1 . 3", "- 1 5 3"),
    "ScheduleKeyDeletion":     ("- - . 3", "- - - 3"),
    "TagResource":             ("- - . 3", "- - - 3"),
    "UntagResource":           ("- - . 3", "- - - 3"),
    "UpdateAlias":             ("- - . 3", "- - - 3"),
    "UpdateKeyDescription":    ("- - . 3", "- - - 3"),
}  # fmt: skip

NOTES = {
    "1": ("DisabledException", "{arn} is disabled."),
    "3": ("KMSInvalidStateException", "{arn} is pending deletion."),
    "4": ("KMSInvalidStateException", "{arn} is not pending deletion."),
    "5": ("KMSInvalidStateException", "{arn} is pending import."),
    "7": ("UnsupportedOperationException",
          "{arn} origin is EXTERNAL which is not valid for this operation."),
    "9": ("UnsupportedOperationException",
          "{arn} origin is AWS_KMS which is not valid for this operation."),
}  # fmt: skip

CASES = [
    (operation, origin, state, note)
    for operation, columns in TABLE.items()
    for origin, column in zip(("AWS_KMS", "EXTERNAL"), columns, strict=True)
    for state, note in zip(STATES, column.split(), strict=True)
    if note != "."
]

PAIR = {"KeyPairSpec": "ECC_NIST_P256"}
PARAMETERS = {
    "CreateGrant": {"GranteePrincipal": ADMINISTRATOR.arn, "Operations": ["Decrypt"]},
    "Encrypt": {"Plaintext": b"x"},
    "GenerateDataKey": {"KeySpec": "AES_256"},
    "GenerateDataKeyPair": PAIR,
    "GenerateDataKeyPairWithoutPlaintext": PAIR,
    "GenerateDataKeyWithoutPlaintext": {"KeySpec": "AES_256"},
    "GetParametersForImport": parameters(),
    "PutKeyPolicy": {"Policy": policy()},
    "TagResource": {"Tags": [{"TagKey": "a", "TagValue": "1"}]},
    "UntagResource": {"TagKeys": ["a"]},
    "UpdateKeyDescription": {"Description": "another"},
}


def prepared(lab: Kms, operation: str, key: str, origin: str) -> dict[str, object]:
    """The parameters of a call that an enabled key would answer."""
    if operation == "ImportKeyMaterial" and origin == "EXTERNAL":
        return {"KeyId": key, "ExpirationModel": DOES_NOT, **wrap(lab, key)}
    if operation == "ImportKeyMaterial":
        return {"KeyId": key, "ImportToken": b"x", "EncryptedKeyMaterial": b"x"}
    if operation == "RotateKeyOnDemand" and origin == "EXTERNAL":
        bring(lab, key, bytes(32), ImportType="NEW_KEY_MATERIAL")
    if operation in ("Decrypt", "ReEncrypt"):
        blob = lab.ask("Encrypt", KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        more = {"DestinationKeyId": lab.key()} if operation == "ReEncrypt" else {}
        return {"CiphertextBlob": blob, **more}
    if operation in ("RetireGrant", "RevokeGrant"):
        grant = lab.ask("CreateGrant", KeyId=key, **PARAMETERS["CreateGrant"])
        return {"KeyId": lab.arn(key), "GrantId": grant["GrantId"]}
    if operation == "UpdateAlias":
        lab.ask("CreateAlias", AliasName="alias/a", TargetKeyId=lab.key())
        return {"AliasName": "alias/a", "TargetKeyId": key}
    if operation == "DeleteAlias":
        lab.ask("CreateAlias", AliasName="alias/a", TargetKeyId=key)
        return {"AliasName": "alias/a"}
    if operation == "CreateAlias":
        return {"AliasName": "alias/a", "TargetKeyId": key}
    return {"KeyId": key, **PARAMETERS.get(operation, {})}


def put_into(lab: Kms, key: str, state: str) -> None:
    call = {
        "Disabled": "DisableKey",
        "PendingImport": "DeleteImportedKeyMaterial",
        "PendingDeletion": "ScheduleKeyDeletion",
    }.get(state)
    if call:
        lab.ask(call, KeyId=key)
    assert lab.state(key) == state


@pytest.mark.parametrize(("operation", "origin", "state", "note"), CASES)
def test_an_operation_meets_the_key_state_as_the_document_says(operation, origin, state, note):
    lab = Kms()
    key = lab.key() if origin == "AWS_KMS" else imported(lab)
    params = prepared(lab, operation, key, origin)
    put_into(lab, key, state)
    if note == "-":
        lab.ask(operation, **params)
        return
    refused = lab.refusal(operation, **params)
    code, message = NOTES[note]
    assert (refused.code, refused.message) == (code, message.format(arn=lab.arn(key)))


# Of a key in a custom key store: when it is Enabled, Disabled, PendingDeletion, Unavailable.
IN_STORE = {
    operation: {
        "CancelKeyDeletion": "4 4 - 4",
        "CreateGrant": "- 1 3 -",
        **dict.fromkeys(
            ("DeleteImportedKeyMaterial", "GetParametersForImport", "ImportKeyMaterial"), "9 9 9 9"
        ),
        **dict.fromkeys(
            (
                "DisableKeyRotation",
                "EnableKeyRotation",
                "GenerateDataKeyPair",
                "GenerateDataKeyPairWithoutPlaintext",
                "GetKeyRotationStatus",
                "RotateKeyOnDemand",
            ),
            "7 7 7 7",
        ),
        **dict.fromkeys(
            (
                "Decrypt",
                "Encrypt",
                "GenerateDataKey",
                "GenerateDataKeyWithoutPlaintext",
                "ReEncrypt",
            ),
            "- 1 3 11",
        ),
    }.get(operation, f"- - {'3' if column.endswith('3') else '-'} -")
    for operation, (column, _) in TABLE.items()
}


@pytest.mark.parametrize("operation", IN_STORE)
@pytest.mark.parametrize(
    ("place", "state"),
    list(enumerate(["Enabled", "Disabled", "PendingDeletion", "Unavailable"])),
)
def test_an_operation_meets_the_state_of_a_key_in_a_store_as_the_document_says(
    operation, place, state
):
    lab = Kms()
    store = kms.make_key_store(lab.world, lab.world.region(REGION), "s", "AWS_CLOUDHSM", {})
    store.state = "CONNECTED"
    key = lab.key(Origin="AWS_CLOUDHSM", CustomKeyStoreId=store.id)
    params = prepared(lab, operation, key, "AWS_CLOUDHSM")
    if state == "Unavailable":
        lab.ask("DisconnectCustomKeyStore", CustomKeyStoreId=store.id)
    put_into(lab, key, state)
    note = IN_STORE[operation].split()[place]
    if note == "-":
        lab.ask(operation, **params)
        return
    refused = lab.refusal(operation, **params)
    code, message = {**NOTES, "11": ("KMSInvalidStateException", "{arn} is unavailable.")}[note]
    origin = "is AWS_CLOUDHSM which" if note in "79" else ""
    assert refused.code == code
    if origin:
        assert origin in refused.message
    else:
        assert refused.message == message.format(arn=lab.arn(key))


def test_the_table_has_every_operation_that_works_on_a_key():
    others = {"CreateKey", "GenerateRandom", "ListKeys", "ListRetirableGrants", "ReplicateKey"}
    others |= {name for name in kms.OPERATIONS if name.endswith(("KeyStore", "KeyStores"))}
    assert set(TABLE) == set(kms.OPERATIONS) - others


def test_only_what_changes_something_counts_as_a_change():
    lab = Kms()
    key = lab.key()
    arn = lab.arn(key)
    before = kms.version(lab.world, arn)
    blob = lab.ask("Encrypt", KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    lab.ask("Decrypt", CiphertextBlob=blob)
    lab.ask("DescribeKey", KeyId=key)
    lab.refusal("EnableKey", KeyId="nonsense")
    assert kms.version(lab.world, arn) == before
    for changed, operation in enumerate(["DisableKey", "ScheduleKeyDeletion"], 1):
        lab.ask(operation, KeyId=key)
        assert kms.version(lab.world, arn).changes == before.changes + changed
    lab.pass_time(29 * DAY)
    assert kms.version(lab.world, arn).changes == before.changes + 2
    lab.pass_time(DAY)
    assert kms.version(lab.world, arn) is None


def test_what_can_only_make_keys_usable_is_counted_apart():
    lab = Kms()
    key = lab.key()
    lab.ask("DisableKey", KeyId=key)
    before = kms.version(lab.world, lab.arn(key))
    lab.ask("EnableKey", KeyId=key)
    after = kms.version(lab.world, lab.arn(key))
    assert (after.changes, after.permitting_changes) == (
        before.changes,
        before.permitting_changes + 1,
    )


def test_a_fault_that_an_operation_does_not_have_would_be_noticed(monkeypatch):
    lab = Kms()
    key = lab.key()

    def wrong(world, call):
        raise AwsError("InvalidMarkerException", "")

    monkeypatch.setitem(kms.OPERATIONS, "EnableKey", wrong)
    assert "InvalidMarkerException" not in errors("EnableKey")
    with pytest.raises(AssertionError):
        lab.ask("EnableKey", KeyId=key)


@pytest.mark.parametrize(
    ("operation", "params", "named"),
    [
        ("Encrypt", {"KeyId": "k", "Plaintext": b""}, "plaintext"),
        ("Encrypt", {"KeyId": "k", "Plaintext": bytes(4097)}, "plaintext"),
        ("Encrypt", {"KeyId": "k"}, "plaintext"),
        ("Encrypt", {"KeyId": "", "Plaintext": b"x"}, "keyId"),
        ("GenerateDataKey", {"KeyId": "k", "NumberOfBytes": 1025}, "numberOfBytes"),
        ("GenerateDataKey", {"KeyId": "k", "KeySpec": "AES_512"}, "keySpec"),
        ("CreateAlias", {"AliasName": "a b", "TargetKeyId": "k"}, "aliasName"),
        ("CreateGrant", {"KeyId": "k", "Operations": ["Dance"]}, "operations.1.member"),
        ("EnableKeyRotation", {"KeyId": "k", "RotationPeriodInDays": 89}, "rotationPeriodInDays"),
        ("EnableKeyRotation", {"KeyId": "k", "RotationPeriodInDays": 2561}, "rotationPeriodInDays"),
    ],
)
def test_parameters_are_held_against_the_service_model(operation, params, named):
    refused = Kms().refusal(operation, **params)
    assert refused.code == "ValidationException"
    assert f"'{named}' failed to satisfy constraint" in refused.message
