"""May this caller assume this role? Its trust policy and the caller's own policies decide.

IAM User Guide, "Policy evaluation logic". The trust policy must allow it, as a key policy must. If
it names the caller itself, that is enough in the role's account; if it names the account, the
caller's IAM policies must allow it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chaosaws_kms_lab import permissions, policy_evaluation
from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.policy_evaluation import Decision, Malformed, Request
from chaosaws_kms_lab.world import World

__all__ = ["check"]

# The API reference, AssumeRole: parameter → the permission that it takes beside sts:AssumeRole, in
# both policies.
ALSO = {"Tags": "sts:TagSession", "SourceIdentity": "sts:SetSourceIdentity"}

# IAM User Guide, "IAM and AWS STS condition context keys": key → the parameter it is taken from.
PARAMETERS = {
    "sts:externalid": "ExternalId",
    "sts:rolesessionname": "RoleSessionName",
    "sts:sourceidentity": "SourceIdentity",
}

# IAM User Guide, "Troubleshoot access denied error messages": role trust policies.
WHY = {
    Decision.DENIED_BY_KEY: "with an explicit deny in the role trust policy",
    Decision.NOT_IN_KEY_POLICY: "because no role trust policy allows the {action} action",
}


def check(world: World, call: Call, trust_policy: str | None) -> None:
    """Raises AccessDenied unless the caller of AssumeRole may do it.

    `trust_policy` is None if there is no such role.
    """
    role = str(call.params.get("RoleArn"))
    actions = ["sts:AssumeRole", *(ALSO[name] for name in ALSO if call.params.get(name))]
    if trust_policy is None:
        raise _denied(call, actions[0], role, "")
    statements = list(_statements(trust_policy, call.caller.is_service))
    for action in actions:
        request = Request(call.caller, action, role, _account(role), _context(world, call, role))
        decision = policy_evaluation.decide(request, statements)
        if decision is not Decision.ALLOWED:
            why = WHY.get(decision, decision.value).format(action=action)
            raise _denied(call, action, role, f" {why}")


def _statements(text: str, for_a_service: bool) -> Iterator[Mapping[str, Any]]:
    """The statements of a trust policy, with the resource that they leave out: the role."""
    try:
        statements: Iterable[Mapping[str, Any]] = policy_evaluation.read_key_policy(text)
    except Malformed:  # a policy that we cannot read trusts nobody
        return
    for statement in statements:
        said = {**statement, "Resource": "*"}
        if for_a_service:
            said["Condition"] = _without_source(statement.get("Condition", {}))
        yield said


def _without_source(condition: Mapping[str, Any]) -> dict[str, Any]:
    """The condition without aws:SourceArn, which a service of the lab does not send."""
    return {
        operator: {key: value for key, value in block.items() if key.lower() != "aws:sourcearn"}
        for operator, block in condition.items()
    }


def _context(world: World, call: Call, role: str) -> dict[str, Any]:
    given = {key: call.params[name] for key, name in PARAMETERS.items() if call.params.get(name)}
    source = {"aws:sourceaccount": _account(role)} if call.caller.is_service else {}
    return permissions.context(world, call, {}) | given | source


def _account(role: str) -> str:
    return role.split(":")[4] if role.count(":") >= 5 else ""


def _denied(call: Call, action: str, role: str, why: str) -> AwsError:
    message = f"User: {call.caller.arn} is not authorized to perform: {action} on resource: {role}"
    return AwsError("AccessDenied", message + why, status=403)
