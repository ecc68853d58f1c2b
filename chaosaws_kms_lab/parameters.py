"""Checks a call's parameters against botocore's model, as a service does against its own.

An SDK checks before it sends; a request without an SDK is checked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.service_models import model

__all__ = ["check"]

WRONG = {
    "cloudformation": "ValidationError",
    "iam": "ValidationError",
    "kms": "ValidationException",
    "pi": "InvalidArgumentException",
    "rds": "InvalidParameterValue",
    "scheduler": "ValidationException",
}
"""Service → what it answers ("Common errors" of its API reference)."""

# Characters that no answer can have, in JSON and in XML (XML 1.0, "Characters").
JSON = re.compile("[\ud800-\udfff]")
XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
UNWRITABLE = {
    "cloudformation": XML, "iam": XML, "kms": JSON, "pi": JSON, "rds": XML, "scheduler": JSON,
}  # fmt: skip

TYPES: dict[str, type | tuple[type, ...]] = {
    "blob": bytes,
    "boolean": bool,
    "double": (int, float),
    "integer": int,
    "list": list,
    "long": int,
    "map": dict,
    "string": str,
    "structure": dict,
    "timestamp": datetime,
}


def check(call: Call) -> None:
    """Raises AwsError for a parameter that is missing, too short, too long, or of a wrong type."""
    if any(UNWRITABLE[call.service].search(text) for text in _texts(call.params)):
        raise AwsError(WRONG[call.service], "A parameter has characters that no answer can have.")
    broken = list(_broken(_input_shape(call.service, call.operation), call.params, ""))
    if broken:
        number = f"{len(broken)} validation error{'s' if len(broken) > 1 else ''} detected: "
        raise AwsError(WRONG[call.service], number + "; ".join(broken))


def _texts(value: Any) -> Iterator[str]:
    """Every string in a parameter."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield str(name)
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


@cache
def _input_shape(service: str, operation: str) -> Any:
    return model(service).operation_model(operation).input_shape


def _broken(shape: Any, value: Any, path: str) -> Iterator[str]:
    if not _is_of(shape, value):
        yield _sentence(str(value), path, f"Member must be a {shape.type_name}")
    elif shape.type_name == "structure":
        for name in shape.required_members:
            if value.get(name) is None:
                yield _sentence("null", _join(path, name), "Member must not be null")
        for name, member in shape.members.items():
            if value.get(name) is not None:
                yield from _broken(member, value[name], _join(path, name))
    elif shape.type_name == "map":
        for name, each in value.items():
            yield from _broken(shape.key, name, f"{path}.key")
            yield from _broken(shape.value, each, f"{path}.value")
    elif shape.type_name == "list":
        yield from _outside(shape, len(value), str(value), path)
        for number, each in enumerate(value, 1):
            yield from _broken(shape.member, each, f"{path}.{number}.member")
    else:
        yield from _plain(shape, value, path)


def _is_of(shape: Any, value: Any) -> bool:
    return isinstance(value, TYPES[shape.type_name])


def _plain(shape: Any, value: Any, path: str) -> Iterator[str]:
    rules = shape.metadata
    if isinstance(value, int) and not isinstance(value, bool):
        yield from _outside(shape, value, str(value), path)
    elif isinstance(value, str | bytes):
        shown = _shown(shape, value)
        yield from _outside(shape, len(value), shown, path)
        if "enum" in rules and value not in rules["enum"]:
            choices = ", ".join(rules["enum"])
            yield _sentence(shown, path, f"Member must satisfy enum value set: [{choices}]")
        if "pattern" in rules and not re.fullmatch(rules["pattern"], str(value)):
            must = f"Member must satisfy regular expression pattern: {rules['pattern']}"
            yield _sentence(shown, path, must)


def _shown(shape: Any, value: str | bytes) -> str | None:
    """The value as a message has it; None: it is a secret, and no message has it."""
    if shape.metadata.get("sensitive"):
        return None
    return value if isinstance(value, str) else "java.nio.HeapByteBuffer"


def _outside(shape: Any, size: int, shown: str | None, path: str) -> Iterator[str]:
    what = "value" if shape.type_name in ("integer", "long") else "length"
    if size < shape.metadata.get("min", size):
        must = f"Member must have {what} greater than or equal to {shape.metadata['min']}"
        yield _sentence(shown, path, must)
    if size > shape.metadata.get("max", size):
        must = f"Member must have {what} less than or equal to {shape.metadata['max']}"
        yield _sentence(shown, path, must)


def _sentence(shown: str | None, path: str, must: str) -> str:
    value = "" if shown is None else " null" if shown == "null" else f" '{shown}'"
    return f"Value{value} at '{path}' failed to satisfy constraint: {must}"


def _join(path: str, name: str) -> str:
    lower = name[0].lower() + name[1:]
    return f"{path}.{lower}" if path else lower
