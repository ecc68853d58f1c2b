"""The fault of expired key material: imported with an expiry, undone by an import without."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.faults.base import On, fault
from chaosaws_kms_ext.iam.needs import Needs
from chaosaws_kms_ext.run import Instant
from chaosaws_kms_ext.undo.material_import import ImportedMaterial
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
class ExpireKeyMaterial(ImportedMaterial):
    """Lets the imported material of the key `key` (an ARN) expire: it is PendingImport then.

    Only of a key that the run made, as `delete-key-material`.
    """

    name: ClassVar[str] = "expire-key-material"
    on: ClassVar[On] = "own"
    needs: ClassVar[Needs] = Needs(
        inject=("kms:GetParametersForImport", "kms:ImportKeyMaterial"),
        undo=("kms:ImportKeyMaterial",),
    )

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
