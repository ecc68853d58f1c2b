"""Imported key material: wrapped under KMS' public key, imported, deleted, imported again.

The material itself is a secret. It leaves this process only wrapped, so that KMS alone can read it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.run import Refused

__all__ = ["BYTES", "DOES_NOT_EXPIRE", "EXTERNAL", "KeyMaterial", "Wrapped", "import_new"]

EXTERNAL = "EXTERNAL"
"""The origin of a key for imported material (API reference, CreateKey)."""

BYTES = 32
"""Of the material of a symmetric encryption key (KMS Developer Guide,
importing-keys-encrypt-key-material)."""

SYMMETRIC = "SYMMETRIC_DEFAULT"
"""The key spec of the keys that Aurora takes."""

WRAPPING = {"WrappingKeySpec": "RSA_3072", "WrappingAlgorithm": "RSAES_OAEP_SHA_256"}
"""KMS Developer Guide, importing-keys-get-public-key-and-token: of such material."""

EXPIRES, DOES_NOT_EXPIRE = "KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE"


@dataclass(frozen=True)
class Wrapped:
    """Material as only KMS can read it, and what KMS wants to have with it."""

    material: bytes = field(repr=False)
    token: bytes = field(repr=False)
    until: datetime
    """When KMS takes it no more: after 24 hours (API reference, GetParametersForImport)."""

    @classmethod
    def of(cls, aws: Aws, key: str, secret: bytes) -> Self:
        """For one import into the key `key` (an ARN); raises AwsError.

        KMS Developer Guide, importing-keys-import-key-material: "Each time you import key material
        to a KMS key, you need to download and use a new wrapping key and import token".
        """
        given = aws.call("kms", "GetParametersForImport", {"KeyId": key, **WRAPPING})
        until = given["ParametersValidTo"].astimezone(UTC)
        return cls(_encrypted(given["PublicKey"], secret), given["ImportToken"], until)

    @property
    def params(self) -> dict[str, Any]:
        """As ImportKeyMaterial has it."""
        return {"EncryptedKeyMaterial": self.material, "ImportToken": self.token}


@dataclass(frozen=True)
class KeyMaterial:
    """The material that the key `key` (an ARN) has now, and that can be imported again."""

    key: str
    id: str
    """KMS' own, made from the key and the material."""
    secret: bytes = field(repr=False)

    @classmethod
    def verified(cls, aws: Aws, key: str, secret: bytes | None) -> Self:
        """Imports it once more while it is there, by which nothing changes: then KMS takes it.

        A key may have had several materials (of rotations on demand), and needs all of them; what
        is named and verified is the current one (API reference, ImportKeyMaterial, KeyMaterialId).
        Raises AwsError, and Refused for a key or a material with which that cannot be done.
        """
        found = kms.describe(aws, key)
        if found.origin != EXTERNAL:
            raise Refused(
                f"the key {key} is of origin {found.origin}: only a key whose material was "
                f"imported (origin {EXTERNAL}) can lose it"
            )
        if not found.enabled:
            raise Refused(f"the key {key} is {found.state}, not Enabled: it is left as it is")
        if secret is None:
            raise Refused(
                f"this run does not have the material of {key}: make the key by create_key with "
                f"origin {EXTERNAL}"
            )
        if found.spec != SYMMETRIC or not found.material:
            raise Refused(f"the key {key} is no symmetric key with material: it is left as it is")
        if found.expiration != DOES_NOT_EXPIRE:
            raise Refused(
                f"the material of {key} expires by itself, and this run imported it without an "
                "expiry: somebody has changed that, and it is left as it is"
            )
        made = cls(key, found.material, secret)
        try:
            made.import_again(aws)
        except AwsError as problem:
            if problem.code != "IncorrectKeyMaterialException":
                raise
            raise Refused(
                f"KMS does not take the material that this run has for {key}, so nobody could "
                f"import it again: nothing was deleted ({problem})"
            ) from None
        return made

    def wrapped(self, aws: Aws) -> Wrapped:
        """For one import; raises AwsError."""
        return Wrapped.of(aws, self.key, self.secret)

    def import_again(self, aws: Aws, valid_to: datetime | None = None) -> None:
        """Imports it again, until `valid_to`; without that it does not expire. Raises AwsError."""
        expiry: dict[str, Any] = {"ExpirationModel": DOES_NOT_EXPIRE}
        if valid_to is not None:
            expiry = {"ExpirationModel": EXPIRES, "ValidTo": valid_to}
        aws.call(
            "kms",
            "ImportKeyMaterial",
            {**self.named, **expiry, **self.wrapped(aws).params},
        )

    @property
    def named(self) -> dict[str, str]:
        """The parameters that name it, in ImportKeyMaterial.

        With this import type KMS takes no other material than one that the key has had.
        """
        return {
            "KeyId": self.key,
            "KeyMaterialId": self.id,
            "ImportType": "EXISTING_KEY_MATERIAL",
        }


def _encrypted(public_key: bytes, secret: bytes) -> bytes:
    """By RSAES_OAEP_SHA_256; raises AwsError for a key (DER) with which that cannot be done."""
    # Every `chaos` imports this module, and few wrap anything.
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    public = load_der_public_key(public_key)
    if not isinstance(public, rsa.RSAPublicKey):
        raise AwsError("kms:GetParametersForImport gives no RSA key to wrap with")
    return public.encrypt(secret, padding.OAEP(padding.MGF1(SHA256()), SHA256(), None))


def import_new(aws: Aws, key: str, secret: bytes) -> None:
    """Gives a new key of origin EXTERNAL its first material, which does not expire.

    Raises AwsError.
    """
    expiry = {"ExpirationModel": DOES_NOT_EXPIRE}
    wrapped = Wrapped.of(aws, key, secret)
    aws.call("kms", "ImportKeyMaterial", {"KeyId": key, **expiry, **wrapped.params})
