"""JSON Schema (draft 2020-12) of a Python type: what its values look like once they are written."""

from __future__ import annotations

import enum
import types
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

__all__ = ["DRAFT", "Text", "object_of", "schema_of"]

DRAFT = "https://json-schema.org/draft/2020-12/schema"

PLAIN: Mapping[Any, str] = {
    type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string",
}  # fmt: skip


class Text(NamedTuple):
    """What else is known of a text: `Annotated[str, Text(…)]`."""

    pattern: str
    """A regular expression that it matches."""
    format: str
    """One of JSON Schema's own, as `date-time`."""


def schema_of(kind: Any) -> dict[str, Any]:
    """The schema of a type: plain ones, literals, enumerations, unions, lists, tuples, mappings,
    and classes with fields (TypedDict, NamedTuple, dataclass).

    Fields that a class does not have are refused. Raises TypeError for any other type.
    """
    if kind is Any:
        return {}
    if kind in PLAIN:
        return {"type": PLAIN[kind]}
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return {**schema_of(arguments[0]), **arguments[1]._asdict()}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return _any_of([schema_of(each) for each in arguments])
    if origin in (list, Sequence):
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin is tuple:
        return _tuple(arguments)
    if origin in (dict, Mapping):
        return _mapping(*arguments)
    if isinstance(kind, type):
        return _class(kind)
    raise TypeError(f"{kind!r} has no JSON schema here")


def object_of(
    properties: Mapping[str, Any], optional: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The schema of an object with these fields and no others; all but `optional` are there."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _class(kind: Any) -> dict[str, Any]:
    if issubclass(kind, enum.Enum):
        return {"enum": [each.value for each in kind]}
    named = issubclass(kind, tuple) and hasattr(kind, "_fields")
    if not (is_typeddict(kind) or is_dataclass(kind) or named):
        raise TypeError(f"{kind!r} has no JSON schema here")
    hints = get_type_hints(kind, include_extras=True)
    # Where annotations are text, a class does not know itself which of them say NotRequired.
    not_required = {name: get_args(its)[0] for name, its in hints.items() if _may_be_absent(its)}
    optional = {*getattr(kind, "__optional_keys__", ()), *not_required}
    fields = {name: schema_of(its) for name, its in {**hints, **not_required}.items()}
    return object_of(fields, frozenset(optional))


def _may_be_absent(kind: Any) -> bool:
    return get_origin(kind) is NotRequired


def _tuple(arguments: Sequence[Any]) -> dict[str, Any]:
    if arguments[-1] is Ellipsis:
        return {"type": "array", "items": schema_of(arguments[0])}
    number = len(arguments)
    return {
        "type": "array",
        "prefixItems": [schema_of(each) for each in arguments],
        "items": False,
        "minItems": number,
        "maxItems": number,
    }


def _mapping(key: Any, value: Any) -> dict[str, Any]:
    names = {} if key is str else {"propertyNames": schema_of(key)}
    return {"type": "object", **names, "additionalProperties": schema_of(value)}


def _any_of(schemas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One of them; with plain types as short as JSON Schema can say it."""
    *others, last = schemas
    if all(set(each) == {"type"} for each in schemas):
        return {"type": [each["type"] for each in schemas]}
    if len(schemas) == 2 and last == {"type": "null"} and isinstance(others[0].get("type"), str):
        return {**others[0], "type": [others[0]["type"], "null"]}
    return {"anyOf": list(schemas)}
