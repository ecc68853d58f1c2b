"""The lab's KMS: keys, aliases, tags and the cryptographic operations."""

from __future__ import annotations

import json
import os
import re
import struct
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chaosaws_kms_ext.lab.world import ACCOUNT, Call, Fault, Key, Paging, Region, World

__all__ = ["OPERATIONS", "create_key", "key_for_aurora"]

Handler = Callable[[World, Call], dict[str, Any]]

DISABLED = "DisabledException"
INVALID = "KMSInvalidStateException"
CRYPTOGRAPHIC = {"Disabled": DISABLED, "PendingDeletion": INVALID}
NOT_PENDING = {"Enabled": INVALID, "Disabled": INVALID}
PENDING = {"PendingDeletion": INVALID}

# AWS KMS Developer Guide, "Key states of AWS KMS keys": operation → key state → error.
# What is not listed succeeds.
KEY_STATES: dict[str, dict[str, str]] = {
    "CancelKeyDeletion": NOT_PENDING,
    "CreateAlias": PENDING,
    "Decrypt": CRYPTOGRAPHIC,
    "DeleteAlias": {},
    "DescribeKey": {},
    "DisableKey": PENDING,
    "EnableKey": PENDING,
    "Encrypt": CRYPTOGRAPHIC,
    "GenerateDataKey": CRYPTOGRAPHIC,
    "GenerateDataKeyWithoutPlaintext": CRYPTOGRAPHIC,
    "ListResourceTags": {},
    "ScheduleKeyDeletion": PENDING,
    "TagResource": PENDING,
    "UntagResource": PENDING,
    "UpdateAlias": PENDING,
    "UpdateKeyDescription": PENDING,
}

# The API reference, parameter KeyId of each: "specify the key ID or key ARN" and no alias.
NO_ALIAS = frozenset(KEY_STATES) - {
    "Decrypt",
    "DescribeKey",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
}

# Nobody but AWS may do these to an AWS managed key.
AWS_ONLY = frozenset({
    "CancelKeyDeletion", "CreateAlias", "DisableKey", "EnableKey", "ScheduleKeyDeletion",
    "TagResource", "UntagResource", "UpdateAlias", "UpdateKeyDescription",
})  # fmt: skip

WHY = {
    "Disabled": "is disabled.",
    "PendingDeletion": "is pending deletion.",
}

ALIAS_NAME = re.compile(r"alias/[a-zA-Z0-9/_-]+")
KEY_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}")
PAGES = Paging("Limit", 100, 1, 1000, "ValidationException", "InvalidMarkerException")
TAG_PAGES = Paging("Limit", 50, 1, 50, "ValidationException", "InvalidMarkerException")
HEADER = b"LABKMS1"


# Finding a key


def resolve(region: Region, call: Call, reference: str) -> Key:
    """The key that an id, an ARN or (where the operation takes one) an alias names."""
    key = _find(region, reference, aliases=call.operation not in NO_ALIAS)
    if key.manager == "AWS" and call.operation in AWS_ONLY:
        raise Fault(
            "AccessDeniedException",
            f"User: arn:aws:iam::{ACCOUNT}:user/lab is not authorized to perform: "
            f"kms:{call.operation} on resource: {key.arn} because no resource-based policy "
            f"allows the kms:{call.operation} action",
        )
    if code := KEY_STATES[call.operation].get(key.state):
        why = "is not pending deletion." if code is INVALID and not key.deletion_date else None
        raise Fault(code, f"{key.arn} {why or WHY[key.state]}")
    return key


def _find(region: Region, reference: str, aliases: bool) -> Key:
    name = reference
    if reference.startswith("arn:"):
        parts = reference.split(":", 5)
        if len(parts) != 6 or parts[2] != "kms" or parts[3] != region.name:
            raise Fault("InvalidArnException", f"Invalid arn {reference}")
        if parts[4] != ACCOUNT:
            raise Fault("AccessDeniedException", f"The key {reference} belongs to another account")
        name = parts[5].removeprefix("key/")
    if name.startswith("alias/"):
        if not aliases:
            raise Fault("NotFoundException", f"Invalid keyId {reference}")
        if name not in region.aliases:
            arn = region.arn("kms", name)
            raise Fault("NotFoundException", f"Alias {arn} is not found.")
        name = region.aliases[name]
    if not KEY_ID.fullmatch(name):
        raise Fault("NotFoundException", f"Invalid keyId '{reference}'")
    if name not in region.keys:
        arn = region.arn("kms", f"key/{name}")
        raise Fault("NotFoundException", f"Key '{arn}' does not exist")
    return region.keys[name]


def key_for_aurora(region: Region, world: World, reference: str | None) -> Key:
    """The key that a cluster is to be encrypted under: the AWS managed key if none is named.

    An unusable or unknown one is KMSKeyNotAccessibleFault, as CreateDBCluster documents.
    """
    if reference is None:
        return _aws_managed(region, world)
    try:
        key = _find(region, reference, aliases=True)
    except Fault as fault:
        raise Fault(
            "KMSKeyNotAccessibleFault",
            f"The specified KMS key [{reference}] does not exist, is not enabled or you do "
            f"not have permissions to access it.",
        ) from fault
    if not key.usable:
        raise Fault("KMSKeyNotAccessibleFault", f"KMS key [{key.arn}] is not enabled.")
    return key


def _aws_managed(region: Region, world: World) -> Key:
    if "alias/aws/rds" not in region.aliases:
        key = create_key(region, world, "Default key that protects my RDS database volumes")
        key.manager = "AWS"
        region.aliases["alias/aws/rds"] = key.id
    return region.keys[region.aliases["alias/aws/rds"]]


# Keys


def create_key(region: Region, world: World, description: str = "", **more: Any) -> Key:
    """A new, enabled, symmetric customer managed key."""
    key_id = f"mrk-{uuid.uuid4().hex}" if more.get("multi_region") else str(uuid.uuid4())
    key = Key(
        id=key_id,
        arn=region.arn("kms", f"key/{key_id}"),
        state="Enabled",
        manager="CUSTOMER",
        created=world.clock.utc(),
        material=os.urandom(32),
        description=description,
        **more,
    )
    region.keys[key.id] = key
    return key


def create_customer_key(world: World, call: Call) -> dict[str, Any]:
    spec = call.params.get("KeySpec") or call.params.get("CustomerMasterKeySpec")
    usage = call.params.get("KeyUsage", "ENCRYPT_DECRYPT")
    origin = call.params.get("Origin", "AWS_KMS")
    wanted = (spec or "SYMMETRIC_DEFAULT", usage, origin)
    if wanted != ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "AWS_KMS"):
        raise Fault(
            "UnsupportedOperationException",
            f"The lab makes symmetric encryption keys with material from KMS, not {wanted}",
        )
    key = create_key(
        world.region(call.region),
        world,
        call.params.get("Description", ""),
        multi_region=call.params.get("MultiRegion", False),
        tags=_tags(call.params.get("Tags", [])),
    )
    return {"KeyMetadata": _metadata(key)}


def describe_key(world: World, call: Call) -> dict[str, Any]:
    region, reference = world.region(call.region), call.params["KeyId"]
    if reference == "alias/aws/rds" or reference.endswith(":alias/aws/rds"):
        _aws_managed(region, world)
    return {"KeyMetadata": _metadata(resolve(region, call, reference))}


def list_keys(world: World, call: Call) -> dict[str, Any]:
    keys, marker = PAGES.cut(world.region(call.region).keys.values(), call.params)
    return _paged("Keys", [{"KeyId": k.id, "KeyArn": k.arn} for k in keys], marker)


def enable_key(world: World, call: Call) -> dict[str, Any]:
    _key(world, call).state = "Enabled"
    return {}


def disable_key(world: World, call: Call) -> dict[str, Any]:
    _key(world, call).state = "Disabled"
    return {}


def schedule_key_deletion(world: World, call: Call) -> dict[str, Any]:
    days = call.params.get("PendingWindowInDays", 30)
    if not 7 <= days <= 30:
        raise Fault("ValidationException", "PendingWindowInDays must be between 7 and 30")
    key = _key(world, call)
    key.state, key.pending_window_days = "PendingDeletion", days
    key.deletion_date = world.clock.utc() + timedelta(days=days)
    return {
        "KeyId": key.arn,
        "DeletionDate": key.deletion_date,
        "KeyState": key.state,
        "PendingWindowInDays": days,
    }


def cancel_key_deletion(world: World, call: Call) -> dict[str, Any]:
    key = _key(world, call)
    # The document: the key is then disabled, and has to be enabled.
    key.state, key.deletion_date, key.pending_window_days = "Disabled", None, None
    return {"KeyId": key.arn}


def update_key_description(world: World, call: Call) -> dict[str, Any]:
    _key(world, call).description = call.params["Description"]
    return {}


# Aliases and tags


def create_alias(world: World, call: Call) -> dict[str, Any]:
    region, name = world.region(call.region), _alias_name(call)
    key = resolve(region, call, call.params["TargetKeyId"])
    if name in region.aliases:
        raise Fault(
            "AlreadyExistsException",
            f"An alias with the name {region.arn('kms', name)} already exists",
        )
    region.aliases[name] = key.id
    return {}


def update_alias(world: World, call: Call) -> dict[str, Any]:
    region, name = world.region(call.region), _alias_name(call)
    key = resolve(region, call, call.params["TargetKeyId"])
    _existing_alias(region, name)
    region.aliases[name] = key.id
    return {}


def delete_alias(world: World, call: Call) -> dict[str, Any]:
    region, name = world.region(call.region), _alias_name(call)
    _existing_alias(region, name)
    del region.aliases[name]
    return {}


def list_aliases(world: World, call: Call) -> dict[str, Any]:
    region = world.region(call.region)
    wanted = call.params.get("KeyId")
    only = _find(region, wanted, aliases=False).id if wanted else None
    named = [
        {
            "AliasName": name,
            "AliasArn": region.arn("kms", name),
            "TargetKeyId": key_id,
        }
        for name, key_id in sorted(region.aliases.items())
        if only in (None, key_id)
    ]
    aliases, marker = PAGES.cut(named, call.params)
    return _paged("Aliases", aliases, marker)


def tag_resource(world: World, call: Call) -> dict[str, Any]:
    _key(world, call).tags.update(_tags(call.params["Tags"]))
    return {}


def untag_resource(world: World, call: Call) -> dict[str, Any]:
    tags = _key(world, call).tags
    for name in call.params["TagKeys"]:
        tags.pop(name, None)
    return {}


def list_resource_tags(world: World, call: Call) -> dict[str, Any]:
    tags, marker = TAG_PAGES.cut(_key(world, call).tags.items(), call.params)
    return _paged("Tags", [{"TagKey": k, "TagValue": v} for k, v in tags], marker)


# Cryptographic operations


def encrypt(world: World, call: Call) -> dict[str, Any]:
    key = _key(world, call)
    return {
        "KeyId": key.arn,
        "CiphertextBlob": _seal(key, call.params["Plaintext"], _context(call)),
        "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    }


def decrypt(world: World, call: Call) -> dict[str, Any]:
    region, blob = world.region(call.region), call.params["CiphertextBlob"]
    invalid = Fault("InvalidCiphertextException", "")
    try:
        (length,) = struct.unpack_from(">B", blob, len(HEADER))
        key_id = blob[len(HEADER) + 1 :][:length].decode("ascii")
    except (struct.error, UnicodeDecodeError):
        raise invalid from None
    if not blob.startswith(HEADER) or key_id not in region.keys:
        raise invalid
    if (wanted := call.params.get("KeyId")) and _find(region, wanted, True).id != key_id:
        raise Fault(
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.",
        )
    key = resolve(region, call, key_id)
    sealed = blob[len(HEADER) + 1 + length :]
    try:
        plaintext = AESGCM(key.material).decrypt(sealed[:12], sealed[12:], _context(call))
    except (InvalidTag, ValueError):
        raise invalid from None
    return {"KeyId": key.arn, "Plaintext": plaintext, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}


def generate_data_key(world: World, call: Call) -> dict[str, Any]:
    key, size = _key(world, call), call.params.get("NumberOfBytes")
    spec = call.params.get("KeySpec")
    if (size is None) == (spec is None):
        raise Fault("ValidationException", "Please specify either number of bytes or key spec.")
    plaintext = os.urandom(size or {"AES_128": 16, "AES_256": 32}[str(spec)])
    sealed = _seal(key, plaintext, _context(call))
    return {"KeyId": key.arn, "Plaintext": plaintext, "CiphertextBlob": sealed}


def generate_data_key_without_plaintext(world: World, call: Call) -> dict[str, Any]:
    answer = generate_data_key(world, call)
    del answer["Plaintext"]
    return answer


# Internals


def _key(world: World, call: Call) -> Key:
    return resolve(world.region(call.region), call, call.params["KeyId"])


def _metadata(key: Key) -> dict[str, Any]:
    said = {
        "AWSAccountId": ACCOUNT,
        "KeyId": key.id,
        "Arn": key.arn,
        "CreationDate": key.created,
        "Enabled": key.usable,
        "Description": key.description,
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": key.state,
        "Origin": key.origin,
        "KeyManager": key.manager,
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": key.multi_region,
    }
    return said | ({"DeletionDate": key.deletion_date} if key.deletion_date else {})


def _seal(key: Key, plaintext: bytes, context: bytes) -> bytes:
    nonce, name = os.urandom(12), key.id.encode()
    sealed = AESGCM(key.material).encrypt(nonce, plaintext, context)
    return HEADER + struct.pack(">B", len(name)) + name + nonce + sealed


def _context(call: Call) -> bytes:
    """The encryption context as additional authenticated data: order does not matter."""
    return json.dumps(call.params.get("EncryptionContext", {}), sort_keys=True).encode()


def _alias_name(call: Call) -> str:
    name: str = call.params["AliasName"]
    if not ALIAS_NAME.fullmatch(name):
        raise Fault("InvalidAliasNameException", f"{name} is not a valid alias name")
    if name.startswith("alias/aws/"):
        raise Fault("NotAuthorizedException", "The prefix alias/aws/ is reserved for AWS")
    return name


def _existing_alias(region: Region, name: str) -> None:
    if name not in region.aliases:
        raise Fault("NotFoundException", f"Alias {region.arn('kms', name)} is not found.")


def _tags(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {pair["TagKey"]: pair["TagValue"] for pair in pairs}


def _paged(name: str, items: list[Any], marker: str | None) -> dict[str, Any]:
    more = {"NextMarker": marker} if marker else {}
    return {name: items, "Truncated": marker is not None, **more}


OPERATIONS: dict[str, Handler] = {
    "CancelKeyDeletion": cancel_key_deletion,
    "CreateAlias": create_alias,
    "CreateKey": create_customer_key,
    "Decrypt": decrypt,
    "DeleteAlias": delete_alias,
    "DescribeKey": describe_key,
    "DisableKey": disable_key,
    "EnableKey": enable_key,
    "Encrypt": encrypt,
    "GenerateDataKey": generate_data_key,
    "GenerateDataKeyWithoutPlaintext": generate_data_key_without_plaintext,
    "ListAliases": list_aliases,
    "ListKeys": list_keys,
    "ListResourceTags": list_resource_tags,
    "ScheduleKeyDeletion": schedule_key_deletion,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "UpdateAlias": update_alias,
    "UpdateKeyDescription": update_key_description,
}
