"""Data keys and data key pairs, in plaintext and encrypted."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.kms.crypto import check_use, context_of
from chaosaws_kms_lab.kms.lookup import key_for
from chaosaws_kms_lab.kms.options import stop_if_dry
from chaosaws_kms_lab.kms.sealing import seal
from chaosaws_kms_lab.kms.states import Handler
from chaosaws_kms_lab.world import World

__all__ = ["OPERATIONS"]

BYTES = {"AES_128": 16, "AES_256": 32}

# The API reference, GenerateDataKeyPair, parameter KeyPairSpec. SM2 is of the China Regions only.
PAIRS: dict[str, Callable[[], Any]] = {
    "RSA_2048": lambda: rsa.generate_private_key(65537, 2048),
    "RSA_3072": lambda: rsa.generate_private_key(65537, 3072),
    "RSA_4096": lambda: rsa.generate_private_key(65537, 4096),
    "ECC_NIST_P256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ECC_NIST_P384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ECC_NIST_P521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ECC_SECG_P256K1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "ECC_NIST_EDWARDS25519": ed25519.Ed25519PrivateKey.generate,
}


def generate_data_key(world: World, call: Call) -> dict[str, Any]:
    """GenerateDataKey."""
    check_use(world, call)
    size, spec = call.params.get("NumberOfBytes"), call.params.get("KeySpec")
    if (size is None) == (spec is None):
        raise AwsError("ValidationException", "Please specify either number of bytes or key spec.")
    key, context = key_for(world, call), context_of(call)
    stop_if_dry(call)
    plaintext = os.urandom(size or BYTES[str(spec)])
    return {
        "KeyId": key.arn,
        "Plaintext": plaintext,
        "CiphertextBlob": seal(key, plaintext, context),
        "KeyMaterialId": key.materials[-1].id,
    }


def generate_data_key_without_plaintext(world: World, call: Call) -> dict[str, Any]:
    """GenerateDataKeyWithoutPlaintext."""
    return _without("Plaintext", generate_data_key(world, call))


def generate_data_key_pair(world: World, call: Call) -> dict[str, Any]:
    """GenerateDataKeyPair."""
    check_use(world, call)
    spec = call.params["KeyPairSpec"]
    if spec not in PAIRS:
        raise AwsError("UnsupportedOperationException", f"The lab makes no key pairs of {spec}.")
    key, context = key_for(world, call), context_of(call)
    stop_if_dry(call)
    pair = PAIRS[spec]()
    private = pair.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return {
        "KeyId": key.arn,
        "KeyPairSpec": spec,
        "PrivateKeyPlaintext": private,
        "PrivateKeyCiphertextBlob": seal(key, private, context),
        "PublicKey": pair.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        ),
        "KeyMaterialId": key.materials[-1].id,
    }


def generate_data_key_pair_without_plaintext(world: World, call: Call) -> dict[str, Any]:
    """GenerateDataKeyPairWithoutPlaintext."""
    return _without("PrivateKeyPlaintext", generate_data_key_pair(world, call))


def _without(name: str, answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != name}


OPERATIONS: dict[str, Handler] = {
    "GenerateDataKey": generate_data_key,
    "GenerateDataKeyPair": generate_data_key_pair,
    "GenerateDataKeyPairWithoutPlaintext": generate_data_key_pair_without_plaintext,
    "GenerateDataKeyWithoutPlaintext": generate_data_key_without_plaintext,
}
