"""Whether somebody wants this: an opt-in tag, an allowed account, no tag that says production."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from chaosaws_kms_ext.safety.checklist import Finding, ok, refused

__all__ = ["ALLOW", "account", "tags"]

ALLOW = ("chaos:allow", "kms")
"""The tag that key and cluster have to carry."""

STAGE = re.compile(r"(^|[-_:/. ])(env|environment|stage|tier)$", re.IGNORECASE)
PRODUCTION = re.compile(r"(^|[-_:/. ])(prod|production|prd|live)($|[-_:/. \d])", re.IGNORECASE)


def account(number: str, allowed: Sequence[str]) -> Finding:
    """Whether this account is one of those that were allowed, if any were named."""
    if not allowed:
        return ok("account", f"{number}; CHAOS_ALLOWED_ACCOUNTS names none, so the tags decide")
    if number in allowed:
        return ok("account", f"{number} is one of CHAOS_ALLOWED_ACCOUNTS")
    return refused("account", f"{number} is none of CHAOS_ALLOWED_ACCOUNTS ({', '.join(allowed)})")


def tags(of: str, carried: Mapping[str, str]) -> list[Finding]:
    """Whether `of` (the key or the cluster, in words) says that it may be attacked."""
    name, value = ALLOW
    findings = [
        refused(
            "production",
            f"{of} carries the tag {key}={carried[key]}: production is not attacked, "
            "whatever else its tags allow",
        )
        for key in sorted(carried)
        if STAGE.search(key) and PRODUCTION.search(carried[key])
    ]
    if carried.get(name) == value:
        findings.append(ok("consent", f"{of} carries the tag {name}={value}"))
    else:
        findings.append(
            refused("consent", f"{of} does not carry the tag {name}={value}: add it to allow this")
        )
    return findings
