"""Encrypt, Decrypt, ReEncrypt and GenerateRandom."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call
from chaosaws_kms_lab.data_misbehaviours import CONTEXT_IGNORED
from chaosaws_kms_lab.key_store import CLOUDHSM
from chaosaws_kms_lab.kms import key_stores
from chaosaws_kms_lab.kms.authorize import authorize_account
from chaosaws_kms_lab.kms.lookup import key_for
from chaosaws_kms_lab.kms.options import check_tokens, stop_if_dry
from chaosaws_kms_lab.kms.sealing import key_id_of, open_sealed, seal
from chaosaws_kms_lab.kms.states import Handler
from chaosaws_kms_lab.world import Key, World

__all__ = ["OPERATIONS", "check_use", "context_of"]

SYMMETRIC = "SYMMETRIC_DEFAULT"
LARGEST_CONTEXT = 8192
"""Bytes, in JSON. AWS KMS Developer Guide, "Encryption context"."""

ALGORITHMS = (
    "EncryptionAlgorithm", "SourceEncryptionAlgorithm", "DestinationEncryptionAlgorithm",
)  # fmt: skip


def encrypt(world: World, call: Call) -> dict[str, Any]:
    """Encrypt."""
    check_use(world, call)
    key, context = key_for(world, call), context_of(call)
    stop_if_dry(call)
    return {
        "KeyId": key.arn,
        "CiphertextBlob": seal(key, call.params["Plaintext"], context),
        "EncryptionAlgorithm": SYMMETRIC,
    }


def decrypt(world: World, call: Call) -> dict[str, Any]:
    """Decrypt."""
    check_use(world, call)
    context = context_of(call)
    key, plaintext, material = _opened(world, call, "KeyId", "Decrypt", context)
    stop_if_dry(call)
    return {
        "KeyId": key.arn,
        "Plaintext": plaintext,
        "EncryptionAlgorithm": SYMMETRIC,
        "KeyMaterialId": material,
    }


def re_encrypt(world: World, call: Call) -> dict[str, Any]:
    """ReEncrypt: takes kms:ReEncryptFrom on the source, kms:ReEncryptTo on the destination."""
    check_use(world, call)
    params = call.params
    before, after = context_of(call, "Source"), context_of(call, "Destination")
    source, plaintext, material = _opened(world, call, "SourceKeyId", "ReEncryptFrom", before)
    key = key_for(world, call, params["DestinationKeyId"], "ReEncryptTo", after)
    stop_if_dry(call)
    return {
        "CiphertextBlob": seal(key, plaintext, after),
        "SourceKeyId": source.arn,
        "KeyId": key.arn,
        "SourceEncryptionAlgorithm": SYMMETRIC,
        "DestinationEncryptionAlgorithm": SYMMETRIC,
        "SourceKeyMaterialId": material,
        "DestinationKeyMaterialId": key.materials[-1].id,
    }


def generate_random(world: World, call: Call) -> dict[str, Any]:
    """GenerateRandom."""
    authorize_account(world, call, "GenerateRandom")
    if call.params.get("CustomKeyStoreId"):
        _check_store(world, call)
    if call.params.get("Recipient"):
        raise AwsError("UnsupportedOperationException", "The lab has no enclaves to answer to.")
    if "NumberOfBytes" not in call.params:
        raise AwsError("ValidationException", "NumberOfBytes is required.")
    return {"Plaintext": os.urandom(call.params["NumberOfBytes"])}


def _check_store(world: World, call: Call) -> None:
    """API reference, GenerateRandom: the bytes come from a connected CloudHSM key store."""
    store = key_stores.named(world, call)
    if store.type != CLOUDHSM:
        why = f"GenerateRandom takes no custom key store of type {store.type}."
        raise AwsError("UnsupportedOperationException", why)
    key_stores.check_connected(store)


def check_use(world: World, call: Call) -> None:
    """Raises an AwsError for what every cryptographic operation refuses."""
    if any(call.params.get(name, SYMMETRIC) != SYMMETRIC for name in ALGORITHMS):
        raise AwsError(
            "InvalidKeyUsageException", f"The algorithm of the lab's keys is {SYMMETRIC}."
        )
    if call.params.get("Recipient"):
        raise AwsError("ValidationException", "The lab has no enclaves to answer to.")
    check_tokens(world, call)


def context_of(call: Call, which: str = "") -> dict[str, str]:
    """The encryption context of a call: {} is as good as none."""
    context: dict[str, str] = call.params.get(f"{which}EncryptionContext") or {}
    if sum(len(k.encode()) + len(v.encode()) for k, v in context.items()) > LARGEST_CONTEXT:
        raise AwsError(
            "ValidationException", f"An encryption context has at most {LARGEST_CONTEXT} bytes"
        )
    return context


def _opened(
    world: World, call: Call, named: str, permission: str, context: Mapping[str, str]
) -> tuple[Key, bytes, str]:
    blob = call.params.get("CiphertextBlob")
    if blob is None:
        raise AwsError("ValidationException", "CiphertextBlob must not be null")
    key_id, reference = key_id_of(blob), call.params.get(named)
    if reference is None:
        reference = _arn_of(world, call, key_id)
    key = key_for(world, call, reference, permission, context)
    if key.id != key_id:
        raise AwsError(
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.",
        )
    bound = None if world.active_misbehaviours(CONTEXT_IGNORED) else context
    return key, *open_sealed(key, blob, bound)


def _arn_of(world: World, call: Call, key_id: str) -> str:
    region = world.region(call.region)
    if key_id not in region.keys:
        # Deleted, or of another Region: AWS says the same of both, and not which it is.
        raise AwsError(
            "AccessDeniedException",
            "The ciphertext refers to a customer master key that does not exist, does not exist "
            "in this region, or you are not allowed to access.",
        )
    return f"arn:aws:kms:{region.name}:{ACCOUNT}:key/{key_id}"


OPERATIONS: dict[str, Handler] = {
    "Decrypt": decrypt,
    "Encrypt": encrypt,
    "GenerateRandom": generate_random,
    "ReEncrypt": re_encrypt,
}
