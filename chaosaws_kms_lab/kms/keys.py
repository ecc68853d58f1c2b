"""Keys: made, described, listed, enabled, disabled, deleted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call
from chaosaws_kms_lab.key import Key, MultiRegion
from chaosaws_kms_lab.key_store import CLOUDHSM, EXTERNAL
from chaosaws_kms_lab.kms import key_stores, material, new_keys, policies, replicas, tags
from chaosaws_kms_lab.kms.authorize import authorize_account
from chaosaws_kms_lab.kms.lookup import key_for
from chaosaws_kms_lab.kms.paging import HUNDRED, page
from chaosaws_kms_lab.kms.states import Handler
from chaosaws_kms_lab.world import World

__all__ = ["OPERATIONS"]

DELETION_DAYS = range(7, 31)
"""The API reference, ScheduleKeyDeletion, parameter PendingWindowInDays."""
DEFAULT_DELETION_DAYS = 30

IN_STORES = (CLOUDHSM, EXTERNAL)
"""The origins of keys in custom key stores."""


def create_key(world: World, call: Call) -> dict[str, Any]:
    """CreateKey: symmetric encryption keys, with material from KMS or to be imported, or in a
    custom key store."""
    authorize_account(world, call, "CreateKey")
    _check_kind(call)
    multi_region = MultiRegion(call.region) if call.params.get("MultiRegion") else None
    key_id = new_keys.new_id(multi_region=multi_region is not None)
    origin = call.params.get("Origin", "AWS_KMS")
    store, external = None, None
    if origin in IN_STORES:
        store, external = key_stores.for_new_key(world, call, origin)
    key = _new(
        world,
        call,
        id=key_id,
        origin=origin,
        multi_region=multi_region,
        store=store,
        external_key=external,
    )
    return {"KeyMetadata": metadata(world, key)}


def _new(world: World, call: Call, **more: Any) -> Key:
    """The key that a request describes, with its tags and policy; `more`: fields of Key."""
    params, region = call.params, world.region(call.region)
    given = params.get("Tags", [])
    if given:
        authorize_account(world, call, "TagResource", region.arn("kms", f"key/{more['id']}"))
    description = params.get("Description", "")
    key = new_keys.create_key(region, world, description, tags=tags.added({}, given), **more)
    try:
        if "Policy" in params:
            policies.check(world, call, key, params["Policy"])
            key.policy = params["Policy"]
    except BaseException:
        del region.keys[key.id]
        raise
    return key


def _check_kind(call: Call) -> None:
    params = call.params
    if call.caller.account != ACCOUNT:
        raise AwsError("UnsupportedOperationException", f"The lab has keys of {ACCOUNT} only.")
    spec = params.get("KeySpec") or params.get("CustomerMasterKeySpec") or "SYMMETRIC_DEFAULT"
    usage, origin = params.get("KeyUsage", "ENCRYPT_DECRYPT"), params.get("Origin", "AWS_KMS")
    if (origin in IN_STORES) is not ("CustomKeyStoreId" in params):
        raise AwsError(
            "ValidationException",
            f"CustomKeyStoreId is required with the origins {' and '.join(IN_STORES)}, and valid "
            "with no other.",
        )
    if origin in IN_STORES and params.get("MultiRegion"):
        why = "A multi-Region key cannot be in a custom key store."
        raise AwsError("UnsupportedOperationException", why)
    if (spec, usage) == ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"):
        return
    raise AwsError(
        "UnsupportedOperationException",
        f"The lab makes symmetric encryption keys, and not ({spec}, {usage}).",
    )


def describe_key(world: World, call: Call) -> dict[str, Any]:
    """DescribeKey; that of alias/aws/rds makes the AWS managed key."""
    return {"KeyMetadata": metadata(world, key_for(world, call))}


def list_keys(world: World, call: Call) -> dict[str, Any]:
    """ListKeys: of the caller's own account."""
    authorize_account(world, call, "ListKeys")
    keys = world.region(call.region).keys.values() if call.caller.account == ACCOUNT else ()
    return page(HUNDRED, "Keys", [{"KeyId": k.id, "KeyArn": k.arn} for k in keys], call.params)


def enable_key(world: World, call: Call) -> dict[str, Any]:
    """EnableKey."""
    key_for(world, call).state = "Enabled"
    return {}


def disable_key(world: World, call: Call) -> dict[str, Any]:
    """DisableKey."""
    key_for(world, call).state = "Disabled"
    return {}


def schedule_key_deletion(world: World, call: Call) -> dict[str, Any]:
    """ScheduleKeyDeletion: the days are AWS' own, so they pass as fast as the lab's clock."""
    key = key_for(world, call)
    days = call.params.get("PendingWindowInDays", DEFAULT_DELETION_DAYS)
    if days not in DELETION_DAYS:
        raise AwsError("ValidationException", "PendingWindowInDays must be between 7 and 30")
    key.pending_window_days = days
    replicas.start_deletion(world, key)
    said = {"KeyId": key.arn, "KeyState": key.state, "PendingWindowInDays": days}
    if key.deletion_at is not None:
        said["DeletionDate"] = world.clock.date(key.deletion_at)
    return said


def cancel_key_deletion(world: World, call: Call) -> dict[str, Any]:
    """CancelKeyDeletion: the key is disabled afterwards, and has to be enabled."""
    key = key_for(world, call)
    key.deletion_at, key.pending_window_days = None, None
    # assumed: a key whose imported material went in the meantime waits for it again
    key.state = "Disabled" if key.complete else "PendingImport"
    return {"KeyId": key.arn}


def update_key_description(world: World, call: Call) -> dict[str, Any]:
    """UpdateKeyDescription."""
    key_for(world, call).description = call.params["Description"]
    return {}


def metadata(world: World, key: Key) -> dict[str, Any]:
    """What DescribeKey says of a key."""
    waits = key.state == "PendingReplicaDeletion"
    said: dict[str, Any] = {
        "AWSAccountId": ACCOUNT,
        "KeyId": key.id,
        "Arn": key.arn,
        "CreationDate": key.created,
        "Enabled": key.shown_state == "Enabled",
        "Description": key.description,
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": key.shown_state,
        "Origin": key.origin,
        "KeyManager": key.manager,
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": key.multi_region is not None,
        "DeletionDate": world.clock.date(key.deletion_at) if key.deletion_at else None,
        "ValidTo": min((m.valid_to for m in key.materials if m.valid_to), default=None),
        "ExpirationModel": _expiration_model(key),
        "CurrentKeyMaterialId": key.current.id if key.current and not key.store else None,
        **_of_store(key),
        "MultiRegionConfiguration": replicas.configuration(world, key),
        "PendingDeletionWindowInDays": key.pending_window_days if waits else None,
    }
    return {name: value for name, value in said.items() if value is not None}


def _of_store(key: Key) -> dict[str, Any]:
    if key.store is None:
        return {}
    external = {"Id": key.external_key} if key.external_key else None
    return {
        "CustomKeyStoreId": key.store.id,
        "CloudHsmClusterId": key.store.properties.get("CloudHsmClusterId"),
        "XksKeyConfiguration": external,
    }


def _expiration_model(key: Key) -> str | None:
    """KEY_MATERIAL_EXPIRES if one of the materials does."""
    models = {m.expiration_model for m in key.materials} - {None}
    return max(models, key=lambda model: model == material.EXPIRES, default=None)


def replicate_key(world: World, call: Call) -> dict[str, Any]:
    """ReplicateKey: the new key is made at once, and only this answer calls it unfinished."""
    primary, params = key_for(world, call), call.params
    replicas.check(primary, params["ReplicaRegion"])
    there = replace(call, operation="CreateKey", region=params["ReplicaRegion"])
    authorize_account(world, there, "CreateKey")
    replica = _new(world, there, id=primary.id, **replicas.shared(primary))
    assert replica.multi_region is not None
    replica.multi_region.replicas.append(replica.region)
    said = metadata(world, replica)
    # AWS KMS Developer Guide, "Create multi-Region replica keys": logged in both Regions.
    world.audit(there, {"KeyMetadata": said}, None)
    unfinished = {name: said[name] for name in said if name != "CurrentKeyMaterialId"}
    answer = {
        "ReplicaKeyMetadata": unfinished | {"KeyState": "Creating", "Enabled": False},
        "ReplicaPolicy": replica.policy,
    }
    return answer | ({"ReplicaTags": params["Tags"]} if params.get("Tags") else {})


OPERATIONS: dict[str, Handler] = {
    "CancelKeyDeletion": cancel_key_deletion,
    "CreateKey": create_key,
    "DescribeKey": describe_key,
    "DisableKey": disable_key,
    "EnableKey": enable_key,
    "ListKeys": list_keys,
    "ReplicateKey": replicate_key,
    "ScheduleKeyDeletion": schedule_key_deletion,
    "UpdateKeyDescription": update_key_description,
}
