"""Rotation of key material: automatic, on demand, and what has been rotated.

A key with imported material is rotated on demand only, to the material that was imported for it.
"""

from __future__ import annotations

from typing import Any

from chaosaws_kms_lab import data_misbehaviours, event_bus
from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.kms import replicas
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
    material, key.pending = key.pending or new_material(world, key.id), None
    material.rotated_by, material.made = kind, world.clock.utc()
    key.materials.append(material)
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
    replicas.refuse_replica(key)
    key.rotation_period_days = call.params.get("RotationPeriodInDays", YEAR_DAYS)
    key.next_rotation_at = world.clock.now() + key.rotation_period_days * DAY
    return {}


def disable_key_rotation(world: World, call: Call) -> dict[str, Any]:
    """DisableKeyRotation."""
    key = key_for(world, call)
    replicas.refuse_replica(key)
    key.rotation_period_days, key.next_rotation_at = None, None
    return {}


def get_key_rotation_status(world: World, call: Call) -> dict[str, Any]:
    """GetKeyRotationStatus: "while a KMS key is pending deletion, its status is false"."""
    key = key_for(world, call)
    said: dict[str, Any] = {"KeyId": key.arn, "KeyRotationEnabled": False}
    shared = replicas.primary_of(world, key)
    if shared.next_rotation_at is not None and not key.to_be_deleted:
        said["KeyRotationEnabled"] = True
        said["RotationPeriodInDays"] = shared.rotation_period_days
        said["NextRotationDate"] = world.clock.date(shared.next_rotation_at)
    return said


def rotate_key_on_demand(world: World, call: Call) -> dict[str, Any]:
    """RotateKeyOnDemand: done at once; the automatic schedule stays as it is."""
    key = key_for(world, call)
    replicas.refuse_replica(key)
    if sum(m.rotated_by == ON_DEMAND for m in key.materials) >= MOST_ON_DEMAND:
        raise AwsError(
            "LimitExceededException",
            "The on-demand rotations limit has been reached for the given keyId. No more on-demand "
            f"rotations can be performed for this key: {key.arn}",
        )
    if key.origin == "EXTERNAL" and key.pending is None:
        raise AwsError(
            "KMSInvalidStateException",
            f"No available key material pending rotation for the key: {key.arn}.",
        )
    rotate(world, key, ON_DEMAND)
    data_misbehaviours.apply_to_rotation(world, key)
    return {"KeyId": key.arn}


def list_key_rotations(world: World, call: Call) -> dict[str, Any]:
    """ListKeyRotations; with ALL_KEY_MATERIAL also the first material and one for later."""
    key = key_for(world, call)
    everything = call.params.get("IncludeKeyMaterial") == "ALL_KEY_MATERIAL"
    found = [_entry(key, m) for m in key.materials if everything or m.rotated_by]
    if everything and key.pending:
        found.append(_entry(key, key.pending))
    return page(HUNDRED, "Rotations", found, call.params)


def _entry(key: Key, material: Material) -> dict[str, Any]:
    said: dict[str, Any] = {
        "KeyId": key.arn,
        "KeyMaterialId": material.id,
        "KeyMaterialState": _state(key, material),
    }
    if material.rotated_by:
        said |= {"RotationDate": material.made, "RotationType": material.rotated_by}
    if key.origin == "EXTERNAL":
        said["ImportState"] = "PENDING_IMPORT" if material.secret is None else "IMPORTED"
        imported = {
            "ExpirationModel": material.expiration_model,
            "ValidTo": material.valid_to,
            "KeyMaterialDescription": material.description,
        }
        said |= {name: value for name, value in imported.items() if value}
    return said


def _state(key: Key, material: Material) -> str:
    if material is key.pending:
        return "PENDING_ROTATION"
    return "CURRENT" if material is key.current else "NON_CURRENT"


OPERATIONS: dict[str, Handler] = {
    "DisableKeyRotation": disable_key_rotation,
    "EnableKeyRotation": enable_key_rotation,
    "GetKeyRotationStatus": get_key_rotation_status,
    "ListKeyRotations": list_key_rotations,
    "RotateKeyOnDemand": rotate_key_on_demand,
}
