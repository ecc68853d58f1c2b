"""The fault of a scheduled deletion: ScheduleKeyDeletion, undone while the key is still there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.faults.base import On, fault
from chaosaws_kms_ext.iam.needs import Needs
from chaosaws_kms_ext.undo.undo import Call, Undo

__all__ = ["ScheduleKeyDeletion"]

DAYS = 30
"""Until a deletion: the most that KMS allows (API reference, ScheduleKeyDeletion), so that it can
be cancelled as long as possible. A fault never has fewer."""

SCHEDULED = ("PendingDeletion", "PendingReplicaDeletion")
"""States; the second is that of a multi-Region primary key as long as it has replicas (KMS
Developer Guide, key-state)."""


@fault
@dataclass(frozen=True)
class ScheduleKeyDeletion:
    """Schedules the deletion of the key `key` (an ARN): it is unusable at once."""

    key: str

    name: ClassVar[str] = "schedule-key-deletion"
    on: ClassVar[On] = "target"
    needs: ClassVar[Needs] = Needs(
        inject=("kms:ScheduleKeyDeletion",),
        undo=("kms:CancelKeyDeletion", "kms:EnableKey"),
        consent=("allow_key_deletion",),
    )

    @classmethod
    def of(cls, aws: Aws, key: str, /) -> Self:
        """For this key."""
        return cls(key)

    def undo(self) -> Undo:
        """A key whose deletion is cancelled is Disabled (API reference, CancelKeyDeletion)."""
        key = {"KeyId": self.key}
        return Undo((Call("kms", "CancelKeyDeletion", key), Call("kms", "EnableKey", key)))

    def inject(self, aws: Aws) -> None:
        """Does it; raises AwsError."""
        asked = {"KeyId": self.key, "PendingWindowInDays": DAYS}
        aws.call("kms", "ScheduleKeyDeletion", asked)

    def shows(self, aws: Aws) -> bool:
        """Whether KMS says that it is done; raises AwsError."""
        return kms.describe(aws, self.key).state in SCHEDULED
