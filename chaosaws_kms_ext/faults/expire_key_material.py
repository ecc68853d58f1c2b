"""The fault of expired key material: imported with an expiry, undone by an import without."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Self

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.key_material import KeyMaterial, Wrapped
from chaosaws_kms_ext.faults.base import On, fault
from chaosaws_kms_ext.iam.needs import Needs
from chaosaws_kms_ext.run import Instant
from chaosaws_kms_ext.undo.material_import import undo_of
from chaosaws_kms_ext.undo.undo import Undo
from chaosaws_kms_ext.waiting import Observer, Wait

__all__ = ["ExpireKeyMaterial"]

AHEAD = 10.0
"""Seconds until it expires. KMS wants an instant in the future (API reference, ImportKeyMaterial,
ValidTo): enough for a call that is repeated once, and for clocks that differ a little."""

EXPIRED_WITHIN = 300.0
"""Seconds after that for KMS to delete it: no document promises a time."""

LOOK = 0.2
"""Seconds between two looks at the key."""


@fault
@dataclass(frozen=True)
class ExpireKeyMaterial:
    """Lets the imported material of the key `key` (an ARN) expire: it is PendingImport then.

    Only of a key that the run made, as `delete-key-material`.
    """

    key: str
    material: KeyMaterial
    wrapped: Wrapped
    """For the undo."""

    name: ClassVar[str] = "expire-key-material"
    on: ClassVar[On] = "own"
    needs: ClassVar[Needs] = Needs(
        inject=("kms:GetParametersForImport", "kms:ImportKeyMaterial"),
        undo=("kms:ImportKeyMaterial",),
    )

    @classmethod
    def of(cls, aws: Aws, key: str, /, *, material: bytes | None) -> Self:
        """For this key, whose material the run has; verified. Raises AwsError or Refused."""
        verified = KeyMaterial.verified(aws, key, material)
        return cls(key, verified, verified.wrapped(aws))

    def undo(self) -> Undo:
        """The same material, imported again without an expiry, as it was before the fault."""
        return undo_of(self.material, self.wrapped)

    def inject(self, aws: Aws) -> Instant:
        """Does it, and waits until KMS has deleted the material: the key is away from then on.

        Raises AwsError or TimedOut.
        """
        self.material.import_again(aws, datetime.now(UTC) + timedelta(seconds=AHEAD))
        wait = Wait(
            f"the material of {self.key} to expire", AHEAD + EXPIRED_WITHIN, LOOK, Observer()
        )
        _, before = wait.found(lambda: self.shows(aws))
        return Instant.now(before)

    def shows(self, aws: Aws) -> bool:
        """Whether KMS says that it is done; raises AwsError."""
        return kms.describe(aws, self.key).state == "PendingImport"
