"""Key policies: read and replaced, with a check that the caller can still replace the new one."""

from __future__ import annotations

from typing import Any

from chaosaws_kms_lab import policy_evaluation
from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.kms.authorize import could_put_again
from chaosaws_kms_lab.kms.lookup import key_for
from chaosaws_kms_lab.kms.states import Handler
from chaosaws_kms_lab.world import Key, World

__all__ = ["OPERATIONS", "check"]

DEFAULT, OF_RAM = "default", "AWS_RAM"
MALFORMED = "MalformedPolicyDocumentException"


def get_key_policy(world: World, call: Call) -> dict[str, Any]:
    """GetKeyPolicy."""
    key, name = key_for(world, call), call.params.get("PolicyName", DEFAULT)
    if name != DEFAULT:
        raise AwsError("NotFoundException", "No such policy exists")
    return {"Policy": key.policy, "PolicyName": name}


def put_key_policy(world: World, call: Call) -> dict[str, Any]:
    """PutKeyPolicy."""
    key, name = key_for(world, call), call.params.get("PolicyName", DEFAULT)
    if name == OF_RAM:
        raise AwsError(
            "ValidationException", "The AWS_RAM policy can only be managed by the RAM service."
        )
    if name != DEFAULT:
        raise AwsError("NotFoundException", "No such policy exists")
    check(world, call, key, call.params["Policy"])
    key.policy = call.params["Policy"]
    return {}


def list_key_policies(world: World, call: Call) -> dict[str, Any]:
    """ListKeyPolicies: there is one, called default."""
    key_for(world, call)
    return {"PolicyNames": [DEFAULT], "Truncated": False}


def check(world: World, call: Call, key: Key, policy: str) -> None:
    """Raises MalformedPolicyDocumentException for a policy that AWS would not take for `key`.

    So it does if the caller could not replace the policy again, unless they bypass that check.
    """
    try:
        policy_evaluation.read_key_policy(policy)
    except policy_evaluation.Malformed as problem:
        raise AwsError(MALFORMED, str(problem)) from None
    bypassed = call.params.get("BypassPolicyLockoutSafetyCheck", False)
    if not bypassed and not could_put_again(world, call, key, policy):
        raise AwsError(
            MALFORMED,
            "The new key policy will not allow you to update the key policy in the future.",
        )


OPERATIONS: dict[str, Handler] = {
    "GetKeyPolicy": get_key_policy,
    "ListKeyPolicies": list_key_policies,
    "PutKeyPolicy": put_key_policy,
}
