"""May this caller use this key for this? The one place that answers, for people and for Aurora.

The key's policy, the caller's IAM policies and the key's grants come together here.
policy_evaluation.py evaluates policies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from chaosaws_kms_lab import policy_evaluation
from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call, Caller
from chaosaws_kms_lab.data_misbehaviours import DENY_IGNORED
from chaosaws_kms_lab.kms.states import CHANGES_NOTHING, CROSS_ACCOUNT, ONLY_PERMITS
from chaosaws_kms_lab.policy_evaluation import Decision, Match, Request
from chaosaws_kms_lab.world import Grant, Key, World

__all__ = [
    "Version",
    "authorize",
    "authorize_account",
    "could_put_again",
    "match_principal",
    "version",
]

# AWS KMS Developer Guide, "AWS KMS condition keys": condition key → the parameter it is taken from.
PARAMETERS = {
    "kms:bypasspolicylockoutsafetycheck": "BypassPolicyLockoutSafetyCheck",
    "kms:encryptionalgorithm": "EncryptionAlgorithm",
    "kms:expirationmodel": "ExpirationModel",
    "kms:granteeprincipal": "GranteePrincipal",
    "kms:keyorigin": "Origin",
    "kms:keyspec": "KeySpec",
    "kms:keyusage": "KeyUsage",
    "kms:multiregion": "MultiRegion",
    "kms:replicaregion": "ReplicaRegion",
    "kms:retiringprincipal": "RetiringPrincipal",
    "kms:rotationperiodindays": "RotationPeriodInDays",
    "kms:schedulekeydeletionpendingwindowindays": "PendingWindowInDays",
    "kms:wrappingalgorithm": "WrappingAlgorithm",
    "kms:wrappingkeyspec": "WrappingKeySpec",
}

FOR_AWS_RESOURCE = frozenset({"CreateGrant", "ListGrants", "RevokeGrant"})
WITH_CONTEXT = frozenset({
    "Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom",
    "ReEncryptTo",
})  # fmt: skip


def authorize(
    world: World,
    call: Call,
    key: Key,
    permission: str,
    context: Mapping[str, str] | None = None,
    granted: Match | None = None,
) -> None:
    """Raises AccessDeniedException unless the caller may use `key` for kms:`permission`.

    `context`: the encryption context, by default that of the call. `granted`: how grants name the
    caller, if their operations and constraints do not decide it.
    """
    caller = call.caller
    if caller.account != ACCOUNT and call.operation not in CROSS_ACCOUNT:
        raise _denied(caller, permission, key.arn, Decision.NOT_IN_KEY_POLICY)
    if context is None:
        context = call.params.get("EncryptionContext", {})
    asked = Request(
        caller, f"kms:{permission}", key.arn, ACCOUNT, _request_context(world, call, key, context)
    )
    if granted is None:
        granted = _granted(key, call, permission, context)
    statements = policy_evaluation.read_key_policy(key.policy)
    if world.active_misbehaviours(DENY_IGNORED):
        statements = tuple(each for each in statements if each["Effect"] != "Deny")
    decision = policy_evaluation.decide(asked, statements, granted)
    if decision is not Decision.ALLOWED:
        raise _denied(caller, permission, key.arn, decision)
    if call.operation in ONLY_PERMITS:
        key.permitting_changes += 1
    elif call.operation not in CHANGES_NOTHING:
        key.changes += 1


class Version(NamedTuple):
    """If two versions of a key are equal, nothing has happened to the key in between."""

    changes: int
    permitting_changes: int
    second: int
    """Of the wall clock, where the key's policy speaks of time."""
    misbehaviours: int
    """How many of its materials decrypt nothing, and how many misbehaviours change what its policy
    says."""


def version(world: World, arn: str) -> Version | None:
    """What the answer to "may the key be used?" depends on; None: there is no such key."""
    key = world.region(arn.split(":")[3]).keys.get(arn.rpartition("/")[2])
    if key is None:
        return None
    timed = policy_evaluation.depends_on_time(key.policy)
    second = int(world.clock.utc().timestamp()) if timed else 0
    wrong = sum(m.lost for m in key.materials) + len(world.active_misbehaviours(DENY_IGNORED))
    return Version(key.changes, key.permitting_changes, second, wrong)


def authorize_account(world: World, call: Call, permission: str, resource: str = "*") -> None:
    """Raises AccessDeniedException unless IAM allows the caller an operation on no single key."""
    context = _request_context(world, call, None, {})
    account = call.caller.account
    asked = Request(call.caller, f"kms:{permission}", resource, account, context)
    decision = policy_evaluation.decide(asked, (), Match.ACCOUNT)
    if decision is not Decision.ALLOWED:
        raise _denied(call.caller, permission, resource, decision)


def could_put_again(world: World, call: Call, key: Key, policy: str) -> bool:
    """Whether the caller could change the key policy again if it were `policy`."""
    later = Call(call.service, "PutKeyPolicy", {}, call.region, call.caller)
    context = _request_context(world, later, key, {})
    asked = Request(call.caller, "kms:PutKeyPolicy", key.arn, ACCOUNT, context)
    return (
        policy_evaluation.decide(asked, policy_evaluation.read_key_policy(policy))
        is Decision.ALLOWED
    )


def match_principal(principal: str | None, caller: Caller) -> Match:
    """How a grant's grantee or retiring principal names the caller."""
    if principal in (f"arn:aws:iam::{caller.account}:root", caller.account):
        return Match.NONE if caller.is_service else Match.ACCOUNT
    return Match.NAMED if principal in (caller.arn, caller.principal_arn) else Match.NONE


def _denied(caller: Caller, permission: str, resource: str, decision: Decision) -> AwsError:
    action = f"kms:{permission}"
    why = decision.value.format(action=action)
    return AwsError(
        "AccessDeniedException",
        f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource} {why}",
    )


# Grants


def _granted(key: Key, call: Call, permission: str, context: Mapping[str, str]) -> Match:
    """How the grants that allow this call name its caller."""
    best = Match.NONE
    matches: dict[str, Match] = {}
    # A key has a grant for every cluster: the newest first, which is the one that is used most.
    for grant in reversed(key.grants.values()):
        if permission not in grant.operations:
            continue
        if grant.grantee not in matches:
            matches[grant.grantee] = match_principal(grant.grantee, call.caller)
        match = matches[grant.grantee]
        if match > best and _meets(grant, call, permission, context):
            best = match
            if best is Match.NAMED:
                break
    return best


def _meets(grant: Grant, call: Call, permission: str, context: Mapping[str, str]) -> bool:
    """Whether the call stays inside of the grant's constraints."""
    if permission == "CreateGrant":
        return _passes_on_no_more(grant, call.params)
    if permission not in WITH_CONTEXT:
        return True  # the API reference, CreateGrant: "the constraint doesn't apply" to the others
    if grant.context_equals is not None and dict(context) != dict(grant.context_equals):
        return False
    subset = grant.context_subset or {}
    return all(context.get(name) == value for name, value in subset.items())


def _passes_on_no_more(grant: Grant, params: Mapping[str, Any]) -> bool:
    """Whether a new grant of the grantee has no more operations and "equally strict or stricter"
    constraints (API reference, CreateGrant)."""
    if not set(params.get("Operations", [])) <= grant.operations:
        return False
    constraints = params.get("Constraints", {})
    equal = constraints.get("EncryptionContextEquals")
    if grant.context_equals is not None:
        return equal is not None and dict(equal) == dict(grant.context_equals)
    wanted = dict(equal or constraints.get("EncryptionContextSubset") or {})
    return dict(grant.context_subset or {}).items() <= wanted.items()


# The context of conditions


def _request_context(
    world: World, call: Call, key: Key | None, encryption: Mapping[str, str]
) -> dict[str, str | tuple[str, ...]]:
    now = world.clock.utc()
    return {
        "aws:currenttime": now.isoformat(),
        "aws:epochtime": str(int(now.timestamp())),
        "aws:requestedregion": call.region,
        **_of_caller(call.caller),
        **_of_parameters(call),
        **(_of_key(world, key) if key else {}),
        **{f"kms:encryptioncontext:{k.lower()}": v for k, v in encryption.items()},
        **({"kms:encryptioncontextkeys": tuple(encryption)} if encryption else {}),
    }


def _of_caller(caller: Caller) -> dict[str, str | tuple[str, ...]]:
    said: dict[str, str | tuple[str, ...]] = {
        "kms:calleraccount": caller.account,
        "aws:principalaccount": caller.account,
        "aws:principalisawsservice": _text(caller.is_service),
        "aws:viaawsservice": _text(caller.via is not None),
    }
    if caller.is_service:
        # assumed: for a service that acts by itself, kms:ViaService is the service itself
        return said | {"kms:viaservice": caller.arn, "aws:principalservicename": caller.arn}
    said["aws:principalarn"] = caller.principal_arn
    if ":user/" in caller.arn:
        said["aws:username"] = caller.arn.rsplit("/", 1)[1]
    return said | ({"kms:viaservice": caller.via} if caller.via else {})


def _of_parameters(call: Call) -> dict[str, str | tuple[str, ...]]:
    params = call.params
    said: dict[str, str | tuple[str, ...]] = {
        name: _text(params[parameter])
        for name, parameter in PARAMETERS.items()
        if params.get(parameter) is not None
    }
    if call.operation in ("PutKeyPolicy", "GetKeyPolicy"):
        said["kms:policyname"] = params.get("PolicyName", "default")
    if call.operation in FOR_AWS_RESOURCE:
        said["kms:grantisforawsresource"] = _text(bool(call.caller.via or call.caller.is_service))
    if params.get("Operations"):
        said["kms:grantoperations"] = tuple(params["Operations"])
    if len(params.get("Constraints") or {}) == 1:
        said["kms:grantconstrainttype"] = next(iter(params["Constraints"]))
    if str(params.get("KeyId", "")).rpartition(":")[2].startswith("alias/"):
        said["kms:requestalias"] = params["KeyId"].rpartition(":")[2]
    if params.get("Tags"):
        said |= {f"aws:requesttag/{t['TagKey'].lower()}": t["TagValue"] for t in params["Tags"]}
    if keys := [*params.get("TagKeys", []), *(t["TagKey"] for t in params.get("Tags", []))]:
        said["aws:tagkeys"] = tuple(keys)
    return said


def _of_key(world: World, key: Key) -> dict[str, str | tuple[str, ...]]:
    aliases = world.region(key.region).aliases
    named = tuple(name for name, target in aliases.items() if target == key.id)
    return {
        "kms:keyorigin": key.origin,
        "kms:keyspec": "SYMMETRIC_DEFAULT",
        "kms:keyusage": "ENCRYPT_DECRYPT",
        "kms:multiregion": _text(key.multi_region is not None),
        **_of_related_keys(key),
        **({"kms:resourcealiases": named} if named else {}),
        **{f"aws:resourcetag/{name.lower()}": value for name, value in key.tags.items()},
    }


def _of_related_keys(key: Key) -> dict[str, str | tuple[str, ...]]:
    if key.multi_region is None:
        return {}
    return {
        "kms:multiregionkeytype": "REPLICA" if key.is_replica else "PRIMARY",
        "kms:primaryregion": key.multi_region.primary,
    }


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
