"""The fault of deleted key material: DeleteImportedKeyMaterial, undone by importing it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.key_material import KeyMaterial, Wrapped
from chaosaws_kms_ext.faults.base import On, fault
from chaosaws_kms_ext.iam.needs import Needs
from chaosaws_kms_ext.undo.material_import import undo_of
from chaosaws_kms_ext.undo.undo import Undo

__all__ = ["DeleteKeyMaterial"]


@fault
@dataclass(frozen=True)
class DeleteKeyMaterial:
    """Deletes the imported material of the key `key` (an ARN): it is PendingImport at once.

    Only of a key that the run made. Of any other key nobody could promise that the material comes
    back: after a day the journal's import token is worth nothing, and no schedule on AWS can
    import it.
    """

    key: str
    material: KeyMaterial
    wrapped: Wrapped
    """For the undo."""

    name: ClassVar[str] = "delete-key-material"
    on: ClassVar[On] = "own"
    needs: ClassVar[Needs] = Needs(
        inject=(
            "kms:GetParametersForImport",
            "kms:ImportKeyMaterial",
            "kms:DeleteImportedKeyMaterial",
        ),
        undo=("kms:ImportKeyMaterial",),
    )

    @classmethod
    def of(cls, aws: Aws, key: str, /, *, material: bytes | None) -> Self:
        """For this key, whose material the run has; verified. Raises AwsError or Refused."""
        verified = KeyMaterial.verified(aws, key, material)
        return cls(key, verified, verified.wrapped(aws))

    def undo(self) -> Undo:
        """The same material, imported again; as before it does not expire."""
        return undo_of(self.material, self.wrapped)

    def inject(self, aws: Aws) -> None:
        """Does it; raises AwsError. A key that has had other materials as well keeps those."""
        named = {"KeyId": self.key, "KeyMaterialId": self.material.id}
        aws.call("kms", "DeleteImportedKeyMaterial", named)

    def shows(self, aws: Aws) -> bool:
        """Whether KMS says that it is done; raises AwsError."""
        return kms.describe(aws, self.key).state == "PendingImport"
