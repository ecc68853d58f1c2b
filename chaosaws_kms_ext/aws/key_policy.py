"""May a principal use a key so? What its key policy and its grants come to, conditions included.

Three answers: yes, no, and what cannot be told, because a condition asks for what only the request
itself would show (where it comes from, when, with which tags). IAM User Guide, "IAM JSON policy
elements: Condition operators" and "Single-valued vs. multivalued context keys"; AWS KMS Developer
Guide, "Key policies in AWS KMS", "Default key policy" and "AWS KMS condition keys".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

__all__ = ["Answer", "Asker", "Circumstances", "KeyPolicy", "asker", "granted", "statements"]

Statement = Mapping[str, Any]
Told = bool | None
"""None: it cannot be told."""
By = Literal["policy", "iam", "grant", ""]
Known = Mapping[str, tuple[str, ...]]
"""Condition key, in lower case → its values; none: it is surely not in the request. What is not in
here is not known."""

SERVICE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")
ROLE, SESSION, USER = ":role/", ":assumed-role/", ":user/"

WITH_CONTEXT = frozenset({
    "kms:decrypt", "kms:encrypt", "kms:generatedatakey", "kms:generatedatakeypair",
    "kms:generatedatakeypairwithoutplaintext", "kms:generatedatakeywithoutplaintext",
    "kms:reencryptfrom", "kms:reencryptto",
})  # fmt: skip
"""KMS Developer Guide, kms:EncryptionContext: the operations that have one."""
WITH_CONSTRAINTS = frozenset({"kms:creategrant", "kms:retiregrant"})
"""The same key is about a grant's constraint here, which is not known."""
OF_GRANTS = frozenset({"kms:creategrant", "kms:listgrants", "kms:revokegrant"})
"""KMS Developer Guide, kms:GrantIsForAWSResource."""

CONTEXT, CONTEXT_KEYS = "kms:encryptioncontext:", "kms:encryptioncontextkeys"


class Answer(NamedTuple):
    """Whether something is allowed."""

    allowed: Told
    by: By
    """What allows it: the key `policy` itself, a `grant`, or the policy and then `iam`."""
    why: str
    """In words."""


@dataclass(frozen=True)
class Asker:
    """Who asks, as a key's policy meets them."""

    name: str
    names: frozenset[str]
    """What a Principal element may call them; roles without their path."""
    account: str
    """Theirs; for a service the one that it acts for."""
    key: str
    """The ARN of the key that is asked for."""
    service: bool
    """Whether a service asks by itself: IAM has no say then."""
    known: Known
    """Of the conditions that are about who asks and how."""

    @property
    def root(self) -> bool:
        """Whether it is the account itself."""
        return self.name.endswith(":root")

    @property
    def account_names(self) -> frozenset[str]:
        """What a Principal element may call their account."""
        return frozenset({self.account, f"arn:{_part(self.key, 1)}:iam::{self.account}:root"})


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


def asker(principal: str, key_arn: str, via_service: str = "", role: str = "") -> Asker:
    """Who `principal` is: an ARN, an account's number, or a service by itself (rds.amazonaws.com).

    `via_service`: the service through which they call (`rds`), if any. `role`: of a session's ARN
    the ARN of its role, with its path, which the session's own leaves out; empty if not known.
    Raises ValueError for what is no principal, or no service.
    """
    if via_service and not SERVICE.fullmatch(via_service):
        raise ValueError(f"{via_service} is no service: it must be named as rds")
    via = (_regional(via_service, key_arn),) if via_service else ()
    if SERVICE.fullmatch(principal) and ".amazonaws.com" in principal:
        return _service(_regional(principal, key_arn), key_arn, via)
    if re.fullmatch(r"\d{12}", principal):
        principal = f"arn:{_part(key_arn, 1)}:iam::{principal}:root"
    if re.fullmatch(r"arn:[\w-]+:(iam|sts)::\d{12}:.+", principal):
        return _person(principal, key_arn, via, role)
    raise ValueError(
        f"{principal} is no principal: it must be the ARN of a user, a role or a session, an "
        "account's number, or a service as rds.amazonaws.com"
    )


def statements(document: str) -> tuple[Statement, ...] | None:
    """The statements of a policy in JSON; None: it cannot be read."""
    try:
        listed = _listed(json.loads(document).get("Statement", []))
    except (ValueError, AttributeError, RecursionError):
        return None
    return tuple(listed) if all(isinstance(each, Mapping) for each in listed) else None


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
    return _any(
        _all((
            _grantee(str(grant.get("GranteePrincipal", "")), who),
            action.lower() in {f"kms:{each}".lower() for each in grant.get("Operations", [])},
            _grant_meets(grant, action, context),
        ))
        for grant in grants
    )  # fmt: skip


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
        foreign = self.who.account != _part(self.who.key, 4)
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


# Who asks


def _regional(service: str, key_arn: str) -> str:
    """As kms:ViaService names it."""
    dns = "amazonaws.com.cn" if _part(key_arn, 1) == "aws-cn" else "amazonaws.com"
    return f"{service.split('.')[0]}.{_part(key_arn, 3)}.{dns}"


def _service(name: str, key_arn: str, via: tuple[str, ...]) -> Asker:
    account = _part(key_arn, 4)
    known = {
        **_anywhere(key_arn),
        # The account that owns what the service acts for: Aurora User Guide,
        # Overview.Encryption.Keys, on an explicit Deny.
        "kms:calleraccount": (account,),
        "aws:principalarn": (),
        "aws:principalisawsservice": ("true",),
        "aws:username": (),
        **({"kms:viaservice": via} if via else {}),
    }
    return Asker(name, frozenset({name}), account, key_arn, True, known)


def _person(arn: str, key_arn: str, via: tuple[str, ...], role: str) -> Asker:
    account, names = _part(arn, 4), {_without_path(arn)}
    known = {
        **_anywhere(key_arn),
        "kms:calleraccount": (account,),
        "aws:principalaccount": (account,),
        "aws:principalisawsservice": ("false",),
        "aws:viaawsservice": (str(bool(via)).lower(),),
        "kms:viaservice": via,
        "aws:username": (arn.rpartition("/")[2],) if USER in arn else (),
    }
    if SESSION in arn:
        head, _, session = arn.partition(SESSION)
        names.add(f"{head.replace(':sts:', ':iam:')}{ROLE}{session.split('/')[0]}")
    if named := role if SESSION in arn else arn:
        known["aws:principalarn"] = (named,)
    return Asker(arn, frozenset(names), account, key_arn, False, known)


def _anywhere(key_arn: str) -> dict[str, tuple[str, ...]]:
    return {
        "aws:requestedregion": (_part(key_arn, 3),),
        "aws:resourceaccount": (_part(key_arn, 4),),
    }


# Statements


class _Seen(NamedTuple):
    """A statement that has been held against a request."""

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
    holds = _all((
        principal,
        _covers(statement, "Action", action, ignore_case=True),
        _covers(statement, "Resource", who.key, ignore_case=False),
        _condition(statement.get("Condition", {}), known, unknown),
    ))  # fmt: skip
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
    found = _any(_matches(each, value, ignore_case=ignore_case) for each in _listed(patterns))
    return _not(found) if negated else found


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
    listed = _names(statement["NotPrincipal"])
    spared = who.service or bool(who.names <= listed and who.account_names & listed)
    spared = spared and ROLE not in who.name  # whose session is not known
    return (False, True) if told and (spared or "*" in listed) else (None, True)


def _named(principal: Any, who: Asker) -> tuple[Told, bool]:
    listed = _names(principal)
    if listed & {*who.names, "*"}:
        return True, True
    if who.service:
        same = any(each.split(".")[0] == who.name.split(".")[0] for each in listed if "." in each)
        return (None, True) if same else (False, False)
    return bool(who.account_names & listed), who.root


def _names(principal: Any) -> frozenset[str]:
    """Whom a principal element names; roles without their path."""
    if not isinstance(principal, Mapping):
        return frozenset(_without_path(str(each)) for each in _listed(principal))
    found = [each for kind in ("AWS", "Service") for each in _listed(principal.get(kind, []))]
    return frozenset(_without_path(str(each)) for each in found)


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


def _condition(condition: Any, known: Known, unknown: set[str]) -> Told:
    """Whether all of it holds; adds to `unknown` the condition keys for which it cannot be told."""
    if not isinstance(condition, Mapping):
        return None
    told: list[Told] = []
    for operator, block in condition.items():
        for key, values in block.items() if isinstance(block, Mapping) else [("", None)]:
            held = _holds(str(operator), _values(key, known), _listed(values))
            told.append(held)
            if held is None:
                unknown.add(str(key) or str(operator))
    return _all(told)


def _values(key: str, known: Known) -> tuple[str, ...] | None:
    """The values of a condition key in the request; None: they are not known."""
    name = key.lower()
    if name.startswith(CONTEXT):
        return known.get(name, known.get(CONTEXT))
    return known.get(name)


def _holds(operator: str, values: tuple[str, ...] | None, patterns: Sequence[Any]) -> Told:
    wanted = [str(each).lower() if isinstance(each, bool) else str(each) for each in patterns]
    for_all, for_any = (operator.startswith(f"For{each}:") for each in ("AllValues", "AnyValue"))
    plain = operator.partition(":")[2] if for_all or for_any else operator
    if values is None:
        return None
    if plain == "Null":
        return str(not values).lower() in [each.lower() for each in wanted]
    if_exists = plain.endswith("IfExists")
    if (known := TESTS.get(plain.removesuffix("IfExists"))) is None:
        return None
    test, negated = known
    if not values:
        # Whether IfExists counts beside ForAnyValue is not documented.
        return None if for_any and if_exists else for_all or if_exists or (negated and not for_any)
    if len(values) > 1 and not (for_all or for_any):
        return None  # "Single-valued vs. multivalued context keys": a mistake in the policy
    fits = [_any(test(pattern, value) for pattern in wanted) for value in values]
    if negated:
        fits = [_not(each) for each in fits]
    return _any(fits) if for_any else _all(fits)


def _equals(pattern: str, value: str) -> Told:
    return None if "${" in pattern else pattern == value


def _equals_ignoring_case(pattern: str, value: str) -> Told:
    return _equals(pattern.casefold(), value.casefold())


def _like(pattern: str, value: str) -> Told:
    return _matches(pattern, value)


def _arn(pattern: str, value: str) -> Told:
    """Each of an ARN's six parts by itself, with wildcards: a * ends at the next colon."""
    if "${" in pattern:
        return None
    parts, wanted = value.split(":", 5), pattern.split(":", 5)
    return len(parts) == len(wanted) == 6 and _all(
        _matches(w, p) for w, p in zip(wanted, parts, strict=True)
    )


TESTS: dict[str, tuple[Callable[[str, str], Told], bool]] = {
    "StringEquals": (_equals, False),
    "StringNotEquals": (_equals, True),
    "StringEqualsIgnoreCase": (_equals_ignoring_case, False),
    "StringNotEqualsIgnoreCase": (_equals_ignoring_case, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_arn, False),
    "ArnNotEquals": (_arn, True),
    "ArnLike": (_arn, False),
    "ArnNotLike": (_arn, True),
    "Bool": (_equals_ignoring_case, False),
}
"""Operator → its test, and whether it is a negated one, which holds where nothing fits. Those of
numbers, dates and addresses are about what only the request itself shows."""


def _matches(pattern: Any, value: str, *, ignore_case: bool = False) -> Told:
    """Whether a value fits a pattern with * and ?; of policy variables it cannot be told."""
    text = str(pattern)
    if "${" in text:
        return None
    if ignore_case:
        text, value = text.casefold(), value.casefold()
    # What is between two stars may come as early as it can: so this ends, however many there are.
    first, *rest = text.split("*")
    if not rest:
        return len(first) == len(value) and _begins(first, value, 0)
    *middle, last = rest
    if not _begins(first, value, 0):
        return False
    at = len(first)
    for part in middle:
        fitting = (n for n in range(at, len(value) + 1) if _begins(part, value, n))
        if (found := next(fitting, None)) is None:
            return False
        at = found + len(part)
    end = len(value) - len(last)
    return end >= at and _begins(last, value, end)


def _begins(part: str, value: str, at: int) -> bool:
    there = value[at : at + len(part)]
    return len(there) == len(part) and all(p in ("?", v) for p, v in zip(part, there, strict=True))


# Grants


def _grantee(principal: str, who: Asker) -> Told:
    if who.service:
        return principal.split(".")[0] == who.name.split(".")[0]
    if principal in who.account_names and not who.root:
        return None  # and then its IAM policies count
    return _without_path(principal) in who.names


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


# Three-valued logic


def _all(each: Iterable[Told]) -> Told:
    told = set(each)
    return False if False in told else None if None in told else True


def _any(each: Iterable[Told]) -> Told:
    told = set(each)
    return True if True in told else None if None in told else False


def _not(told: Told) -> Told:
    return None if told is None else not told


# Names


def _part(arn: str, number: int) -> str:
    return arn.split(":")[number]


def _without_path(arn: str) -> str:
    """STS leaves a role's path out, and an account has no two roles of one name."""
    return re.sub(rf"{ROLE}.*/", ROLE, arn)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
