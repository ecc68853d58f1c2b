"""Imported key material: parameters for its import, import, deletion, import again.

A key takes one material: the first that is imported, and later the same again. On AWS it takes
further ones for rotation on demand; the lab does not do that.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.kms import wrapping
from chaosaws_kms_lab.kms.lookup import key_for
from chaosaws_kms_lab.kms.new_keys import material_id
from chaosaws_kms_lab.kms.states import Handler
from chaosaws_kms_lab.world import Key, Material, World

__all__ = ["OPERATIONS", "remove_material"]

EXPIRES, DOES_NOT = "KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE"
LONGEST_VALIDITY = timedelta(days=365)
"""The API reference, ImportKeyMaterial, parameter ValidTo."""
MATERIAL_BYTES = 32
"""AWS KMS Developer Guide, "Importing key material": of a symmetric encryption key."""


def get_parameters_for_import(world: World, call: Call) -> dict[str, Any]:
    """GetParametersForImport."""
    key = key_for(world, call)
    spec, algorithm = call.params["WrappingKeySpec"], call.params["WrappingAlgorithm"]
    until = world.clock.now() + wrapping.VALID
    return {
        "KeyId": key.arn,
        "PublicKey": wrapping.public_key(spec, algorithm),
        "ImportToken": wrapping.token(wrapping.Parameters(key.id, spec, algorithm, until)),
        "ParametersValidTo": world.clock.date(until),
    }


def import_key_material(world: World, call: Call) -> dict[str, Any]:
    """ImportKeyMaterial."""
    key, params = key_for(world, call), call.params
    model, valid_to = _expiry(world, call)
    parameters = wrapping.parameters(params["ImportToken"])
    if parameters.key_id != key.id:
        raise AwsError("InvalidImportTokenException", "The import token is another key's")
    if world.clock.now() >= parameters.until:
        raise AwsError("ExpiredImportTokenException", "The import token has expired")
    secret = wrapping.unwrap(parameters, params["EncryptedKeyMaterial"])
    material = _accept(world, key, call, secret)
    material.secret = secret
    key.materials = [material]
    key.expiration_model, key.valid_to = model, valid_to
    if key.state == "PendingImport":
        key.state = "Enabled"
    return {"KeyId": key.arn, "KeyMaterialId": material.id}


def delete_imported_key_material(world: World, call: Call) -> dict[str, Any]:
    """DeleteImportedKeyMaterial: without material it is no error."""
    key, wanted = key_for(world, call), call.params.get("KeyMaterialId")
    known = key.materials[-1].id if key.materials else None
    if wanted not in (None, known):
        raise AwsError("NotFoundException", f"Key material {wanted} is not of {key.arn}")
    remove_material(key)
    return {"KeyId": key.arn} | ({"KeyMaterialId": known} if known else {})


def remove_material(key: Key) -> None:
    """Removes the imported material; its id stays, since only the same may be imported again."""
    for material in key.materials:
        material.secret = None
    key.expiration_model, key.valid_to = None, None
    if key.state != "PendingDeletion":
        key.state = "PendingImport"


def _expiry(world: World, call: Call) -> tuple[str, datetime | None]:
    model, valid_to = call.params.get("ExpirationModel", EXPIRES), call.params.get("ValidTo")
    if model == DOES_NOT:
        if valid_to is not None:
            raise AwsError("ValidationException", f"With {DOES_NOT}, ValidTo must be omitted")
        return model, None
    if valid_to is None:
        raise AwsError("ValidationException", f"With {EXPIRES}, ValidTo must be given")
    now = world.clock.utc()
    if not now < valid_to <= now + LONGEST_VALIDITY:
        raise AwsError("ValidationException", "ValidTo must be in the future, within 365 days")
    return model, valid_to


def _accept(world: World, key: Key, call: Call, secret: bytes) -> Material:
    """The material that was imported: a new one for a key that never had any, else the same."""
    params = call.params
    if len(secret) != MATERIAL_BYTES:
        raise _incorrect(f"The key material must have {MATERIAL_BYTES} bytes")
    found = material_id(key.id, secret)
    if params.get("KeyMaterialId", found) != found:
        raise _incorrect("The key material is not the one that KeyMaterialId names")
    kind = params.get(
        "ImportType", "EXISTING_KEY_MATERIAL" if key.materials else "NEW_KEY_MATERIAL"
    )
    if kind == "NEW_KEY_MATERIAL":
        if "KeyMaterialId" in params:
            raise AwsError("ValidationException", "New key material has no KeyMaterialId yet")
        return _accept_new(world, key, found)
    if not key.materials or key.materials[-1].id != found:
        raise _incorrect("It is not the key material that was imported before")
    return key.materials[-1]


def _accept_new(world: World, key: Key, found: str) -> Material:
    if not key.materials:
        return Material(found, None, world.clock.utc())
    if key.materials[-1].id == found:
        raise _incorrect("The key material is the key's already")
    raise AwsError(
        "UnsupportedOperationException",
        "The lab does not take a second key material for rotation on demand.",
    )


def _incorrect(why: str) -> AwsError:
    return AwsError("IncorrectKeyMaterialException", why)


OPERATIONS: dict[str, Handler] = {
    "DeleteImportedKeyMaterial": delete_imported_key_material,
    "GetParametersForImport": get_parameters_for_import,
    "ImportKeyMaterial": import_key_material,
}
