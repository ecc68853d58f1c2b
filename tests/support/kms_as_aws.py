"""The lab's KMS as an `Aws` of the extension, without HTTP: for tests of many short histories."""

from __future__ import annotations

from typing import Any

from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_lab import calls, kms
from tests.support.kms_world import REGION, Kms

__all__ = ["Killed", "KmsAsAws"]


class Killed(BaseException):
    """The process is gone: nothing after this instant is done."""


LOOK = 200.0
"""AWS seconds between two looks at a custom key store: it connects in a few of them."""


class KmsAsAws:
    """What faults, undos and `restore` ask; a call can be the last of the process."""

    region = REGION

    def __init__(self) -> None:
        self.kms = Kms()
        self.changes: list[str] = []
        self.refuse: set[str] = set()
        """Operations that answer with an error that does not pass."""
        self.last: tuple[int, bool] | None = None
        """The number of changing calls, and whether the last of them is still carried out."""

    def call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        if service != "kms":
            raise AwsError(f"{service} is not there", "AccessDenied")
        if operation == "DescribeCustomKeyStores":
            self.kms.pass_time(LOOK)
        if operation.startswith(("Describe", "Get", "List")):
            return self._ask(operation, params)
        if operation in self.refuse:
            raise AwsError(f"kms:{operation} is not allowed", "AccessDeniedException")
        if self.last and len(self.changes) + 1 == self.last[0]:
            if self.last[1]:
                self._ask(operation, params)
            raise Killed
        self.changes.append(operation)
        return self._ask(operation, params)

    def pages(
        self, service: str, operation: str, params: dict[str, Any], field: str
    ) -> list[dict[str, Any]]:
        return list(self.call(service, operation, params)[field])

    def key_in_store(self) -> str:
        """The id of a new key in a custom key store that is connected."""
        world = self.kms.world
        store = kms.make_key_store(world, world.region(REGION), "shop", "EXTERNAL_KEY_STORE", {})
        store.state = "CONNECTED"
        return self.kms.key(
            Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=store.id, XksKeyId="orders"
        )

    def as_it_is(self, key: str) -> dict[str, Any]:
        """Everything of the key that a fault could leave changed."""
        said = self.kms.ask("DescribeKey", KeyId=key)["KeyMetadata"]
        policy = self.kms.ask("GetKeyPolicy", KeyId=key, PolicyName="default")["Policy"]
        names = ("KeyState", "DeletionDate", "ExpirationModel", "CurrentKeyMaterialId")
        return {**{name: said.get(name) for name in names}, "policy": policy}

    def _ask(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        try:
            return dict(self.kms.ask(operation, **params))
        except calls.AwsError as problem:
            raise AwsError(f"{operation}: {problem.message}", problem.code) from None
