"""The fault of deleted key material: DeleteImportedKeyMaterial, undone by importing it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.faults.base import On, fault
from chaosaws_kms_ext.iam.needs import Needs
from chaosaws_kms_ext.undo.material_import import ImportedMaterial

__all__ = ["DeleteKeyMaterial"]


@fault
@dataclass(frozen=True)
class DeleteKeyMaterial(ImportedMaterial):
    """Deletes the imported material of the key `key` (an ARN): it is PendingImport at once.

    Only of a key that the run made. Of any other key nobody could promise that the material comes
    back: after a day the journal's import token is worth nothing, and no schedule on AWS can
    import it.
    """

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

    def inject(self, aws: Aws) -> None:
        """Does it; raises AwsError. A key that has had other materials as well keeps those."""
        named = {"KeyId": self.key, "KeyMaterialId": self.material.id}
        aws.call("kms", "DeleteImportedKeyMaterial", named)
