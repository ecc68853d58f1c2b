"""Ciphertexts: AES-256-GCM under a key's material, with the encryption context as part of it.

The header names key and material, so that ciphertexts from before a rotation can be decrypted.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chaosaws_kms_lab.calls import AwsError
from chaosaws_kms_lab.world import Key

__all__ = ["key_id_of", "open_sealed", "seal"]

MAGIC = b"LABKMS2"
MATERIAL_ID, NONCE, TAG = 32, 12, 16


def seal(key: Key, plaintext: bytes, context: Mapping[str, str]) -> bytes:
    """`plaintext` encrypted under the key's current material."""
    material, name = key.materials[-1], key.id.encode()
    assert material.secret is not None, "a key without its material is not in a state for this"
    header = MAGIC + struct.pack(">B", len(name)) + name + bytes.fromhex(material.id)
    nonce = os.urandom(NONCE)
    sealed = AESGCM(material.secret).encrypt(nonce, plaintext, header + _canonical(context))
    return header + nonce + sealed


def key_id_of(blob: bytes) -> str:
    """The id of the key that a ciphertext was made under."""
    try:
        (length,) = struct.unpack_from(">B", blob, len(MAGIC))
        name = blob[len(MAGIC) + 1 :][:length].decode("ascii")
    except (struct.error, UnicodeDecodeError):
        raise _invalid() from None
    if not blob.startswith(MAGIC) or len(name) < length:
        raise _invalid()
    return name


def open_sealed(key: Key, blob: bytes, context: Mapping[str, str] | None) -> tuple[bytes, str]:
    """The plaintext, and the id of the material.

    Raises InvalidCiphertextException unless ciphertext and context are exactly those of `seal`;
    if `context` is None, the context does not count.
    """
    start = len(MAGIC) + 1 + len(key.id)
    header, body = blob[: start + MATERIAL_ID], blob[start + MATERIAL_ID :]
    wanted = header[start:].hex()
    for material in key.materials:
        if material.id == wanted and material.secret is not None and not material.lost:
            if context is None:
                return _unauthenticated(material.secret, body), material.id
            aad = header + _canonical(context)
            try:
                opened = AESGCM(material.secret).decrypt(body[:NONCE], body[NONCE:], aad)
            except (InvalidTag, ValueError):
                break
            return opened, material.id
    raise _invalid()


def _unauthenticated(secret: bytes, body: bytes) -> bytes:
    """GCM without its tag is counter mode from the second block on (NIST SP 800-38D, 7.2)."""
    if len(body) < NONCE + TAG:
        raise _invalid()
    counter = modes.CTR(body[:NONCE] + b"\0\0\0\2")
    return Cipher(algorithms.AES(secret), counter).decryptor().update(body[NONCE:-TAG])


def _canonical(context: Mapping[str, str]) -> bytes:
    """The encryption context as additional authenticated data: order does not matter."""
    return json.dumps(dict(context), sort_keys=True).encode()


def _invalid() -> AwsError:
    return AwsError("InvalidCiphertextException", "")
