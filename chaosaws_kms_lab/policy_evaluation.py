"""Whether policies let a caller do something: statements in, a decision out.

Knows policies and callers, not keys. IAM User Guide, "Policy evaluation logic" and "IAM JSON policy
elements reference"; AWS KMS Developer Guide, "Key policies in AWS KMS".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from functools import lru_cache
from typing import Any

from chaosaws_kms_lab.calls import Caller
from chaosaws_kms_lab.conditions import OPERATORS, Context, holds, matches, operator

__all__ = [
    "Decision",
    "Malformed",
    "Match",
    "Request",
    "decide",
    "depends_on_time",
    "ignoring_resources",
    "read_key_policy",
]

LARGEST_POLICY = 32 * 1024
"""Bytes. AWS KMS Developer Guide, "Key policies in AWS KMS"."""

ELEMENTS = frozenset({
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource",
    "Condition",
})  # fmt: skip
DOCUMENT = frozenset({"Version", "Id", "Statement"})
VERSIONS = frozenset({"2012-10-17", "2008-10-17"})
KINDS = frozenset({"AWS", "Service", "Federated", "CanonicalUser"})

# IAM User Guide, "AWS JSON policy elements: Principal".
AWS_PRINCIPAL = re.compile(
    r"\*|\d{12}"
    r"|arn:aws:iam::\d{12}:(root|user/[\w+=,.@/-]+|role/[\w+=,.@/-]+)"
    r"|arn:aws:sts::\d{12}:(assumed-role/[\w+=,.@-]+/[\w+=,.@-]+|federated-user/[\w+=,.@-]+)"
)
SERVICE_PRINCIPAL = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


class Malformed(Exception):
    """A policy document that AWS would not take; the message says why."""


class Match(IntEnum):
    """How a principal, or a grant, names a caller."""

    NONE = 0
    ACCOUNT = 1
    """By its account: then that account's IAM policies decide."""
    NAMED = 2
    """By its own ARN, or as everybody: that is enough in the key's own account."""


class Decision(Enum):
    """The decision on a request; its value is the end of AWS' error message."""

    ALLOWED = ""
    DENIED_BY_KEY = "with an explicit deny in a resource-based policy"
    DENIED_BY_IDENTITY = "with an explicit deny in an identity-based policy"
    NOT_IN_KEY_POLICY = "because no resource-based policy allows the {action} action"
    NOT_IN_IDENTITY_POLICY = "because no identity-based policy allows the {action} action"
    NOT_IN_SESSION_POLICY = "because no session policy allows the {action} action"


@dataclass(frozen=True)
class Request:
    """A caller, an action, a resource, and the context for conditions."""

    caller: Caller
    action: str
    """kms:Decrypt, say."""
    resource: str
    """An ARN, or * when there is none."""
    owner: str
    """The account that the resource belongs to."""
    context: Context


Statement = Mapping[str, Any]


def decide(
    request: Request, key_policy: Iterable[Statement], granted: Match = Match.NONE
) -> Decision:
    """The decision of the key policy, the caller's IAM policies and a grant together.

    An explicit Deny wins over everything. If an Allow of the key policy names only the account, IAM
    has to allow the request too; so it has if the caller belongs to another account than the key.
    """
    statements = list(key_policy)
    identity = list(_identity_statements(request.caller))
    if any(_applies(s, "Deny", request) and _principal(s, request) for s in statements):
        return Decision.DENIED_BY_KEY
    if any(_applies(s, "Deny", request) for s in identity):
        return Decision.DENIED_BY_IDENTITY
    if not _session_allows(request):
        return Decision.NOT_IN_SESSION_POLICY
    if granted is Match.NAMED:
        return Decision.ALLOWED
    allowed = max(
        (_principal(s, request) for s in statements if _applies(s, "Allow", request)),
        default=Match.NONE,
    )
    allowed = max(allowed, granted)
    if allowed is Match.NONE:
        return Decision.NOT_IN_KEY_POLICY
    own = request.caller.account == request.owner
    if allowed is Match.NAMED and (own or request.caller.is_service):
        return Decision.ALLOWED
    administrator = request.caller.policies is None and not request.caller.is_service
    if administrator or any(_applies(s, "Allow", request) for s in identity):
        return Decision.ALLOWED
    return Decision.NOT_IN_IDENTITY_POLICY


@lru_cache(maxsize=4096)
def read_key_policy(text: str) -> tuple[Statement, ...]:
    """The statements of a key policy; raises Malformed if AWS would not take it."""
    if len(text.encode()) > LARGEST_POLICY:
        raise Malformed(f"The policy is larger than {LARGEST_POLICY} bytes.")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed("The policy is not valid JSON.") from None
    if not isinstance(document, dict):
        raise Malformed("The policy is not a JSON object.")
    if unknown := document.keys() - DOCUMENT:
        raise Malformed(f"The policy has unknown elements: {', '.join(sorted(unknown))}.")
    if document.get("Version", "2008-10-17") not in tuple(VERSIONS):
        raise Malformed("The policy has an unknown Version.")
    statements = _as_list(document.get("Statement", []))
    if not statements:
        raise Malformed("The policy has no Statement.")
    for statement in statements:
        _check(statement)
    return tuple(statements)


def ignoring_resources(caller: Caller) -> Caller:
    """The caller for a call whose resources are not known.

    Every Allow counts for all resources; a Deny counts only if it is for all resources.
    """

    def widened(documents: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
        return tuple(
            {"Statement": [s for s in map(_for_everything, _statements([document])) if s]}
            for document in documents
        )

    narrowed = caller.session_policies
    return replace(
        caller,
        policies=None if caller.policies is None else widened(caller.policies),
        session_policies=None if narrowed is None else widened(narrowed),
    )


def _for_everything(statement: Statement) -> Statement | None:
    everything = "*" in _as_list(statement.get("Resource", []))
    if statement.get("Effect") == "Deny" and not everything:
        return None
    kept = {k: v for k, v in statement.items() if k not in ("Resource", "NotResource")}
    return kept | {"Resource": "*"}


@lru_cache(maxsize=4096)
def depends_on_time(text: str) -> bool:
    """Whether a policy may say something else a second later."""
    return "aws:currenttime" in text.lower() or "aws:epochtime" in text.lower()


# Statements


def _identity_statements(caller: Caller) -> Iterable[Statement]:
    """The caller's policies in IAM, and what its session policies deny."""
    if caller.is_service:
        return  # a service that acts by itself has no IAM policies
    yield from _statements(caller.policies or ())
    yield from _denies(caller.session_policies or ())


def _statements(documents: Iterable[Mapping[str, Any]]) -> Iterable[Statement]:
    for document in documents:
        for statement in _as_list(document.get("Statement", [])):
            if isinstance(statement, Mapping):
                yield statement


def _denies(documents: Iterable[Mapping[str, Any]]) -> Iterable[Statement]:
    return (s for s in _statements(documents) if s.get("Effect") == "Deny")


def _session_allows(request: Request) -> bool:
    narrowed = request.caller.session_policies
    return narrowed is None or any(_applies(s, "Allow", request) for s in _statements(narrowed))


def _applies(statement: Statement, effect: str, request: Request) -> bool:
    if statement.get("Effect") != effect:
        return False
    if statement.keys() - ELEMENTS:
        return effect == "Deny"  # a statement that we cannot read never allows
    return (
        _covers(statement, "Action", request.action, request.context, ignore_case=True)
        and _covers(statement, "Resource", request.resource, request.context)
        and holds(statement.get("Condition", {}), request.context, unknown=effect == "Deny")
    )


def _covers(
    statement: Statement, element: str, value: str, context: Context, ignore_case: bool = False
) -> bool:
    """Whether Action or Resource, or its Not… form, covers `value`.

    A statement without either has no effect (API reference, PutKeyPolicy).
    """
    negated = element not in statement
    patterns = statement.get(f"Not{element}" if negated else element)
    if patterns is None:
        return False
    found = any(matches(p, value, context, ignore_case=ignore_case) for p in _as_list(patterns))
    return found is not negated


def _principal(statement: Statement, request: Request) -> Match:
    if "Principal" in statement:
        return _named(statement["Principal"], request.caller)
    exempt = _named(statement.get("NotPrincipal", "*"), request.caller)
    # An account in NotPrincipal exempts its root user, not everybody who belongs to it.
    if exempt is Match.NAMED or (exempt and request.caller.arn.endswith(":root")):
        return Match.NONE
    return Match.NAMED


def _named(principal: Any, caller: Caller) -> Match:
    if principal == "*":
        return Match.NAMED
    if caller.is_service:
        services = [*_as_list(principal.get("Service", [])), *_as_list(principal.get("AWS", []))]
        return Match.NAMED if {caller.arn, "*"} & set(services) else Match.NONE
    names = set(_as_list(principal.get("AWS", [])))
    if names & {"*", caller.arn, caller.principal_arn} - {_root(caller.account)}:
        return Match.NAMED
    return Match.ACCOUNT if names & {caller.account, _root(caller.account)} else Match.NONE


def _root(account: str) -> str:
    return f"arn:aws:iam::{account}:root"


# What AWS takes as a key policy


def _check(statement: Any) -> None:
    if not isinstance(statement, dict):
        raise Malformed("A Statement of the policy is not an object.")
    if unknown := statement.keys() - ELEMENTS:
        raise Malformed(f"A statement has unknown elements: {', '.join(sorted(unknown))}.")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise Malformed("A statement's Effect is neither Allow nor Deny.")
    for element in ("Action", "Resource", "Principal"):
        if element in statement and f"Not{element}" in statement:
            raise Malformed(f"A statement has both {element} and Not{element}.")
    for element in ("Action", "NotAction", "Resource", "NotResource"):
        if element in statement and not _texts(statement[element]):
            raise Malformed(f"A statement's {element} is not a string or a list of strings.")
    _check_principal(statement.get("Principal", statement.get("NotPrincipal")))
    _check_condition(statement.get("Condition", {}))


def _check_principal(principal: Any) -> None:
    if principal == "*":
        return
    if isinstance(principal, dict) and principal and not principal.keys() - KINDS:
        forms = {"AWS": AWS_PRINCIPAL, "Service": SERVICE_PRINCIPAL}
        for kind, names in principal.items():
            form = forms.get(kind, re.compile(".+"))
            if not _texts(names) or not all(form.fullmatch(name) for name in _as_list(names)):
                break
        else:
            return
    raise Malformed("Policy contains a statement with one or more invalid principals.")


def _check_condition(condition: Any) -> None:
    if not isinstance(condition, dict):
        raise Malformed("A statement's Condition is not an object.")
    for name, block in condition.items():
        if operator(name) not in OPERATORS:
            raise Malformed(f"A statement's Condition has an unknown operator: {name}.")
        if not isinstance(block, dict):
            raise Malformed(f"A statement's {name} is not an object.")
        for key, values in block.items():
            plain = [v for v in _as_list(values) if isinstance(v, str | bool | int | float)]
            if not plain or plain != _as_list(values):
                raise Malformed(f"A statement's {name} has no plain values for {key}.")


def _texts(value: Any) -> bool:
    listed = _as_list(value)
    return bool(listed) and all(isinstance(each, str) and each for each in listed)


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
