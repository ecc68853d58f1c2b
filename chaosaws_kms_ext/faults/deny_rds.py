"""The fault of a key policy that denies RDS the key, undone by putting the old policy back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.key_policy import statements
from chaosaws_kms_ext.faults.base import On, fault
from chaosaws_kms_ext.iam.needs import Needs
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo.undo import Call, Undo

__all__ = ["DenyRds"]

SID = "ChaosDenyRds"

DENIED = (
    "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*",
    "kms:ReEncrypt*",
)  # fmt: skip
"""Every use of the key, and nothing that changes it: nobody can be locked out."""

LARGEST = 32 * 1024
"""Bytes of a key policy (KMS Developer Guide, resource-limits)."""


@fault
@dataclass(frozen=True)
class DenyRds:
    """Adds one statement to the policy of the key `key` (an ARN): no use of it by way of RDS.

    kms:ViaService holds for what RDS asks of KMS for somebody (KMS Developer Guide,
    conditions-kms). That it holds for Aurora's own use as well is assumed.
    """

    key: str
    old: str
    """The policy that it has, as KMS says it. Whoever changes it during the fault loses that
    change: the undo puts this one back."""

    name: ClassVar[str] = "deny-rds"
    on: ClassVar[On] = "target"
    needs: ClassVar[Needs] = Needs(
        inject=("kms:PutKeyPolicy",), undo=("kms:PutKeyPolicy",), look=("kms:GetKeyPolicy",)
    )

    @classmethod
    def of(cls, aws: Aws, key: str, /) -> Self:
        """For this key; raises AwsError, and Refused where its policy cannot take a statement."""
        made = cls(key, kms.policy(aws, key))
        found = statements(made.old)
        if found is None:
            raise Refused(f"the policy of {key} cannot be read: it is left as it is")
        if any(each.get("Sid") == SID for each in found):
            raise Refused(f"the policy of {key} has a statement {SID} already: remove that first")
        if len(made._new().encode()) > LARGEST:
            raise Refused(
                f"the policy of {key} has no room for one more statement ({LARGEST} bytes)"
            )
        return made

    def undo(self) -> Undo:
        """The old policy."""
        return Undo((Call("kms", "PutKeyPolicy", self._with(self.old)),))

    def inject(self, aws: Aws) -> None:
        """Does it; raises AwsError. KMS refuses one with which the caller would lock itself out."""
        aws.call("kms", "PutKeyPolicy", self._with(self._new()))

    def shows(self, aws: Aws) -> bool:
        """Whether KMS says that it is done; raises AwsError."""
        return self._statement() in (statements(kms.policy(aws, self.key)) or ())

    def _with(self, policy: str) -> dict[str, str]:
        return {"KeyId": self.key, "PolicyName": "default", "Policy": policy}

    def _statement(self) -> Mapping[str, Any]:
        region = self.key.split(":")[3]
        return {
            "Sid": SID,
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": list(DENIED),
            "Resource": "*",
            "Condition": {"StringEquals": {"kms:ViaService": f"rds.{region}.amazonaws.com"}},
        }

    def _new(self) -> str:
        """The policy with the statement; the order of the others stays."""
        found = json.loads(self.old)
        old = found.get("Statement", [])
        all_old = old if isinstance(old, list) else [old]
        return json.dumps({**found, "Statement": [*all_old, self._statement()]})
