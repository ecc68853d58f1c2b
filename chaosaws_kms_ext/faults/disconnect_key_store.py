"""The fault of a disconnected custom key store: with it every key in it is away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.faults.base import On, fault
from chaosaws_kms_ext.iam.needs import Needs
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo.undo import Call, Undo

__all__ = ["DisconnectKeyStore"]


@fault
@dataclass(frozen=True)
class DisconnectKeyStore:
    """Disconnects the custom key store `store` (its id) that the key `key` (an ARN) is in.

    Every key of the store is Unavailable then, whatever is encrypted under it (KMS Developer Guide,
    disconnect-keystore). Aurora takes such keys as any other customer managed key (use-cmk-keystore
    and use-xks-key: "with AWS services that integrate with AWS KMS and support customer managed
    keys"); no document says how it bears their loss.
    """

    key: str
    store: str

    name: ClassVar[str] = "disconnect-key-store"
    on: ClassVar[On] = "target"
    needs: ClassVar[Needs] = Needs(
        inject=("kms:DisconnectCustomKeyStore",),
        undo=("kms:ConnectCustomKeyStore",),
        look=("kms:DescribeCustomKeyStores", "kms:ListKeys"),
        consent=("allow_key_store",),
        reach="store",
    )

    @classmethod
    def of(cls, aws: Aws, key: str, /) -> Self:
        """For the store of this key; raises AwsError, and Refused for a key that is in none."""
        found = kms.describe(aws, key)
        if not found.store:
            raise Refused(f"the key {key} is in no custom key store: there is none to disconnect")
        return cls(key, found.store)

    def undo(self) -> Undo:
        """It begins the connecting, which takes minutes: the check says when that is over."""
        return Undo((Call("kms", "ConnectCustomKeyStore", self._named),))

    def inject(self, aws: Aws) -> None:
        """Does it; raises AwsError."""
        aws.call("kms", "DisconnectCustomKeyStore", self._named)

    def shows(self, aws: Aws) -> bool:
        """Whether KMS says that it is done; raises AwsError."""
        return kms.describe(aws, self.key).state == "Unavailable"

    @property
    def _named(self) -> dict[str, str]:
        return {"CustomKeyStoreId": self.store}
