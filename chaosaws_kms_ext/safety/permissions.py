"""Whether the caller may undo what it is about to do, as far as that can be known without doing it.

KMS' DryRun is not for EnableKey, and RDS has none. What is left is IAM's own simulator: it reads
the caller's identity policies, with boundaries and service control policies; not the key policy
(IAM API reference, SimulatePrincipalPolicy). So a "denied for want of a permission" counts only
where the key policy does not name the caller itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from chaosaws_kms_ext.aurora.api import Cluster
from chaosaws_kms_ext.aws import Aws, AwsError
from chaosaws_kms_ext.kms.api import Key
from chaosaws_kms_ext.safety.checklist import Finding, ok, refused, unproven
from chaosaws_kms_ext.safety.consent import ALLOW

__all__ = ["Identity", "identity", "may_undo"]


class Identity:
    """Who calls, as STS has it."""

    def __init__(self, arn: str, account: str) -> None:
        self.arn = arn
        self.account = account

    @property
    def principal(self) -> str:
        """Whose policies count: the user, or the role of a session (whose path STS leaves out)."""
        partition, _, session = self.arn.partition(":assumed-role/")
        if not session:
            return self.arn
        return f"{partition.replace(':sts:', ':iam:')}:role/{session.split('/')[0]}"

    @property
    def is_root(self) -> bool:
        """Whether it is the account itself, which has no policies."""
        return self.arn.endswith(":root")


def identity(aws: Aws) -> Identity:
    """GetCallerIdentity, which needs no permission; raises AwsError."""
    said = aws.call("sts", "GetCallerIdentity", {})
    return Identity(said["Arn"], said["Account"])


def may_undo(aws: Aws, who: Identity, cluster: Cluster, key: Key) -> list[Finding]:
    """Whether EnableKey, DescribeKey and StartDBCluster are allowed to the caller."""
    if who.is_root:
        return [ok("permissions", "the account's root user may undo it")]
    findings = []
    for resource, actions in (
        (key.arn, ("kms:EnableKey", "kms:DescribeKey")),
        (cluster.arn, ("rds:StartDBCluster", "rds:DescribeDBClusters")),
    ):
        try:
            answers = _simulated(aws, who, resource, actions)
        except AwsError as problem:
            why = f"whether {who.principal} may put it back is not proven: {problem}"
            return [unproven("permissions", why)]
        findings += [
            _judged(aws, who, key, action, resource, decision)
            for action, decision in answers.items()
        ]
    return [f for f in findings if f.state != "ok"] or [
        ok("permissions", f"{who.principal} may put it back, by IAM's simulator")
    ]


# Internals


def _simulated(aws: Aws, who: Identity, resource: str, actions: Iterable[str]) -> dict[str, str]:
    """Action → allowed, implicitDeny or explicitDeny."""
    name, value = ALLOW
    said = aws.call(
        "iam",
        "SimulatePrincipalPolicy",
        {
            "PolicySourceArn": who.principal,
            "ActionNames": list(actions),
            "ResourceArns": [resource],
            # The simulator does not look at the tags of what is there.
            "ContextEntries": [
                {
                    "ContextKeyName": f"aws:ResourceTag/{name}",
                    "ContextKeyValues": [value],
                    "ContextKeyType": "string",
                }
            ],
        },
    )
    return {
        str(result["EvalActionName"]): str(result["EvalDecision"])
        for result in said.get("EvaluationResults", [])
    }


def _judged(
    aws: Aws, who: Identity, key: Key, action: str, resource: str, decision: str
) -> Finding:
    sentence = f"{who.principal} may not {action} on {resource} ({decision}, by IAM's simulator)"
    if decision == "allowed":
        return ok("permissions", f"{action} is allowed")
    if decision == "implicitDeny" and action.startswith("kms:") and _names(aws, key, who):
        return unproven("permissions", f"{sentence}, but the key policy names it: not proven")
    return refused("permissions", f"{sentence}: it could not be put back")


def _names(aws: Aws, key: Key, who: Identity) -> bool:
    """Whether the key policy has an Allow for the caller itself, or cannot be read."""
    try:
        said = aws.call("kms", "GetKeyPolicy", {"KeyId": key.arn, "PolicyName": "default"})
        policy = json.loads(said["Policy"])
    except (AwsError, ValueError, KeyError):
        return True
    statements = policy.get("Statement", [])
    listed = statements if isinstance(statements, list) else [statements]
    return any(
        statement.get("Effect") == "Allow"
        and {who.principal, who.arn, "*"} & set(_principals(statement))
        for statement in listed
    )


def _principals(statement: Mapping[str, Any]) -> list[str]:
    principal = statement.get("Principal")
    named = principal.get("AWS") if isinstance(principal, Mapping) else principal
    return named if isinstance(named, list) else [str(named)]
