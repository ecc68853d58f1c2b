"""IAM's policy simulator, for the policies of users, groups and roles in moto's IAM.

It decides as the lab itself does (policy_evaluation.py). It knows only what the request says: no
tags, no key policy, no clock (IAM API reference, SimulatePrincipalPolicy).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from chaosaws_kms_lab import parameters, policy_evaluation
from chaosaws_kms_lab.calls import AwsError, Call, Caller, Paging, administrator
from chaosaws_kms_lab.conditions import VARIABLE, Context
from chaosaws_kms_lab.policy_evaluation import Decision, Match, Request

__all__ = ["OPERATIONS", "Attached", "handle"]

Document = Mapping[str, Any]
"""A policy."""

Attached = Callable[[str], tuple[Document, ...] | None]
"""The ARN of a user, group or role → its policies; None: there is no such."""

SOURCE = re.compile(r"arn:aws:iam::(\d{12}):(user|group|role)/(?:[!-~]+/)?([\w+=,.@-]+)")
ACTION = re.compile(r"[\w-]+:\w+")

NOT_DONE = (
    "CallerArn", "PermissionsBoundaryPolicyInputList", "PolicyExclusionList",
    "ResourceHandlingOption", "ResourceOwner", "ResourcePolicy",
)  # fmt: skip

EVERYTHING: Document = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
"""The policy of the lab's administrator."""

DECISIONS = {Decision.ALLOWED: "allowed", Decision.DENIED_BY_IDENTITY: "explicitDeny"}
SEVERITY = ("allowed", "implicitDeny", "explicitDeny")

PAGES = Paging("MaxItems", 100, 1, 1000, bad_size="ValidationError", bad_marker="InvalidInput")


def handle(attached: Attached, call: Call) -> dict[str, Any]:
    """Answers one call; raises AwsError as IAM would."""
    parameters.check(call)
    return OPERATIONS[call.operation](attached, call)


def simulate_principal_policy(attached: Attached, call: Call) -> dict[str, Any]:
    """SimulatePrincipalPolicy: one result for each action, with one in it for each resource.

    The API reference, EvaluationResult: "a single EvaluationResult per action, regardless of how
    many resource ARNs are provided".
    """
    params = call.params
    for name in NOT_DONE:
        if params.get(name):
            what = f"iam:SimulatePrincipalPolicy with {name}"
            # 501: an SDK does not try again, as it would after a 500.
            raise AwsError("NotImplemented", f"The lab does not do {what}.", 501)
    for action in params["ActionNames"]:
        if not ACTION.fullmatch(action):
            raise AwsError("InvalidInput", f"Invalid Action Name: {action}")
    caller = _caller(attached, params)
    context = dict(_context(params.get("ContextEntries", [])))
    missing = _missing(caller.policies or (), context)
    resources = params.get("ResourceArns") or ["*"]
    results = [
        _result(caller, action, resources, context, missing) for action in params["ActionNames"]
    ]
    page, marker = PAGES.cut(results, params)
    more = {"Marker": marker} if marker else {}
    return {"EvaluationResults": page, "IsTruncated": marker is not None, **more}


def _caller(attached: Attached, params: Mapping[str, Any]) -> Caller:
    """The principal of the simulation, with its policies."""
    arn = params["PolicySourceArn"]
    named = SOURCE.fullmatch(arn)
    if named is None:
        why = "does not clearly define entity type and name."
        raise AwsError("InvalidInput", f"Invalid Entity Arn: {arn} {why}")
    account, kind, name = named.groups()
    documents = attached(arn)
    if documents is None and arn == administrator().arn:
        documents = (EVERYTHING,)
    if documents is None:
        raise AwsError("NoSuchEntity", f"The {kind} with name {name} cannot be found.", status=404)
    more = tuple(_read(text) for text in params.get("PolicyInputList", []))
    return Caller(arn, account, documents + more)


def _read(text: str) -> Document:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise AwsError("InvalidInput", "A policy of PolicyInputList is not a JSON object.")
    return document


# Context


def _context(entries: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str | tuple[str, ...]]]:
    """Condition key → value; a type that ends in List is a multivalued one."""
    for entry in entries:
        name, values = entry.get("ContextKeyName", ""), entry.get("ContextKeyValues", [])
        if entry.get("ContextKeyType", "").endswith("List"):
            yield name.lower(), tuple(values)
        elif len(values) == 1:
            yield name.lower(), values[0]
        else:
            raise AwsError("InvalidInput", f"The context key {name} takes one value.")


def _missing(documents: Iterable[Document], context: Context) -> list[str]:
    """The condition keys in the policies that the request does not give, for whatever action.

    AWS' simulator answers so too (boto3's issue 3111); the API reference leaves it open.
    """
    found: dict[str, str] = {}
    for document in documents:
        statements = document.get("Statement", [])
        for statement in statements if isinstance(statements, list) else [statements]:
            for name in _keys(statement):
                found.setdefault(name.lower(), name)
    return [name for key, name in found.items() if key not in context]


def _keys(statement: Any) -> Iterator[str]:
    """The condition keys and policy variables of a statement."""
    if not isinstance(statement, Mapping):
        return
    condition = statement.get("Condition", {})
    for block in condition.values() if isinstance(condition, Mapping) else ():
        if isinstance(block, Mapping):
            yield from block
    for variable, default in VARIABLE.findall(json.dumps(statement)):
        if not default and variable not in ("*", "?", "$"):
            yield variable


# Results


def _result(
    caller: Caller, action: str, resources: list[str], context: Context, missing: list[str]
) -> dict[str, Any]:
    decisions = {resource: _decision(caller, action, resource, context) for resource in resources}
    said = {"MatchedStatements": [], "MissingContextValues": missing}
    result = {
        "EvalActionName": action,
        "EvalResourceName": resources[0] if len(resources) == 1 else "*",
        # "The most restrictive decision across all resources".
        "EvalDecision": max(decisions.values(), key=SEVERITY.index),
        "EvalDecisionDetails": {},
        **said,
    }
    if list(decisions) == ["*"]:
        return result
    each = [
        {"EvalResourceName": resource, "EvalResourceDecision": decision, **said}
        for resource, decision in decisions.items()
    ]
    return result | {"ResourceSpecificResults": each}


def _decision(caller: Caller, action: str, resource: str, context: Context) -> str:
    request = Request(caller, action, resource, caller.account, context)
    return DECISIONS.get(policy_evaluation.decide(request, (), Match.ACCOUNT), "implicitDeny")


OPERATIONS: dict[str, Callable[[Attached, Call], dict[str, Any]]] = {
    "SimulatePrincipalPolicy": simulate_principal_policy
}
