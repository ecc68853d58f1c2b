"""The data keys of what other services encrypt, and how long a service uses one without KMS.

AWS KMS Developer Guide, "How unusable KMS keys affect data keys": a key that is disabled shows only
when a service next asks KMS. What a service has kept goes on until then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.data_misbehaviours import DEPENDENTS_STAY_LOST
from chaosaws_kms_lab.kms.calls import ask
from chaosaws_kms_lab.world import World

__all__ = ["DataKeys", "Encryption", "Prepare", "customers", "not_done"]


@dataclass(frozen=True)
class Encryption:
    """How one thing is encrypted."""

    resource: str
    """Its ARN: what has the data key."""
    key: str
    """The KMS key, by id, ARN or alias."""
    context: Mapping[str, str]
    keep: float = 0.0
    """AWS seconds for which the service uses a data key again without asking KMS; each caller has
    its own."""


class DataKeys:
    """The data keys of everything that is under a customer managed key."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sealed: dict[tuple[str, str], tuple[str, bytes]] = {}
        """Resource and the key's name → the key's ARN, and the data key as KMS sealed it."""
        self._kept: dict[tuple[str, str, str], float] = {}
        """Resource, key and caller → when KMS was last asked for them, lab seconds."""
        self._lost: dict[str, AwsError] = {}
        """Key's name → the error of KMS; only of those that could not be used once."""

    def seal(self, call: Call, how: Encryption) -> None:
        """To write; raises KMS' AwsError unless the caller may make a data key, or has one."""
        if self._is_kept(call, how):
            return
        context = dict(how.context)
        made = self._ask(
            call, how, "GenerateDataKey", KeyId=how.key, KeySpec="AES_256",
            EncryptionContext=context,
        )  # fmt: skip
        self._sealed[how.resource, how.key] = made["KeyId"], made["CiphertextBlob"]

    def open(self, call: Call, how: Encryption) -> None:
        """To read; raises KMS' AwsError unless the caller may decrypt, or has done it before."""
        if self._is_kept(call, how):
            return
        if (how.resource, how.key) not in self._sealed:
            self.seal(call, how)
            return
        key, sealed = self._sealed[how.resource, how.key]
        context = dict(how.context)
        self._ask(call, how, "Decrypt", KeyId=key, CiphertextBlob=sealed, EncryptionContext=context)

    def _is_kept(self, call: Call, how: Encryption) -> bool:
        asked = self._kept.get((how.resource, how.key, call.caller.principal_arn))
        return asked is not None and self._world.clock.now() - asked < how.keep

    def _ask(self, call: Call, how: Encryption, operation: str, **params: Any) -> dict[str, Any]:
        caller = replace(call.caller, via=f"{call.service}.{call.region}.amazonaws.com")
        with self._world.lock:
            if how.key in self._lost and self._world.active_misbehaviours(DEPENDENTS_STAY_LOST):
                raise self._lost[how.key]
            try:
                answer = ask(self._world, call.region, caller, operation, **params)
            except AwsError as why:
                self._lost[how.key] = why
                raise
        self._lost.pop(how.key, None)
        mine = how.resource, how.key, call.caller.principal_arn
        self._kept[mine] = self._world.clock.now()
        return answer


Prepare = Callable[[DataKeys, Call], None]
"""What one operation needs of KMS before moto does it."""


def customers(key: object, service: str) -> str | None:
    """The key's name; None: there is none, or it is AWS' own, which cannot be lost."""
    if not isinstance(key, str) or not key or key.endswith(f"alias/aws/{service}"):
        return None
    return None if key.isupper() and "_" in key else key


def not_done(call: Call) -> AwsError:
    """An operation that moto would do without the key."""
    what = f"{call.service}:{call.operation}"
    # 501: an SDK does not try again, as it would after a 500.
    return AwsError("NotImplemented", f"The lab does not do {what} under a KMS key.", 501)
