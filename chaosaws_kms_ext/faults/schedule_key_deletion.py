"""The fault of a scheduled deletion: ScheduleKeyDeletion, undone while the key is still there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.faults.base import On, fault
from chaosaws_kms_ext.iam.needs import Needs
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo.undo import Call, Undo

__all__ = ["ScheduleKeyDeletion"]

LONGEST = 30
"""Days until a deletion (API reference, ScheduleKeyDeletion): the more, the longer it can be
cancelled."""
SHORTEST = 7


@fault
@dataclass(frozen=True)
class ScheduleKeyDeletion:
    """Schedules the deletion of the key `key` (an ARN): it is unusable at once."""

    key: str
    days: int = LONGEST

    name: ClassVar[str] = "schedule-key-deletion"
    on: ClassVar[On] = "target"
    needs: ClassVar[Needs] = Needs(
        inject=("kms:ScheduleKeyDeletion",), undo=("kms:CancelKeyDeletion", "kms:EnableKey")
    )

    @classmethod
    def of(cls, aws: Aws, key: str, /, days: int = LONGEST) -> Self:
        """For this key, which would be deleted after so many days. Raises Refused."""
        if not isinstance(days, int) or not SHORTEST <= days <= LONGEST:
            raise Refused(f"days is a whole number from {SHORTEST} to {LONGEST}, not {days!r:.60}")
        return cls(key, days)

    def undo(self) -> Undo:
        """A key whose deletion is cancelled is Disabled (API reference, CancelKeyDeletion)."""
        key = {"KeyId": self.key}
        return Undo((Call("kms", "CancelKeyDeletion", key), Call("kms", "EnableKey", key)))

    def inject(self, aws: Aws) -> None:
        """Does it; raises AwsError."""
        asked = {"KeyId": self.key, "PendingWindowInDays": self.days}
        aws.call("kms", "ScheduleKeyDeletion", asked)

    def shows(self, aws: Aws) -> bool:
        """Whether KMS says that it is done; raises AwsError."""
        return kms.describe(aws, self.key).state == "PendingDeletion"
