"""What AWS' documents say about every operation, as tables to compare with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.world import Key, World

__all__ = [
    "CHANGES_NOTHING",
    "CROSS_ACCOUNT",
    "NO_INVALID_ARN",
    "ONLY_PERMITS",
    "TAKES_ALIAS",
    "Handler",
    "check_state",
]

Handler = Callable[[World, Call], dict[str, Any]]

# AWS KMS Developer Guide, "Key states of AWS KMS keys", the table's notes: number → error.
NOTES: dict[int, tuple[str, str]] = {
    1: ("DisabledException", "{arn} is disabled."),
    3: ("KMSInvalidStateException", "{arn} is pending deletion."),
    4: ("KMSInvalidStateException", "{arn} is not pending deletion."),
    5: ("KMSInvalidStateException", "{arn} is pending import."),
    7: ("UnsupportedOperationException",
        "{arn} origin is {origin} which is not valid for this operation."),
    9: ("UnsupportedOperationException",
        "{arn} origin is {origin} which is not valid for this operation."),
    11: ("KMSInvalidStateException", "{arn} is unavailable."),
}  # fmt: skip

USE = {"Disabled": 1, "PendingImport": 5, "PendingDeletion": 3, "Unavailable": 11}
GRANT = {"Disabled": 1, "PendingImport": 5, "PendingDeletion": 3}
SWITCH = {"PendingImport": 5, "PendingDeletion": 3}
ROTATE = {"Disabled": 1, "PendingImport": 5, "PendingDeletion": 3}
EDIT = {"PendingDeletion": 3}
NOT_PENDING = {"Enabled": 4, "Disabled": 4, "PendingImport": 4, "Unavailable": 4}

# The same document, the table: operation → key state → note. A state that is not listed succeeds.
# Where the table says note 2 or 3, note 3 it is.
KEY_STATES: dict[str, dict[str, int]] = {
    "CancelKeyDeletion": NOT_PENDING,
    "CreateAlias": EDIT,
    "CreateGrant": GRANT,
    "Decrypt": USE,
    "DeleteAlias": {},
    "DeleteImportedKeyMaterial": {},
    "DescribeKey": {},
    "DisableKey": SWITCH,
    "DisableKeyRotation": ROTATE,
    "EnableKey": SWITCH,
    "EnableKeyRotation": ROTATE,
    "Encrypt": USE,
    "GenerateDataKey": USE,
    "GenerateDataKeyPair": USE,
    "GenerateDataKeyPairWithoutPlaintext": USE,
    "GenerateDataKeyWithoutPlaintext": USE,
    "GetKeyPolicy": {},
    "GetKeyRotationStatus": {},
    "GetParametersForImport": EDIT,
    "ImportKeyMaterial": EDIT,
    "ListAliases": {},
    "ListGrants": {},
    "ListKeyPolicies": {},
    "ListKeyRotations": {},
    "ListResourceTags": {},
    "PutKeyPolicy": {},
    "ReEncrypt": USE,
    "ReplicateKey": USE,
    "RetireGrant": {},
    "RevokeGrant": {},
    "RotateKeyOnDemand": ROTATE,
    "ScheduleKeyDeletion": EDIT,
    "TagResource": EDIT,
    "UntagResource": EDIT,
    "UpdateAlias": EDIT,
    "UpdateKeyDescription": EDIT,
}

# The same document, notes 7 and 9: operation → the origin it is for, and the note otherwise.
ORIGINS: dict[str, tuple[str, int]] = {
    "DeleteImportedKeyMaterial": ("EXTERNAL", 9),
    "DisableKeyRotation": ("AWS_KMS", 7),
    "EnableKeyRotation": ("AWS_KMS", 7),
    "GetKeyRotationStatus": ("AWS_KMS", 7),
    "GetParametersForImport": ("EXTERNAL", 9),
    "ImportKeyMaterial": ("EXTERNAL", 9),
}

# The API reference of each, and CreateKey: not of a key in a custom key store.
NOT_IN_STORE = frozenset({
    "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext", "ReplicateKey",
    "RotateKeyOnDemand",
})  # fmt: skip

# The API reference, parameter KeyId of each: where it may also be an alias name or alias ARN.
TAKES_ALIAS = frozenset({
    "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext", "ReEncrypt",
})  # fmt: skip

# The API reference, "Cross-account use: Yes" of each.
CROSS_ACCOUNT = frozenset({
    "CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext",
    "GetKeyRotationStatus", "ListGrants", "ReEncrypt", "RetireGrant", "RevokeGrant",
})  # fmt: skip

# The API reference, Errors of each: these do not have InvalidArnException.
NO_INVALID_ARN = frozenset({
    "CreateAlias", "Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext", "ReEncrypt",
    "UpdateAlias",
})  # fmt: skip

# After these, a key that could be used still can, and one that could not still cannot.
CHANGES_NOTHING = frozenset({
    "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext", "GenerateRandom",
    "GetKeyPolicy", "GetKeyRotationStatus", "GetParametersForImport", "ListAliases", "ListGrants",
    "ListKeyPolicies", "ListKeyRotations", "ListKeys", "ListResourceTags", "ListRetirableGrants",
    "ReEncrypt",
})  # fmt: skip

# After these, a key that could be used still can; one that could not may be usable now.
ONLY_PERMITS = frozenset({"CreateGrant", "CreateKey", "EnableKey", "ImportKeyMaterial"})


def check_state(operation: str, key: Key) -> None:
    """Raises the AwsError that `operation` meets with a key of this origin and in this state."""
    origin, number = ORIGINS.get(operation, (key.origin, 0))
    if key.store and operation in NOT_IN_STORE:
        origin, number = "", 7
    state = "PendingDeletion" if key.to_be_deleted else key.shown_state
    note = number if origin != key.origin else KEY_STATES[operation].get(state)
    if note:
        code, message = NOTES[note]
        raise AwsError(code, message.format(arn=key.arn, origin=key.origin))
