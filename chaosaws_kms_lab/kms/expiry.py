"""What happens to keys with time: deletion, expiry of imported material, automatic rotation."""

from __future__ import annotations

from datetime import datetime

from chaosaws_kms_lab import event_bus
from chaosaws_kms_lab.kms import key_stores, material, replicas, rotation
from chaosaws_kms_lab.kms.new_keys import DAY, YEAR_DAYS
from chaosaws_kms_lab.world import Key, Region, World

__all__ = ["at_rest", "tick"]


def tick(world: World) -> None:
    """Does what is due for every key and key store."""
    key_stores.tick(world)
    now, today = world.clock.now(), world.clock.utc()
    for region in world.regions():
        for key in _waiting(region):
            if _age(world, region, key, now, today):
                key.changes += 1


def at_rest(world: World, seconds: float) -> bool:
    """Whether nothing happens to keys and key stores within so many real seconds without a call."""
    soon = world.clock.now() + seconds * world.clock.speed
    date = world.clock.date(soon)
    return key_stores.at_rest(world, soon) and not any(
        (key.deletion_at is not None and key.deletion_at <= soon)
        or any(until <= date for until in key.expirations)
        or (key.next_rotation_at is not None and key.next_rotation_at <= soon)
        for region in world.regions()
        for key in _waiting(region)
    )


def _waiting(region: Region) -> list[Key]:
    """The keys to which something will happen; most wait for nothing."""
    return [
        key
        for key in region.keys.values()
        if key.deletion_at is not None or key.expirations or key.next_rotation_at is not None
    ]


def _age(world: World, region: Region, key: Key, now: float, today: datetime) -> bool:
    if key.deletion_at is not None and key.deletion_at <= now:
        _delete(region, key)
        replicas.forget(world, key)
        world.publish(event_bus.kms_event("KMS CMK Deletion", key, today))
        return True
    changed = False
    if any(until <= today for until in key.expirations):
        material.expire(key, today)
        world.publish(event_bus.kms_event("KMS Imported Key Material Expiration", key, today))
        changed = True
    # A key that is not enabled is rotated when it is again (the API reference,
    # GetKeyRotationStatus).
    if key.next_rotation_at is None or key.next_rotation_at > now or key.state != "Enabled":
        return changed
    rotation.rotate(world, key, rotation.AUTOMATIC)
    period = (key.rotation_period_days or YEAR_DAYS) * DAY
    scheduled = key.next_rotation_at + period
    key.next_rotation_at = scheduled if scheduled > now else now + period
    return True


def _delete(region: Region, key: Key) -> None:
    del region.keys[key.id]
    for name in [name for name, target in region.aliases.items() if target == key.id]:
        del region.aliases[name]
