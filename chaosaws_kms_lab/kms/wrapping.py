"""Wrapping keys and import tokens, which protect key material on its way to KMS.

AWS KMS Developer Guide, "Importing key material: select a wrapping algorithm".
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from functools import cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap_with_padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chaosaws_kms_lab.calls import AwsError

__all__ = ["VALID", "Parameters", "parameters", "public_key", "token", "unwrap"]

VALID = 24 * 3600.0
"""AWS seconds: the API reference, GetParametersForImport."""

BITS = {"RSA_2048": 2048, "RSA_3072": 3072, "RSA_4096": 4096}

# Algorithm → its hash, and whether an AES key stands between RSA and the material.
ALGORITHMS: dict[str, tuple[type[hashes.HashAlgorithm], bool]] = {
    "RSAES_OAEP_SHA_1": (hashes.SHA1, False),
    "RSAES_OAEP_SHA_256": (hashes.SHA256, False),
    "RSA_AES_KEY_WRAP_SHA_1": (hashes.SHA1, True),
    "RSA_AES_KEY_WRAP_SHA_256": (hashes.SHA256, True),
}

NONCE = 12


@dataclass(frozen=True)
class Parameters:
    """The parameters in an import token."""

    key_id: str
    spec: str
    algorithm: str
    until: float
    """Lab seconds."""


def public_key(spec: str, algorithm: str) -> bytes:
    """The public key to wrap with, in DER; UnsupportedOperationException where there is none."""
    if spec not in BITS or algorithm not in ALGORITHMS:
        raise AwsError("UnsupportedOperationException", f"Wrapping with {algorithm} and {spec}.")
    made = _wrapping_key(spec).public_key()
    return made.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def token(given: Parameters) -> bytes:
    """An import token, which nobody else can read or make."""
    nonce = os.urandom(NONCE)
    return nonce + AESGCM(_token_key()).encrypt(nonce, json.dumps(asdict(given)).encode(), None)


def parameters(token: bytes) -> Parameters:
    """The parameters in a token; raises InvalidImportTokenException if the lab did not make it."""
    try:
        text = AESGCM(_token_key()).decrypt(token[:NONCE], token[NONCE:], None)
    except (InvalidTag, ValueError):
        raise AwsError("InvalidImportTokenException", "The import token is not valid") from None
    return Parameters(**json.loads(text))


def unwrap(given: Parameters, wrapped: bytes) -> bytes:
    """The key material; InvalidCiphertextException unless it was wrapped as `given` says."""
    digest, with_aes = ALGORITHMS[given.algorithm]
    oaep = padding.OAEP(padding.MGF1(digest()), digest(), None)
    cut = BITS[given.spec] // 8
    try:
        first = _wrapping_key(given.spec).decrypt(wrapped[:cut], oaep)
        if not with_aes:
            return _whole(first, wrapped[cut:])
        return aes_key_unwrap_with_padding(first, wrapped[cut:])
    except (ValueError, InvalidUnwrap):
        raise AwsError("InvalidCiphertextException", "") from None


def _whole(material: bytes, rest: bytes) -> bytes:
    if rest:
        raise ValueError("longer than one RSA block")
    return material


@cache
def _wrapping_key(spec: str) -> rsa.RSAPrivateKey:
    """One of each size for as long as the lab runs: making one takes up to seconds."""
    return rsa.generate_private_key(65537, BITS[spec])


@cache
def _token_key() -> bytes:
    return os.urandom(32)
