"""May a principal use a key so? What its key policy and its grants come to, conditions included.

Three answers: yes, no, and what cannot be told. AWS KMS Developer Guide, "Key policies in AWS KMS",
"Default key policy" and "AWS KMS condition keys".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from chaosaws_kms_ext.aws.conditions import (
    CONTEXT,
    CONTEXT_KEYS,
    Known,
    Told,
    all_of,
    any_of,
    condition_holds,
    listed,
    matches,
    opposite,
)
from chaosaws_kms_ext.aws.principals import ROLE, Asker, part_of, without_path

__all__ = ["Answer", "Circumstances", "KeyPolicy", "granted", "statements"]

Statement = Mapping[str, Any]
By = Literal["policy", "iam", "grant", ""]
WITH_CONTEXT = frozenset(
    {
        "kms:decrypt",
        "kms:encrypt",
        "kms:generatedatakey",
        "kms:generatedatakeypair",
        "kms:generatedatakeypairwithoutplaintext",
        "kms:generatedatakeywithoutplaintext",
        "kms:reencryptfrom",
        "kms:reencryptto",
    }
)
"""KMS Developer Guide, kms:EncryptionContext: the operations that have one."""
WITH_CONSTRAINTS = frozenset({"kms:creategrant", "kms:retiregrant"})
"""The same key is about a grant's constraint here, which is not known."""
OF_GRANTS = frozenset({"kms:creategrant", "kms:listgrants", "kms:revokegrant"})
"""KMS Developer Guide, kms:GrantIsForAWSResource."""


class Answer(NamedTuple):
    """Whether something is allowed."""

    allowed: Told
    by: By
    """What allows it: the key `policy` itself, a `grant`, or the policy and then `iam`."""
    why: str
    """In words."""


@dataclass(frozen=True)
class Circumstances:
    """What else is known of the call."""

    context: Mapping[str, str] | None = None
    """Its encryption context; None: it is not known."""
    grant_operations: tuple[str, ...] | None = None
    """What the grant allows that is to be made; None: it is not known."""
    by_iam: bool = True
    """Whether IAM's policies allow it; where they are not known, it is said that they have to."""
    granted: Told = False
    """Whether a grant on the key lets it."""


def statements(document: str) -> tuple[Statement, ...] | None:
    """The statements of a policy in JSON; None: it cannot be read."""
    try:
        found = listed(json.loads(document).get("Statement", []))
    except (ValueError, AttributeError, RecursionError):
        return None
    return tuple(found) if all(isinstance(each, Mapping) for each in found) else None


def granted(
    grants: Iterable[Mapping[str, Any]],
    who: Asker,
    action: str,
    context: Mapping[str, str] | None,
) -> Told:
    """Whether one of a key's grants (as ListGrants says them) lets `who` do it.

    Constraints bind what has an encryption context alone (API reference, CreateGrant); of one that
    is not known it cannot be told. A service's grant may name several of its principals (API
    reference, ListGrants), so the service is what counts.
    """
    return any_of(
        all_of(
            (
                _grantee(str(grant.get("GranteePrincipal", "")), who),
                action.lower() in {f"kms:{each}".lower() for each in grant.get("Operations", [])},
                _grant_meets(grant, action, context),
            )
        )
        for grant in grants
    )


NOTHING = Circumstances()


@dataclass(frozen=True)
class KeyPolicy:
    """A key's policy in the eyes of one who asks."""

    statements: Sequence[Statement] | None
    """None: it could not be read."""
    who: Asker

    def lets(self, action: str, by_iam: bool) -> bool:
        """Whether it surely lets them do it. `by_iam`: whether their IAM policies allow it."""
        return self.decide(action, Circumstances(by_iam=by_iam)).allowed is True

    def may_let(self, action: str, by_iam: bool) -> bool:
        """Whether it could, if all that cannot be told turned out well."""
        return self.decide(action, Circumstances(by_iam=by_iam)).allowed is not False

    def decide(self, action: str, given: Circumstances = NOTHING) -> Answer:
        """Whether they may do `action` (kms:Decrypt, say), and why.

        A Deny that holds wins over everything. An Allow that names the account, and any for a
        caller of another account, leaves it to IAM (KMS Developer Guide, "Default key policy" and
        "Allowing users in other accounts to use a KMS key").
        """
        if self.statements is None:
            return Answer(None, "", "the key policy cannot be read")
        known = _known(self.who, action, given)
        seen = [
            _seen(number, each, self.who, action, known)
            for number, each in enumerate(self.statements, 1)
        ]
        denies = [each for each in seen if each.effect == "Deny" and each.holds is not False]
        if sure := next((each for each in denies if each.holds), None):
            return Answer(False, "", f"{sure.name} of the key policy denies it")
        allows = [each for each in seen if each.effect == "Allow" and each.holds is not False]
        answer = self._without_deny(allows, given)
        if denies and answer.allowed:
            why = f"{denies[0].name} of the key policy may deny it: {denies[0].untold}"
            return Answer(None, "", why)
        return answer

    def _without_deny(self, allows: Sequence[_Seen], given: Circumstances) -> Answer:
        """What comes of it if nothing denies it; `allows`: what lets it, or may."""
        foreign = self.who.account != part_of(self.who.key, 4)
        enough = [each for each in allows if each.named and not foreign]
        to_iam = [each for each in allows if each not in enough and given.by_iam]
        if given.granted:
            return Answer(True, "grant", "a grant on the key lets it")
        if sure := next((each for each in enough if each.holds), None):
            return Answer(True, "policy", f"the key policy itself lets it ({sure.name})")
        if sure := next((each for each in to_iam if each.holds), None):
            whose = " of the caller's own account" if foreign else ""
            why = f"the key policy leaves it to IAM{whose} ({sure.name}): if IAM allows it too"
            return Answer(True, "iam", why)
        if perhaps := next(iter([*enough, *to_iam]), None):
            why = f"{perhaps.name} of the key policy may let it: {perhaps.untold}"
            return Answer(None, "", why)
        if given.granted is None:
            why = "a grant on the key may let it: whether the call meets it cannot be told"
            return Answer(None, "", why)
        return Answer(False, "", "neither the key policy nor a grant on the key lets it")


# Statements


class _Seen(NamedTuple):
    """A statement that has been compared with a request."""

    name: str
    effect: str
    holds: Told
    named: bool
    """Whether it names who asks: by themselves or as everybody, not by the account alone."""
    untold: str
    """If it cannot be told: what is not known, in words."""


def _seen(number: int, statement: Statement, who: Asker, action: str, known: Known) -> _Seen:
    sid = statement.get("Sid")
    principal, named = _principal(statement, who)
    unknown: set[str] = set()
    holds = all_of(
        (
            principal,
            _covers(statement, "Action", action, ignore_case=True),
            _covers(statement, "Resource", who.key, ignore_case=False),
            condition_holds(statement.get("Condition", {}), known, unknown),
        )
    )
    if principal is None:
        unknown.add("whom its principal element means")
    what = ", ".join(sorted(unknown)) or "an element that is not understood"
    return _Seen(
        f"the statement {sid}" if sid else f"statement {number}",
        str(statement.get("Effect")),
        holds,
        named,
        f"{what} cannot be told",
    )


def _covers(statement: Statement, element: str, value: str, ignore_case: bool) -> Told:
    """Whether Action or Resource, or its Not… form, covers it; without either a statement has no
    effect (API reference, PutKeyPolicy)."""
    negated = f"Not{element}" in statement
    patterns = statement.get(f"Not{element}" if negated else element)
    if patterns is None:
        return False
    found = any_of(matches(each, value, ignore_case=ignore_case) for each in listed(patterns))
    return opposite(found) if negated else found


def _principal(statement: Statement, who: Asker) -> tuple[Told, bool]:
    """Whether it is about who asks, and whether it names them, not their account alone."""
    if "Principal" in statement:
        told, named = _named(statement["Principal"], who)
        return told, named
    if "NotPrincipal" not in statement:
        return False, False
    told, named = _named(statement["NotPrincipal"], who)
    if told is False:
        return True, True
    # IAM User Guide, "AWS JSON policy elements: NotPrincipal": who is to be spared has to be named
    # with their account, and a session with its role besides; nobody should rely on less.
    whom = _names(statement["NotPrincipal"])
    spared = who.service or bool(who.names <= whom and who.account_names & whom)
    spared = spared and ROLE not in who.name  # whose session is not known
    return (False, True) if told and (spared or "*" in whom) else (None, True)


def _named(principal: Any, who: Asker) -> tuple[Told, bool]:
    whom = _names(principal)
    if whom & {*who.names, "*"}:
        return True, True
    if who.service:
        same = any(each.split(".")[0] == who.name.split(".")[0] for each in whom if "." in each)
        return (None, True) if same else (False, False)
    return bool(who.account_names & whom), who.root


def _names(principal: Any) -> frozenset[str]:
    """Whom a principal element names; roles without their path."""
    if not isinstance(principal, Mapping):
        return frozenset(without_path(str(each)) for each in listed(principal))
    found = [each for kind in ("AWS", "Service") for each in listed(principal.get(kind, []))]
    return frozenset(without_path(str(each)) for each in found)


# Conditions


def _known(who: Asker, action: str, given: Circumstances) -> dict[str, tuple[str, ...]]:
    """What is known of the request: condition key → values; `kms:encryptioncontext:` stands for
    every pair that is not there by name."""
    known, wanted = dict(who.known), action.lower()
    through = who.service or bool(who.known.get("kms:viaservice"))
    known["kms:grantisforawsresource"] = (str(through).lower(),) if wanted in OF_GRANTS else ()
    if wanted != "kms:creategrant":
        known["kms:grantoperations"] = ()
    elif given.grant_operations is not None:
        known["kms:grantoperations"] = given.grant_operations
    if wanted in WITH_CONTEXT and given.context is not None:
        known |= {f"{CONTEXT}{name.lower()}": (v,) for name, v in given.context.items()}
        known |= {CONTEXT: (), CONTEXT_KEYS: tuple(given.context)}
    elif wanted not in WITH_CONTEXT | WITH_CONSTRAINTS:
        known |= {CONTEXT: (), CONTEXT_KEYS: ()}
    return known


# Grants


def _grantee(principal: str, who: Asker) -> Told:
    if who.service:
        return principal.split(".")[0] == who.name.split(".")[0]
    if principal in who.account_names and not who.root:
        return None  # and then its IAM policies count
    return without_path(principal) in who.names


def _grant_meets(grant: Mapping[str, Any], action: str, context: Mapping[str, str] | None) -> Told:
    if action.lower() == "kms:creategrant":
        return None  # the new one has to be as strict, and is not known
    constraints = grant.get("Constraints") or {}
    equals = constraints.get("EncryptionContextEquals")
    subset = constraints.get("EncryptionContextSubset") or {}
    if action.lower() not in WITH_CONTEXT or not (equals or subset):
        return True
    if context is None:
        return None
    if equals:
        return dict(context) == dict(equals)
    return bool(subset.items() <= context.items())
