"""Whether somebody may use a key, by its policy and its grants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.key_policy import (
    Answer,
    Circumstances,
    KeyPolicy,
    granted,
    statements,
)
from chaosaws_kms_ext.aws.kms import Key
from chaosaws_kms_ext.aws.principals import Asker, asker
from chaosaws_kms_ext.guard import permissions
from chaosaws_kms_ext.run import Refused

__all__ = ["may_use"]


def may_use(
    aws: Aws,
    key: Key,
    action: str,
    *,
    principal: str = "",
    via_service: str = "",
    context: Mapping[str, str] | None = None,
    as_granted: bool = False,
) -> Answer:
    """The answer to `key_policy_allows`, whose parameters these are. Raises Refused, AwsError."""
    if not isinstance(action, str) or not action:
        raise Refused("the action must be named as KMS does: kms:Decrypt")
    wanted = action if ":" in action else f"kms:{action}"
    who = _asker(aws, key, principal, via_service)
    there = kms.grants(aws, key.arn)
    read = KeyPolicy(statements(kms.policy(aws, key.arn)), who)
    given = Circumstances(
        context=context,
        grant_operations=_granted_to(there, str(via_service or who.name)),
        granted=bool(as_granted) or granted(there, who, wanted, context),
    )
    return read.decide(wanted, given)


def _asker(aws: Aws, key: Key, principal: str, via_service: str) -> Asker:
    role = ""
    if not principal:
        me = permissions.identity(aws)
        principal, role = me.arn, permissions.role_of(aws, me)
    try:
        return asker(str(principal), key.arn, str(via_service), role)
    except ValueError as problem:
        raise Refused(str(problem)) from None


def _granted_to(there: list[dict[str, Any]], service: str) -> tuple[str, ...] | None:
    """What the service asks for in its grants, as far as one that is there tells."""
    name = service.split(".")[0]
    for each in there:
        if str(each.get("GranteePrincipal", "")).split(".")[0] == name:
            return tuple(each.get("Operations", []))
    return None
