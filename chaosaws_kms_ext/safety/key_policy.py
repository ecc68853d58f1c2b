"""What a key policy leaves a caller, as far as its statements say so without their conditions.

IAM allows nothing on a key whose policy does not let it: AWS KMS Developer Guide, "Key policies in
AWS KMS" and "Default key policy" (the account as principal is what lets IAM policies count).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from chaosaws_kms_ext.aws import Aws
from chaosaws_kms_ext.kms.api import Key

__all__ = ["KeyPolicy", "read"]

Statement = Mapping[str, Any]
Effect = Literal["Allow", "Deny"]


@dataclass(frozen=True)
class KeyPolicy:
    """A key's policy in the eyes of one caller of the key's own account."""

    statements: tuple[Statement, ...] | None
    """None: it could not be read."""
    caller: frozenset[str]
    """The ARNs that name the caller; those of roles without their path."""
    account: frozenset[str]
    """What names the account."""

    def lets(self, action: str, by_iam: bool) -> bool:
        """Whether it lets the caller do it, however its conditions turn out.

        `by_iam`: whether the caller's IAM policies allow it.
        """
        return self.statements is not None and self._lets(action, by_iam, "Deny")

    def may_let(self, action: str, by_iam: bool) -> bool:
        """Whether it could, if every condition turned out well."""
        return self.statements is None or self._lets(action, by_iam, "Allow")

    def _lets(self, action: str, by_iam: bool, holding: Effect) -> bool:
        """Whether it lets the caller if only the conditions of statements `holding` hold."""
        allowed = False
        for statement in self.statements or ():
            effect, depends = statement.get("Effect"), "Condition" in statement
            if not _covers(statement, action) or (depends and effect != holding):
                continue
            if effect == "Deny" and self._names(statement, holding):
                return False
            named = self._names(statement, holding)
            allowed |= named == "caller" or (named == "account" and by_iam)
        return allowed

    def _names(self, statement: Statement, holding: Effect) -> Literal["caller", "account", ""]:
        if "NotPrincipal" in statement:  # which nobody should use; taken for a condition
            return "caller" if statement.get("Effect") == holding else ""
        named = set(_principals(statement))
        if named & (self.caller | {"*"}):
            return "caller"
        return "account" if named & self.account else ""


def read(aws: Aws, key: Key, caller: Iterable[str]) -> KeyPolicy:
    """The key's policy as `caller` (its ARNs) meets it; raises AwsError. IAM: kms:GetKeyPolicy."""
    partition, account = key.arn.split(":")[1], key.arn.split(":")[4]
    root = f"arn:{partition}:iam::{account}:root"
    said = aws.call("kms", "GetKeyPolicy", {"KeyId": key.arn, "PolicyName": "default"})
    try:
        listed = _listed(json.loads(said["Policy"]).get("Statement", []))
    except (ValueError, KeyError, AttributeError):
        listed = None
    return KeyPolicy(
        None if listed is None else tuple(listed),
        frozenset(map(_without_path, caller)),
        frozenset({account, root}),
    )


# Internals


def _covers(statement: Statement, action: str) -> bool:
    negated = "NotAction" in statement
    patterns = _listed(statement.get("NotAction" if negated else "Action", []))
    found = any(fnmatchcase(action.lower(), str(pattern).lower()) for pattern in patterns)
    return found is not negated


def _principals(statement: Statement) -> Iterator[str]:
    principal = statement.get("Principal")
    named = principal.get("AWS", []) if isinstance(principal, Mapping) else principal
    return (_without_path(str(each)) for each in _listed(named))


def _without_path(arn: str) -> str:
    """STS leaves a role's path out, and an account has no two roles of one name."""
    return re.sub(r":role/.*/", ":role/", arn)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
