"""Whether the owner consents: an opt-in tag, an allowed account, no tag that says production."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from chaosaws_kms_ext.aws.names import ALLOW
from chaosaws_kms_ext.guard.findings import Finding, ok, refused
from chaosaws_kms_ext.settings import Settings

__all__ = ["account", "of_fault", "tags"]

STAGE = frozenset({"env", "environment", "stage", "tier"})
OF_STAGE = frozenset({"class", "kind", "level", "name", "type"})
"""What a tag's key may say after one of these: EnvironmentType."""
PRODUCTION = frozenset({"prod", "production", "prd", "live"})
NOT = frozenset({"no", "non", "not", "pre"})
"""A word before one of these that means the opposite: non-prod, pre-production."""
YES = frozenset({"", "1", "on", "true", "y", "yes"})

LETTERS = re.compile(r"[A-Za-z]+")
CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


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
        if _says_production(key, carried[key])
    ]
    if carried.get(name) == value:
        findings.append(ok("consent", f"{of} carries the tag {name}={value}"))
    else:
        findings.append(
            refused("consent", f"{of} does not carry the tag {name}={value}: add it to allow this")
        )
    return findings


def of_fault(needed: Sequence[str], settings: Settings) -> list[Finding]:
    """Whether the settings consent to faults that could do harm for good. The lab is disposable."""
    findings = []
    for name in needed if settings.target == "aws" else ():
        asked = f"CHAOS_{name.upper()}=yes"
        if getattr(settings, name) == "yes":
            findings.append(ok("consent", f"{asked} consents to this fault"))
        else:
            why = f"this fault needs a consent of its own: set {asked} if it is wanted"
            findings.append(refused("consent", why))
    return findings


# Internals


def _says_production(key: str, value: str) -> bool:
    """Environment=prod, or production=true. In doubt it says yes: no production may be missed."""
    if any(_is_of_a_stage(words) for words in _readings(key)):
        return any(_names_production(words) for words in _readings(value))
    return value.strip().lower() in YES and any(
        _names_production(words[-2:]) and words[-1] in PRODUCTION for words in _readings(key)
    )


def _is_of_a_stage(words: Sequence[str]) -> bool:
    if words and words[-1] in OF_STAGE:
        words = words[:-1]
    return bool(words) and words[-1] in STAGE


def _names_production(words: Sequence[str]) -> bool:
    return any(word in PRODUCTION and before not in NOT for before, word in pairwise(["", *words]))


def _readings(text: str) -> tuple[list[str], list[str]]:
    """Its words, split at other characters and at capitals: nonProd, AppEnvironment, prod1."""
    runs = LETTERS.findall(text)
    camel = [word for run in runs for word in CAMEL.findall(run)]
    return [run.lower() for run in runs], [word.lower() for word in camel]
