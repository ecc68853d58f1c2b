"""Conditions of IAM policies, and the patterns in conditions and other elements.

IAM User Guide, "IAM JSON policy elements: Condition operators" and "Single-valued vs. multivalued
context keys".
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import Enum
from operator import eq, ge, gt, le, lt
from typing import Any

__all__ = ["OPERATORS", "VARIABLE", "Context", "holds", "matches", "operator"]

Context = Mapping[str, str | tuple[str, ...]]
"""Condition key, in lower case → its value; a tuple: a multivalued one."""

Test = Callable[[str, str, Context], bool]
"""Does a value of the request fit a value of the policy?"""

TOKENS = re.compile(r"(\$\{[^}]*\}|\*|\?)")
VARIABLE = re.compile(r"\$\{\s*([^,}]+?)\s*(?:,\s*'([^']*)'\s*)?\}")


def matches(
    pattern: Any, value: str, context: Context, *, wild: bool = True, ignore_case: bool = False
) -> bool:
    """Whether `value` fits a policy's pattern: * and ?, and ${variables} of the context."""
    if not isinstance(pattern, str):
        return False
    parts: list[str | _Wild] = []
    for token in TOKENS.split(pattern):
        if wild and token in ("*", "?"):
            parts.append(_Wild(token))
        elif variable := VARIABLE.fullmatch(token):
            filled = _variable(variable, context)
            if filled is None:
                return False
            parts += filled.casefold() if ignore_case else filled
        else:
            parts += token.casefold() if ignore_case else token
    return _fits(parts, value.casefold() if ignore_case else value)


class _Wild(Enum):
    ANY = "*"
    ONE = "?"


def _fits(parts: list[str | _Wild], value: str) -> bool:
    """Whether characters and wildcards fit.

    The time is at most the product of both lengths; a regular expression with several stars could
    take for ever.
    """
    at = here = 0
    star, resume = -1, 0
    while here < len(value):
        if at < len(parts) and parts[at] is _Wild.ANY:
            star, resume, at = at, here, at + 1
        elif at < len(parts) and parts[at] in (_Wild.ONE, value[here]):
            at, here = at + 1, here + 1
        elif star >= 0:  # the last star takes one character more
            resume += 1
            at, here = star + 1, resume
        else:
            return False
    return all(part is _Wild.ANY for part in parts[at:])


def _variable(variable: re.Match[str], context: Context) -> str | None:
    name, default = variable.groups()
    if name in ("*", "?", "$"):
        return name
    value = context.get(name.lower(), default)
    return value if isinstance(value, str) else None


def holds(condition: Any, context: Context, *, unknown: bool) -> bool:
    """Whether every operator of a Condition element holds.

    `unknown`: the result for an operator that cannot be read.
    """
    if not isinstance(condition, Mapping):
        return unknown
    return all(_block(name, block, context, unknown) for name, block in condition.items())


def operator(name: str) -> str:
    """An operator without prefix and suffix: ForAnyValue:StringLikeIfExists is StringLike."""
    return name.removeprefix("ForAllValues:").removeprefix("ForAnyValue:").removesuffix("IfExists")


def _block(name: str, block: Any, context: Context, unknown: bool) -> bool:
    if operator(name) not in OPERATORS or not isinstance(block, Mapping):
        return unknown
    return all(_one(name, key.lower(), values, context) for key, values in block.items())


def _one(name: str, key: str, listed: Any, context: Context) -> bool:
    patterns = [_text(v) for v in (listed if isinstance(listed, list | tuple) else [listed])]
    if operator(name) == "Null":
        return (str(key not in context).lower()) in [p.lower() for p in patterns]
    test, negated = OPERATORS[operator(name)]
    value = context.get(key, ())
    values = (value,) if isinstance(value, str) else value
    if not values:
        if name.startswith("ForAnyValue:"):
            return name.endswith("IfExists")
        return negated or name.startswith("ForAllValues:") or name.endswith("IfExists")
    fits = [any(test(v, p, context) for p in patterns) is not negated for v in values]
    if name.startswith("ForAllValues:"):
        return all(fits)
    # Without ForAnyValue a negated operator must hold for every value that there is.
    return all(fits) if negated and not name.startswith("ForAnyValue:") else any(fits)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# Operators


def _equals(value: str, pattern: str, context: Context) -> bool:
    return matches(pattern, value, context, wild=False)


def _equals_ignoring_case(value: str, pattern: str, context: Context) -> bool:
    return matches(pattern, value, context, wild=False, ignore_case=True)


def _like(value: str, pattern: str, context: Context) -> bool:
    return matches(pattern, value, context)


def _arn(value: str, pattern: str, context: Context) -> bool:
    """Each of an ARN's six parts by itself, with wildcards: a * ends at the next colon."""
    parts, patterns = value.split(":", 5), _arn_parts(pattern)
    return len(parts) == len(patterns) == 6 and all(
        matches(p, v, context) for v, p in zip(parts, patterns, strict=True)
    )


def _arn_parts(pattern: str) -> list[str]:
    """An ARN pattern's parts; a colon inside of ${…} is the variable's."""
    hidden = re.sub(r"\$\{[^}]*\}", lambda m: m.group().replace(":", "\0"), pattern)
    return [part.replace("\0", ":") for part in hidden.split(":", 5)]


def _number(compare: Callable[[Any, Any], bool]) -> Test:
    def test(value: str, pattern: str, context: Context) -> bool:
        try:
            return compare(float(value), float(pattern))
        except ValueError:
            return False

    return test


def _date(compare: Callable[[Any, Any], bool]) -> Test:
    def test(value: str, pattern: str, context: Context) -> bool:
        try:
            return compare(_instant(value), _instant(pattern))
        except (ValueError, OverflowError):
            return False

    return test


def _instant(text: str) -> datetime:
    """ISO 8601, or seconds since 1970."""
    try:
        return datetime.fromtimestamp(float(text), UTC)
    except ValueError:
        read = datetime.fromisoformat(text)
        return read if read.tzinfo else read.replace(tzinfo=UTC)


def _bool(value: str, pattern: str, context: Context) -> bool:
    return value.lower() == pattern.lower()


def _binary(value: str, pattern: str, context: Context) -> bool:
    try:
        return base64.b64decode(value) == base64.b64decode(pattern)
    except (binascii.Error, ValueError):
        return False


def _address(value: str, pattern: str, context: Context) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return False


# Operator → its test, and whether it is negated. A negated one holds if no pattern fits, and if the
# request does not have the key.
OPERATORS: dict[str, tuple[Test, bool]] = {
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
    "NumericEquals": (_number(eq), False),
    "NumericNotEquals": (_number(eq), True),
    "NumericLessThan": (_number(lt), False),
    "NumericLessThanEquals": (_number(le), False),
    "NumericGreaterThan": (_number(gt), False),
    "NumericGreaterThanEquals": (_number(ge), False),
    "DateEquals": (_date(eq), False),
    "DateNotEquals": (_date(eq), True),
    "DateLessThan": (_date(lt), False),
    "DateLessThanEquals": (_date(le), False),
    "DateGreaterThan": (_date(gt), False),
    "DateGreaterThanEquals": (_date(ge), False),
    "Bool": (_bool, False),
    "BinaryEquals": (_binary, False),
    "IpAddress": (_address, False),
    "NotIpAddress": (_address, True),
    "Null": (_bool, False),
}
