"""Imported key material: parameters for its import, import, deletion, import again.

The first that is imported is the key's current one. A further one waits for a rotation on demand.
A key can be used while all that it was ever rotated to are there (the API reference,
ImportKeyMaterial).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.data_misbehaviours import IMPORT_BREAKS_READS
from chaosaws_kms_lab.kms import wrapping
from chaosaws_kms_lab.kms.lookup import key_for
from chaosaws_kms_lab.kms.new_keys import material_id
from chaosaws_kms_lab.kms.states import Handler
from chaosaws_kms_lab.world import Key, Material, World

__all__ = ["EXPIRES", "OPERATIONS", "expire"]

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
    before = {each.id for each in key.materials}
    material = _accept(world, key, call, secret)
    if material.secret is None and material.id in before:
        material.misbehaviour = next(iter(world.active_misbehaviours(IMPORT_BREAKS_READS)), None)
    material.secret = secret
    material.expiration_model, material.valid_to = model, valid_to
    # Words are kept until the same material comes with others (the API reference).
    material.description = params.get("KeyMaterialDescription", material.description)
    if key.state == "PendingImport" and key.complete:
        key.state = "Enabled"
    return {"KeyId": key.arn, "KeyMaterialId": material.id}


def delete_imported_key_material(world: World, call: Call) -> dict[str, Any]:
    """DeleteImportedKeyMaterial: the current one if none is named; without it, it is no error."""
    key, wanted = key_for(world, call), call.params.get("KeyMaterialId")
    material = _known(key, wanted) if wanted else key.current
    if material is None and wanted:
        raise AwsError("NotFoundException", f"Key material {wanted} is not of {key.arn}")
    if material:
        _remove(key, material)
    elif not key.to_be_deleted:
        key.state = "PendingImport"
    return {"KeyId": key.arn} | ({"KeyMaterialId": material.id} if material else {})


def expire(key: Key, today: datetime) -> None:
    """Removes the imported material whose date has come."""
    for material in [*key.materials, *([key.pending] if key.pending else [])]:
        if material.valid_to is not None and material.valid_to <= today:
            _remove(key, material)


def _remove(key: Key, material: Material) -> None:
    """Removes imported material; its id stays, since only the same may be imported again.

    Material that nothing is encrypted under yet goes for good (AWS KMS Developer Guide, "Delete
    imported key material").
    """
    if material is key.pending:
        key.pending = None
        return
    material.secret, material.expiration_model, material.valid_to = None, None, None
    if not key.to_be_deleted:
        key.state = "PendingImport"


def _known(key: Key, wanted: str) -> Material | None:
    known = [*key.materials, *([key.pending] if key.pending else [])]
    return next((material for material in known if material.id == wanted), None)


def _expiry(world: World, call: Call) -> tuple[str, datetime | None]:
    model, valid_to = call.params.get("ExpirationModel", EXPIRES), call.params.get("ValidTo")
    if model == DOES_NOT:
        if valid_to is not None:
            raise AwsError("ValidationException", f"With {DOES_NOT}, ValidTo must be omitted")
        return model, None
    if valid_to is None:
        raise AwsError(
            "ValidationException", f"A validTo date must be set if the ExpirationModel is {EXPIRES}"
        )
    now = world.clock.utc()
    if not now < valid_to <= now + LONGEST_VALIDITY:
        raise AwsError("ValidationException", "ValidTo must be in the future, within 365 days")
    return model, valid_to


def _accept(world: World, key: Key, call: Call, secret: bytes) -> Material:
    """The material that was imported: a new one, which waits for a rotation unless it is the key's
    first, or one that the key had before."""
    params = call.params
    if len(secret) != MATERIAL_BYTES:
        raise _incorrect(f"The key material must have {MATERIAL_BYTES} bytes")
    found = material_id(key.id, secret)
    if params.get("KeyMaterialId", found) != found:
        raise _incorrect("The key material is not the one that KeyMaterialId names")
    known = _known(key, found)
    kind = params.get(
        "ImportType", "EXISTING_KEY_MATERIAL" if key.materials else "NEW_KEY_MATERIAL"
    )
    if kind == "NEW_KEY_MATERIAL":
        if "KeyMaterialId" in params:
            raise AwsError("ValidationException", "New key material has no KeyMaterialId yet")
        if known:
            raise _incorrect("The key material is the key's already")
        return _accept_new(key, Material(found, None, world.clock.utc()))
    if known is None:
        raise _incorrect("It is not key material that was imported before")
    return known


def _accept_new(key: Key, material: Material) -> Material:
    if not key.materials:
        key.materials.append(material)
        return material
    if key.pending:
        raise AwsError(
            "KMSInvalidStateException",
            f"New key material (id: {material.id}) cannot be imported into KMS key {key.arn}, "
            f"because another key material (id: {key.pending.id}) is pending rotation.",
        )
    key.pending = material
    return material


def _incorrect(why: str) -> AwsError:
    return AwsError("IncorrectKeyMaterialException", why)


OPERATIONS: dict[str, Handler] = {
    "DeleteImportedKeyMaterial": delete_imported_key_material,
    "GetParametersForImport": get_parameters_for_import,
    "ImportKeyMaterial": import_key_material,
}
