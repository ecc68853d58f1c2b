"""The fault of a disabled key: DisableKey, undone by EnableKey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.faults.base import On, fault
from chaosaws_kms_ext.iam.needs import Needs
from chaosaws_kms_ext.undo.undo import Call, Undo

__all__ = ["DisableKey"]


@fault
@dataclass(frozen=True)
class DisableKey:
    """Takes the key `key` (an ARN) away from everything that is encrypted under it."""

    key: str

    name: ClassVar[str] = "disable-key"
    on: ClassVar[On] = "target"
    needs: ClassVar[Needs] = Needs(inject=("kms:DisableKey",), undo=("kms:EnableKey",))

    @classmethod
    def of(cls, aws: Aws, key: str, /) -> Self:
        """For this key."""
        return cls(key)

    def undo(self) -> Undo:
        """What puts it back, wherever and by whomever it is replayed."""
        return Undo((Call("kms", "EnableKey", {"KeyId": self.key}),))

    def inject(self, aws: Aws) -> None:
        """Does it; raises AwsError."""
        aws.call("kms", "DisableKey", {"KeyId": self.key})

    def shows(self, aws: Aws) -> bool:
        """Whether KMS says that it is done; raises AwsError."""
        return kms.describe(aws, self.key).state == "Disabled"
