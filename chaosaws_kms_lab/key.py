"""A KMS key as plain data: its materials, its grants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from chaosaws_kms_lab.key_store import KeyStore

if TYPE_CHECKING:
    from chaosaws_kms_lab.world import DataMisbehaviour

__all__ = ["Grant", "Key", "Material", "MultiRegion"]

TO_BE_DELETED = ("PendingDeletion", "PendingReplicaDeletion")


@dataclass
class Material:
    """One generation of a key's material."""

    id: str
    secret: bytes | None
    """None: imported, and deleted or expired since."""
    made: datetime
    rotated_by: str | None = None
    """AUTOMATIC or ON_DEMAND; None: the key's first material."""
    valid_to: datetime | None = None
    """When imported material expires: a date of the wall clock, since a person gave it."""
    expiration_model: str | None = None
    """None: KMS made it, or it is not there."""
    description: str = ""
    misbehaviour: DataMisbehaviour | None = None
    """Until this misbehaviour is over, the material decrypts nothing."""

    @property
    def lost(self) -> bool:
        """Whether it decrypts nothing, by a misbehaviour."""
        return self.misbehaviour is not None and not self.misbehaviour.over


@dataclass
class Grant:
    """A grant on a key."""

    id: str
    token: str
    grantee: str
    """A principal's ARN, or a service principal."""
    operations: frozenset[str]
    issuing_account: str
    created: datetime
    name: str | None = None
    retiring: str | None = None
    context_subset: Mapping[str, str] | None = None
    context_equals: Mapping[str, str] | None = None


@dataclass
class MultiRegion:
    """The related keys of a multi-Region key: they share their id and their materials."""

    primary: str
    """The Region of the primary key."""
    replicas: list[str] = field(default_factory=list)
    """Those of its replicas."""


@dataclass
class Key:
    """A KMS key; its material never leaves the lab."""

    id: str
    arn: str
    state: str
    """Its own: what clients see is `shown_state`."""
    manager: str
    created: datetime
    policy: str
    """The JSON text, as it was put."""
    materials: list[Material]
    """The current one last; empty until something is imported."""
    pending: Material | None = None
    """The material that was imported for the next rotation on demand."""
    description: str = ""
    origin: str = "AWS_KMS"
    store: KeyStore | None = None
    """The custom key store that it is in."""
    external_key: str | None = None
    """The external key that it stands for (XksKeyId)."""
    multi_region: MultiRegion | None = None
    tags: dict[str, str] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    deletion_at: float | None = None
    """Lab seconds."""
    pending_window_days: int | None = None
    rotation_period_days: int | None = None
    """None: no automatic rotation."""
    next_rotation_at: float | None = None
    """Lab seconds."""
    changes: int = 0
    """Counts the calls that may have changed whether the key can be used. Aurora asks for every
    cluster at every tick; while this has not changed, it need not try again."""
    permitting_changes: int = 0
    """Counts the calls that can only make the key usable: they matter while it is not."""

    @property
    def region(self) -> str:
        """The Region it lives in."""
        return self.arn.split(":")[3]

    @property
    def shown_state(self) -> str:
        """What DescribeKey says: the key of a store that is not connected is Unavailable, unless
        its deletion is scheduled (KMS Developer Guide, key-state, notes 12 and 13)."""
        away = self.store is not None and not self.store.connected and not self.to_be_deleted
        return "Unavailable" if away else self.state

    @property
    def is_replica(self) -> bool:
        """Whether it is a multi-Region key, and another one is the primary."""
        return self.multi_region is not None and self.multi_region.primary != self.region

    @property
    def to_be_deleted(self) -> bool:
        """Whether its deletion is scheduled, at a date or after that of its replicas."""
        return self.state in TO_BE_DELETED

    @property
    def current(self) -> Material | None:
        """The material that encrypts; None: none was ever imported."""
        return self.materials[-1] if self.materials else None

    @property
    def complete(self) -> bool:
        """Whether every material is there that something may be encrypted under."""
        return bool(self.materials) and all(m.secret is not None for m in self.materials)

    @property
    def expirations(self) -> list[datetime]:
        """When which of its materials expire, that of the next rotation included."""
        if self.origin != "EXTERNAL":
            return []  # asked of every key at every tick
        known = [*self.materials, self.pending] if self.pending else self.materials
        return sorted(m.valid_to for m in known if m.valid_to is not None)
