"""Aliases: names of keys that can be given to another one."""

from __future__ import annotations

import re
from typing import Any

from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call
from chaosaws_kms_lab.kms.authorize import authorize, authorize_account
from chaosaws_kms_lab.kms.lookup import find, key_for, look_up
from chaosaws_kms_lab.kms.paging import HUNDRED, page
from chaosaws_kms_lab.kms.states import Handler
from chaosaws_kms_lab.world import World

__all__ = ["OPERATIONS"]

ALIAS_NAME = re.compile(r"alias/[a-zA-Z0-9/_-]+")
PREFIX, RESERVED = "alias/", "alias/aws/"


def create_alias(world: World, call: Call) -> dict[str, Any]:
    """CreateAlias: takes the permission on the alias and on the key."""
    region, name = world.region(call.region), _own_name(world, call)
    key = key_for(world, call, call.params["TargetKeyId"])
    if name in region.aliases:
        raise AwsError(
            "AlreadyExistsException",
            f"An alias with the name {region.arn('kms', name)} already exists",
        )
    region.aliases[name] = key.id
    return {}


def update_alias(world: World, call: Call) -> dict[str, Any]:
    """UpdateAlias: takes the permission on the alias and on both keys."""
    region, name = world.region(call.region), _own_name(world, call)
    authorize(world, call, look_up(world, call, name), "UpdateAlias")
    # Note 10 of the key state table: only the new target must not be pending deletion.
    region.aliases[name] = key_for(world, call, call.params["TargetKeyId"]).id
    return {}


def delete_alias(world: World, call: Call) -> dict[str, Any]:
    """DeleteAlias: takes the permission on the alias and on the key."""
    region, name = world.region(call.region), _own_name(world, call)
    authorize(world, call, look_up(world, call, name), "DeleteAlias")
    del region.aliases[name]
    return {}


def list_aliases(world: World, call: Call) -> dict[str, Any]:
    """ListAliases: of the caller's own account, of one key if it is named."""
    authorize_account(world, call, "ListAliases")
    region, wanted = world.region(call.region), call.params.get("KeyId")
    only = find(world, call, wanted).id if wanted else None
    named = [
        {"AliasName": name, "AliasArn": region.arn("kms", name), "TargetKeyId": key_id}
        for name, key_id in sorted(region.aliases.items())
        if only in (None, key_id) and call.caller.account == ACCOUNT
    ]
    return page(HUNDRED, "Aliases", named, call.params)


def _own_name(world: World, call: Call) -> str:
    """The alias' name, if IAM allows the caller this operation on it."""
    name: str = call.params["AliasName"]
    if not name.startswith(PREFIX):
        raise AwsError(
            "ValidationException",
            f'Alias must start with the prefix "{PREFIX}". Please see '
            "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html",
        )
    if not ALIAS_NAME.fullmatch(name):
        # Only CreateAlias has an error of its own for that.
        own = call.operation == "CreateAlias"
        code = "InvalidAliasNameException" if own else "ValidationException"
        raise AwsError(code, f"{name} is not a valid alias name")
    arn = world.region(call.region).arn("kms", name)
    if name.startswith(RESERVED):
        raise AwsError(
            "AccessDeniedException",
            f"User: {call.caller.arn} is not authorized to perform: kms:{call.operation} on "
            f"resource: {arn} because the prefix {RESERVED} is reserved for AWS",
        )
    authorize_account(world, call, call.operation, arn)
    return name


OPERATIONS: dict[str, Handler] = {
    "CreateAlias": create_alias,
    "DeleteAlias": delete_alias,
    "ListAliases": list_aliases,
    "UpdateAlias": update_alias,
}
