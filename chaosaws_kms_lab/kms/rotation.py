"""Rotation of key material: automatic, on demand, and what has been rotated.

Keys with imported material are not rotated: on AWS that needs a second imported material, which
the lab does not take.
"""

from __future__ import annotations

from typing import Any

from chaosaws_kms_lab import data_misbehaviours, event_bus
from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.kms.lookup import key_for
from chaosaws_kms_lab.kms.new_keys import DAY, YEAR_DAYS, new_material
from chaosaws_kms_lab.kms.paging import HUNDRED, page
from chaosaws_kms_lab.kms.states import Handler
from chaosaws_kms_lab.world import Key, Material, World

__all__ = ["AUTOMATIC", "OPERATIONS", "rotate"]

AUTOMATIC, ON_DEMAND = "AUTOMATIC", "ON_DEMAND"
MOST_ON_DEMAND = 25
"""The API reference, RotateKeyOnDemand: "a maximum of 25 times per KMS key"."""


def rotate(world: World, key: Key, kind: str) -> None:
    """Gives the key new material; what was encrypted under the old one can still be decrypted."""
    previous = key.materials[-1]
    key.materials.append(new_material(world, key.id, kind))
    world.publish(
        event_bus.kms_event(
            "KMS CMK Rotation",
            key,
            key.materials[-1].made,
            key_origin=key.origin,
            rotation_type=kind,
            previous_key_material_id=previous.id,
            current_key_material_id=key.materials[-1].id,
        )
    )


def enable_key_rotation(world: World, call: Call) -> dict[str, Any]:
    """EnableKeyRotation: counts from now, also when it was enabled before."""
    key = key_for(world, call)
    key.rotation_period_days = call.params.get("RotationPeriodInDays", YEAR_DAYS)
    key.next_rotation_at = world.clock.now() + key.rotation_period_days * DAY
    return {}


def disable_key_rotation(world: World, call: Call) -> dict[str, Any]:
    """DisableKeyRotation."""
    key = key_for(world, call)
    key.rotation_period_days, key.next_rotation_at = None, None
    return {}


def get_key_rotation_status(world: World, call: Call) -> dict[str, Any]:
    """GetKeyRotationStatus: "while a KMS key is pending deletion, its status is false"."""
    key = key_for(world, call)
    said: dict[str, Any] = {"KeyId": key.arn, "KeyRotationEnabled": False}
    if key.next_rotation_at is not None and key.state != "PendingDeletion":
        said["KeyRotationEnabled"] = True
        said["RotationPeriodInDays"] = key.rotation_period_days
        said["NextRotationDate"] = world.clock.date(key.next_rotation_at)
    return said


def rotate_key_on_demand(world: World, call: Call) -> dict[str, Any]:
    """RotateKeyOnDemand: done at once; the automatic schedule stays as it is."""
    key = key_for(world, call)
    if sum(m.rotated_by == ON_DEMAND for m in key.materials) >= MOST_ON_DEMAND:
        raise AwsError(
            "LimitExceededException",
            f"{key.arn} has been rotated on demand {MOST_ON_DEMAND} times, which is the most.",
        )
    rotate(world, key, ON_DEMAND)
    data_misbehaviours.apply_to_rotation(world, key)
    return {"KeyId": key.arn}


def list_key_rotations(world: World, call: Call) -> dict[str, Any]:
    """ListKeyRotations; with ALL_KEY_MATERIAL also the first material."""
    key = key_for(world, call)
    everything = call.params.get("IncludeKeyMaterial") == "ALL_KEY_MATERIAL"
    found = [_entry(key, m) for m in key.materials if everything or m.rotated_by]
    return page(HUNDRED, "Rotations", found, call.params)


def _entry(key: Key, material: Material) -> dict[str, Any]:
    said: dict[str, Any] = {
        "KeyId": key.arn,
        "KeyMaterialId": material.id,
        "KeyMaterialState": "CURRENT" if material is key.materials[-1] else "NON_CURRENT",
    }
    if material.rotated_by:
        said |= {"RotationDate": material.made, "RotationType": material.rotated_by}
    if key.origin == "EXTERNAL":
        said["ImportState"] = "PENDING_IMPORT" if material.secret is None else "IMPORTED"
        said |= {"ExpirationModel": key.expiration_model} if key.expiration_model else {}
        said |= {"ValidTo": key.valid_to} if key.valid_to else {}
    return said


OPERATIONS: dict[str, Handler] = {
    "DisableKeyRotation": disable_key_rotation,
    "EnableKeyRotation": enable_key_rotation,
    "GetKeyRotationStatus": get_key_rotation_status,
    "ListKeyRotations": list_key_rotations,
    "RotateKeyOnDemand": rotate_key_on_demand,
}
