"""The undo of key material that is gone: the same material is imported again.

In the journal it is wrapped under KMS' public key. KMS takes it for 24 hours, by an import token.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Self

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.key_material import DOES_NOT_EXPIRE, KeyMaterial, Wrapped
from chaosaws_kms_ext.undo.undo import Call, Undo

__all__ = ["ImportedMaterial"]


@dataclass(frozen=True)
class ImportedMaterial:
    """What every fault of the imported material of the key `key` (an ARN) knows before it acts."""

    key: str
    material: KeyMaterial
    wrapped: Wrapped
    """For the undo."""

    @classmethod
    def of(cls, aws: Aws, key: str, /, *, material: bytes | None) -> Self:
        """For this key, whose material the run has; verified. Raises AwsError or Refused."""
        verified = KeyMaterial.verified(aws, key, material)
        return cls(key, verified, verified.wrapped(aws))

    def undo(self) -> Undo:
        """The same material, imported again without an expiry, as it was before the fault."""
        blobs = {n: base64.b64encode(blob).decode() for n, blob in self.wrapped.params.items()}
        params = {**self.material.named, "ExpirationModel": DOES_NOT_EXPIRE, **blobs}
        return Undo((Call("kms", "ImportKeyMaterial", params),), self.wrapped.until)

    def shows(self, aws: Aws) -> bool:
        """Whether KMS says that the material is gone; raises AwsError."""
        return kms.describe(aws, self.key).state == "PendingImport"
