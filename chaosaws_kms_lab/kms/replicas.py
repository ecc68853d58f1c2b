"""Related multi-Region keys: what they share, and what only the primary key can do.

AWS KMS Developer Guide, "Multi-Region keys in AWS KMS". Replicas have the list of materials of
their primary key itself, so they follow its rotations.
"""

from __future__ import annotations

from typing import Any

from chaosaws_kms_lab.calls import ACCOUNT, AwsError
from chaosaws_kms_lab.kms.new_keys import DAY
from chaosaws_kms_lab.world import Key, World

__all__ = [
    "check",
    "configuration",
    "forget",
    "primary_of",
    "refuse_replica",
    "shared",
    "start_deletion",
]


def check(key: Key, region: str) -> None:
    """Raises AwsError unless a replica of `key` can be made in a Region."""
    if key.multi_region is None or key.is_replica:
        raise _no_primary(key)
    if key.origin != "AWS_KMS":
        raise AwsError(
            "UnsupportedOperationException",
            "The lab does not replicate keys with imported material.",
        )
    if region in (key.region, *key.multi_region.replicas):
        arn = _arn(key, region)
        raise AwsError("AlreadyExistsException", f"There is a key {arn} already.")


def shared(primary: Key) -> dict[str, Any]:
    """The fields of Key that a replica has of its primary key."""
    names = ("materials", "multi_region", "origin")
    return {name: getattr(primary, name) for name in names}


def primary_of(world: World, key: Key) -> Key:
    """The primary key of a replica; any other key itself."""
    if key.multi_region is None:
        return key
    return world.region(key.multi_region.primary).keys[key.id]


def refuse_replica(key: Key) -> None:
    """Raises UnsupportedOperationException for a replica: its primary key decides for it."""
    if key.is_replica:
        raise _no_primary(key)


def configuration(world: World, key: Key) -> dict[str, Any] | None:
    """MultiRegionConfiguration of DescribeKey; None: it is no multi-Region key."""
    if key.multi_region is None:
        return None
    related = key.multi_region
    return {
        "MultiRegionKeyType": "REPLICA" if key.is_replica else "PRIMARY",
        "PrimaryKey": {"Arn": _arn(key, related.primary), "Region": related.primary},
        "ReplicaKeys": [{"Arn": _arn(key, name), "Region": name} for name in related.replicas],
    }


def start_deletion(world: World, key: Key) -> None:
    """Starts the waiting period of a deletion; that of a primary key waits for its replicas."""
    if key.multi_region and key.multi_region.replicas and not key.is_replica:
        key.state = "PendingReplicaDeletion"
        return
    assert key.pending_window_days is not None
    key.state = "PendingDeletion"
    key.deletion_at = world.clock.now() + key.pending_window_days * DAY


def forget(world: World, key: Key) -> None:
    """A replica is gone; with the last one begins the deletion of a primary key that waits."""
    if key.multi_region is None or not key.is_replica:
        return
    key.multi_region.replicas.remove(key.region)
    primary = primary_of(world, key)
    if primary.state == "PendingReplicaDeletion" and not key.multi_region.replicas:
        start_deletion(world, primary)


def _arn(key: Key, region: str) -> str:
    return f"arn:aws:kms:{region}:{ACCOUNT}:key/{key.id}"


def _no_primary(key: Key) -> AwsError:
    return AwsError(
        "UnsupportedOperationException", f"{key.arn} is not a multi-region primary key."
    )
