"""Grants: the use of a key that a caller passes on to others, Aurora for one."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.kms.authorize import authorize, authorize_account, match_principal
from chaosaws_kms_lab.kms.lookup import find, key_for
from chaosaws_kms_lab.kms.options import check_tokens, stop_if_dry
from chaosaws_kms_lab.kms.paging import FIFTY, page
from chaosaws_kms_lab.kms.states import Handler
from chaosaws_kms_lab.world import Grant, Key, World

__all__ = ["OPERATIONS"]

# AWS KMS Developer Guide, "Grants in AWS KMS", Grant operations: those of a symmetric key.
GRANTED = frozenset({
    "CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom",
    "ReEncryptTo", "RetireGrant",
})  # fmt: skip

GRANT_ID = re.compile(r"[0-9a-f]{64}")
PRINCIPAL = re.compile(
    r"arn:aws:(iam|sts)::\d{12}:(root|(user|role|assumed-role|federated-user)/.+)"
    r"|[a-z0-9-]+(\.[a-z0-9-]+)+"
)
MOST_PAIRS = 8
"""Encryption context pairs of a constraint: the API reference, CreateGrant."""


def create_grant(world: World, call: Call) -> dict[str, Any]:
    """CreateGrant: with a Name, the same parameters give the same grant."""
    check_tokens(world, call)
    key = key_for(world, call)
    wanted = _read(world, call)
    stop_if_dry(call)
    grant = _same(key, wanted) if wanted.name else None
    if grant is None:
        grant = key.grants[wanted.id] = wanted
    return {"GrantToken": grant.token, "GrantId": grant.id}


def list_grants(world: World, call: Call) -> dict[str, Any]:
    """ListGrants: of one key, by id or grantee if that is asked for."""
    key, params = key_for(world, call), call.params
    grantee = _one_of(call, "Grantee")
    if "GrantId" in params:
        _check_id(params["GrantId"])
    found = [
        _entry(key, grant)
        for grant in key.grants.values()
        if params.get("GrantId") in (None, grant.id) and grantee in (None, grant.grantee)
    ]
    return page(FIFTY, "Grants", found, params)


def list_retirable_grants(world: World, call: Call) -> dict[str, Any]:
    """ListRetirableGrants: of every key of the Region."""
    retiring = _one_of(call, "Retiring")
    if retiring is None:
        raise AwsError("ValidationException", "RetiringPrincipal must be given")
    authorize_account(world, call, "ListRetirableGrants", retiring)
    found = [
        _entry(key, grant) for key, grant in _everything(world, call) if grant.retiring == retiring
    ]
    return page(FIFTY, "Grants", found, call.params)


def revoke_grant(world: World, call: Call) -> dict[str, Any]:
    """RevokeGrant."""
    key = key_for(world, call)
    grant = _grant(key, call.params["GrantId"])
    stop_if_dry(call)
    del key.grants[grant.id]
    return {}


def retire_grant(world: World, call: Call) -> dict[str, Any]:
    """RetireGrant: for the retiring principal, a grantee with RetireGrant, or by policy."""
    key, grant = _to_retire(world, call)
    may = match_principal(grant.retiring, call.caller)
    if "RetireGrant" in grant.operations:
        may = max(may, match_principal(grant.grantee, call.caller))
    # Only this grant counts, not others on the same key.
    authorize(world, call, key, "RetireGrant", granted=may)
    stop_if_dry(call)
    del key.grants[grant.id]
    return {}


def _to_retire(world: World, call: Call) -> tuple[Key, Grant]:
    params = call.params
    if "GrantToken" in params:
        for key, grant in _everything(world, call):
            if grant.token == params["GrantToken"]:
                return key, grant
        raise AwsError("InvalidGrantTokenException", "The grant token is not valid")
    if not params.get("KeyId") or not params.get("GrantId"):
        raise AwsError("ValidationException", "Give a GrantToken, or a KeyId and a GrantId")
    key = find(world, call, params["KeyId"])
    return key, _grant(key, params["GrantId"])


def _read(world: World, call: Call) -> Grant:
    params = call.params
    grantee, retiring = _one_of(call, "Grantee"), _one_of(call, "Retiring")
    if grantee is None:
        raise AwsError("ValidationException", "GranteePrincipal must be given")
    for principal in (grantee, retiring or grantee):
        if not PRINCIPAL.fullmatch(principal):
            raise AwsError(
                "InvalidArnException", f"ARN does not refer to a valid principal: {principal}"
            )
    operations = frozenset(params["Operations"])
    if not operations or operations - GRANTED:
        shown = ", ".join(sorted(operations - GRANTED)) or "none"
        raise AwsError("ValidationException", f"Operations that a grant cannot have: {shown}")
    subset, equals = _constraints(call)
    return Grant(
        id=secrets.token_hex(32),
        token=base64.b64encode(secrets.token_bytes(96)).decode(),
        grantee=grantee,
        operations=operations,
        issuing_account=f"arn:aws:iam::{call.caller.account}:root",
        created=world.clock.utc(),
        name=params.get("Name"),
        retiring=retiring,
        context_subset=subset,
        context_equals=equals,
    )


def _constraints(call: Call) -> tuple[dict[str, str] | None, dict[str, str] | None]:
    constraints = call.params.get("Constraints") or {}
    if "SourceArn" in constraints:
        raise AwsError(
            "ValidationException", "The lab does not keep the SourceArn grant constraint."
        )
    subset, equals = (
        constraints.get(f"EncryptionContext{kind}") or None for kind in ("Subset", "Equals")
    )
    if subset and equals:
        raise AwsError("ValidationException", "A grant has one encryption context constraint")
    if len(subset or equals or {}) > MOST_PAIRS:
        raise AwsError("ValidationException", f"A constraint has at most {MOST_PAIRS} pairs")
    return subset, equals


def _one_of(call: Call, role: str) -> str | None:
    """GranteePrincipal or GranteeServicePrincipal (or Retiring…): which of the two was given."""
    given = [call.params.get(f"{role}{kind}") for kind in ("Principal", "ServicePrincipal")]
    if all(given):
        raise AwsError("ValidationException", f"Give {role}Principal or {role}ServicePrincipal")
    return given[0] or given[1]


def _same(key: Key, wanted: Grant) -> Grant | None:
    for grant in key.grants.values():
        if replace(wanted, id=grant.id, token=grant.token, created=grant.created) == grant:
            return grant
    return None


def _grant(key: Key, grant_id: str) -> Grant:
    _check_id(grant_id)
    if grant_id not in key.grants:
        raise AwsError("NotFoundException", f"Grant ID {grant_id} not found")
    return key.grants[grant_id]


def _check_id(grant_id: str) -> None:
    if not GRANT_ID.fullmatch(grant_id):
        raise AwsError("InvalidGrantIdException", f"{grant_id} is not a valid grant id")


def _everything(world: World, call: Call) -> Iterable[tuple[Key, Grant]]:
    for key in world.region(call.region).keys.values():
        for grant in key.grants.values():
            yield key, grant


def _entry(key: Key, grant: Grant) -> dict[str, Any]:
    constraints = {
        "EncryptionContextSubset": grant.context_subset,
        "EncryptionContextEquals": grant.context_equals,
    }
    said: dict[str, Any] = {
        "KeyId": key.arn,
        "GrantId": grant.id,
        "Name": grant.name,
        "CreationDate": grant.created,
        "GranteePrincipal": grant.grantee,
        "RetiringPrincipal": grant.retiring,
        "IssuingAccount": grant.issuing_account,
        "Operations": sorted(grant.operations),
        "Constraints": {name: dict(value) for name, value in constraints.items() if value},
    }
    return {name: value for name, value in said.items() if value}


OPERATIONS: dict[str, Handler] = {
    "CreateGrant": create_grant,
    "ListGrants": list_grants,
    "ListRetirableGrants": list_retirable_grants,
    "RetireGrant": retire_grant,
    "RevokeGrant": revoke_grant,
}
