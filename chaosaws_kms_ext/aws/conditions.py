"""Do the conditions of a policy hold, as far as that can be told?

IAM User Guide, "IAM JSON policy elements: Condition operators" and "Single-valued vs. multivalued
context keys". Each answer is yes, no, or None: a condition may ask for what only the request itself
would show (where it comes from, when, with which tags).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

__all__ = [
    "CONTEXT",
    "CONTEXT_KEYS",
    "Known",
    "Told",
    "all_of",
    "any_of",
    "condition_holds",
    "listed",
    "matches",
    "opposite",
]

Told = bool | None
"""None: it cannot be told."""
Known = Mapping[str, tuple[str, ...]]
"""Condition key, in lower case → its values; none: it is surely not in the request. What is not in
here is not known."""

CONTEXT, CONTEXT_KEYS = "kms:encryptioncontext:", "kms:encryptioncontextkeys"


def condition_holds(condition: Any, known: Known, unknown: set[str]) -> Told:
    """Whether all of it holds; adds to `unknown` the condition keys for which it cannot be told."""
    if not isinstance(condition, Mapping):
        return None
    told: list[Told] = []
    for operator, block in condition.items():
        for key, values in block.items() if isinstance(block, Mapping) else [("", None)]:
            held = _holds(str(operator), _values(key, known), listed(values))
            told.append(held)
            if held is None:
                unknown.add(str(key) or str(operator))
    return all_of(told)


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
    fits = [any_of(test(pattern, value) for pattern in wanted) for value in values]
    if negated:
        fits = [opposite(each) for each in fits]
    return any_of(fits) if for_any else all_of(fits)


def _equals(pattern: str, value: str) -> Told:
    return None if "${" in pattern else pattern == value


def _equals_ignoring_case(pattern: str, value: str) -> Told:
    return _equals(pattern.casefold(), value.casefold())


def _like(pattern: str, value: str) -> Told:
    return matches(pattern, value)


def _arn(pattern: str, value: str) -> Told:
    """Each of an ARN's six parts by itself, with wildcards: a * ends at the next colon."""
    if "${" in pattern:
        return None
    parts, wanted = value.split(":", 5), pattern.split(":", 5)
    return len(parts) == len(wanted) == 6 and all_of(
        matches(w, p) for w, p in zip(wanted, parts, strict=True)
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


def matches(pattern: Any, value: str, *, ignore_case: bool = False) -> Told:
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


# Three-valued logic


def all_of(each: Iterable[Told]) -> Told:
    """Whether every one holds: one that does not decides it, whatever cannot be told."""
    told = set(each)
    return False if False in told else None if None in told else True


def any_of(each: Iterable[Told]) -> Told:
    """Whether one of them holds: one that does decides it, whatever cannot be told."""
    told = set(each)
    return True if True in told else None if None in told else False


def opposite(told: Told) -> Told:
    """Of what cannot be told neither can this."""
    return None if told is None else not told


def listed(value: Any) -> list[Any]:
    """What a policy may write as one value or as a list of them."""
    return list(value) if isinstance(value, list | tuple) else [value]
