"""The key that a call names: it is found, then the caller authorized, then the state checked."""

from __future__ import annotations

import re
from collections.abc import Mapping

from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call
from chaosaws_kms_lab.kms import new_keys
from chaosaws_kms_lab.kms.authorize import authorize
from chaosaws_kms_lab.kms.states import NO_INVALID_ARN, TAKES_ALIAS, check_state
from chaosaws_kms_lab.world import Key, Region, World

__all__ = ["find", "key_for", "look_up"]

KEY_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}")

# AWS' message when it does not reveal whether the key exists.
UNSEEN = (
    "User: {who} is not authorized to perform: kms:{operation} on resource: {arn} because the "
    "resource does not exist in this Region, no resource-based policies allow access, or a "
    "resource-based policy explicitly denies access"
)


def key_for(
    world: World,
    call: Call,
    reference: str | None = None,
    permission: str | None = None,
    context: Mapping[str, str] | None = None,
) -> Key:
    """The key that `reference` (else KeyId) names, if the caller may use it and its state is right.

    `permission`: the kms: permission, by default the operation's name; `context`: the encryption
    context, by default that of the call.
    """
    key = find(world, call, reference or call.params["KeyId"])
    authorize(world, call, key, permission or call.operation, context)
    check_state(call.operation, key)
    return key


def find(world: World, call: Call, reference: str) -> Key:
    """The key that an id, an ARN or (where the operation takes one) an alias names."""
    region, name = world.region(call.region), reference
    if reference.startswith("arn:"):
        name = _of_arn(region, call, reference)
    elif call.caller.account != ACCOUNT:
        # Without an ARN they mean a key of their own account, and the lab has none there.
        raise _missing(region, reference, call.caller.account)
    if name.startswith("alias/"):
        name = _target(world, region, call, name, reference)
    if not KEY_ID.fullmatch(name):
        raise AwsError("NotFoundException", f"Invalid keyId '{reference}'")
    if name not in region.keys:
        raise _missing(region, name, ACCOUNT)
    return region.keys[name]


def look_up(world: World, call: Call, name: str) -> Key:
    """The target of an alias of this Region; NotFoundException without one."""
    region = world.region(call.region)
    if name not in region.aliases:
        raise AwsError("NotFoundException", f"Alias {region.arn('kms', name)} is not found.")
    return region.keys[region.aliases[name]]


def _of_arn(region: Region, call: Call, arn: str) -> str:
    parts = arn.split(":", 5)
    if len(parts) == 6 and parts[2] == "kms" and parts[3] != region.name:
        raise AwsError("NotFoundException", f"Invalid arn {parts[3]}")
    if len(parts) != 6 or parts[2] != "kms":
        unlisted = call.operation in NO_INVALID_ARN
        code = "NotFoundException" if unlisted else "InvalidArnException"
        raise AwsError(code, f"Invalid arn {arn}")
    if parts[4] != ACCOUNT:
        unseen = UNSEEN.format(who=call.caller.arn, operation=call.operation, arn=arn)
        raise AwsError("AccessDeniedException", unseen)
    return parts[5].removeprefix("key/")


def _target(world: World, region: Region, call: Call, name: str, reference: str) -> str:
    if call.operation not in TAKES_ALIAS:
        raise AwsError("NotFoundException", f"Invalid keyId {reference}")
    if name == new_keys.AWS_RDS:
        new_keys.aws_managed_key(region, world)
    return look_up(world, call, name).id


def _missing(region: Region, name: str, account: str) -> AwsError:
    what = name if name.startswith("alias/") else f"key/{name}"
    arn = f"arn:aws:kms:{region.name}:{account}:{what}"
    if name.startswith("alias/"):
        return AwsError("NotFoundException", f"Alias {arn} is not found.")
    return AwsError("NotFoundException", f"Key '{arn}' does not exist")
