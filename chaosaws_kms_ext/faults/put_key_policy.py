"""The fault of a key policy: PutKeyPolicy, undone by putting the old one back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.faults.base import On, fault
from chaosaws_kms_ext.iam.needs import Needs
from chaosaws_kms_ext.undo.undo import Call, Undo

__all__ = ["PutKeyPolicy"]


@fault
@dataclass(frozen=True)
class PutKeyPolicy:
    """Gives the key `key` (an ARN) another policy."""

    key: str
    old: str
    """The policy that it has, as KMS says it."""
    new: Mapping[str, Any]

    name: ClassVar[str] = "put-key-policy"
    on: ClassVar[On] = "own"
    needs: ClassVar[Needs] = Needs(
        inject=("kms:PutKeyPolicy",), undo=("kms:PutKeyPolicy",), look=("kms:GetKeyPolicy",)
    )

    @classmethod
    def of(cls, aws: Aws, key: str, /, policy: Mapping[str, Any]) -> Self:
        """For this key; `policy` is the whole new one. Raises AwsError."""
        return cls(key, kms.policy(aws, key), policy)

    def undo(self) -> Undo:
        """What puts it back, wherever and by whomever it is replayed.

        Whatever policy the key has by then: the run made it, so nobody else has a say in it.
        """
        old = {"KeyId": self.key, "PolicyName": "default", "Policy": self.old}
        return Undo((Call("kms", "PutKeyPolicy", old),))

    def inject(self, aws: Aws) -> None:
        """Does it; raises AwsError. KMS refuses one with which the caller would lock itself out."""
        new = {"KeyId": self.key, "PolicyName": "default", "Policy": json.dumps(self.new)}
        aws.call("kms", "PutKeyPolicy", new)

    def shows(self, aws: Aws) -> bool:
        """Whether KMS says that it is done; raises AwsError."""
        return bool(json.loads(kms.policy(aws, self.key)) == self.new)
