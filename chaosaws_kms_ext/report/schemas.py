"""JSON schemas of what a run leaves, made from the types in the code: `docs/schemas/`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from chaosaws_kms_ext.checkers import CHECKERS, Field
from chaosaws_kms_ext.history import Anchor, Conditions, rows_file
from chaosaws_kms_ext.history import conditions as conditions_file
from chaosaws_kms_ext.history.arrow_schema import Field as Column
from chaosaws_kms_ext.history.arrow_schema import Kind
from chaosaws_kms_ext.history.aws_calls import AwsCall
from chaosaws_kms_ext.history.canaries import CanaryTry
from chaosaws_kms_ext.history.columns import OUTCOMES
from chaosaws_kms_ext.history.earlier import EarlierJson
from chaosaws_kms_ext.history.event_table import DETAILS
from chaosaws_kms_ext.history.operations_file import COLUMNS
from chaosaws_kms_ext.history.reader import EVENTS_SCHEMA
from chaosaws_kms_ext.history.records import KINDS
from chaosaws_kms_ext.json_schema import DRAFT, object_of, schema_of
from chaosaws_kms_ext.report.figures import FIGURES, Number
from chaosaws_kms_ext.report.plan_summary import PlanSummary
from chaosaws_kms_ext.report.summary import HEADER
from chaosaws_kms_ext.settings import Settings

__all__ = ["SCHEMAS"]

CHECKER_FAILED = r"^the checker \S+ (failed, its figures are not known|cannot be used): "
"""A reason after which the figures of a checker are null, or not there."""


def summary() -> dict[str, Any]:
    """Of `summary.json`."""
    found = [field for each in CHECKERS.values() for field in each.fields.items()]
    figures = dict(found)
    of_load = {name: field for name, field in found if field.of_load}
    properties = {name: _described(field) for name, field in HEADER.items()}
    properties["loads"]["additionalProperties"] = {"$ref": "#/$defs/load"}
    properties |= {name: {"$ref": f"#/$defs/{name}"} for name in figures}
    a_load = {name: {"$ref": f"#/$defs/{name}"} for name in of_load}
    defined = {name: _or_null(field) for name, field in figures.items()}
    known = _known(figures)
    known["properties"]["loads"] = {"additionalProperties": _known(of_load)}
    return _whole(
        "The summary of a run",
        {
            **object_of(properties, frozenset(figures)),
            "$defs": {"load": object_of(a_load, frozenset(of_load)), **defined},
            "$comment": "A checker that fails leaves its figures null, or out. Where no reason "
            "says that one did, `then` holds as well.",
            "if": {"properties": {"reasons": {"not": {"contains": {"pattern": CHECKER_FAILED}}}}},
            "then": known,
        },
    )


def plan() -> dict[str, Any]:
    """Of the `summary.json` of a plan."""
    schema = schema_of(PlanSummary)
    figures = {each.name: schema_of(Number | None) for each in FIGURES}
    schema["properties"]["items"]["items"]["properties"]["figures"] = object_of(figures)
    return _whole("The summary of a plan", schema)


def conditions() -> dict[str, Any]:
    """Of `history/run.json`."""
    its = schema_of(Conditions)
    its["properties"]["settings"] = settings()
    its["properties"]["earlier"] = schema_of(dict[str, EarlierJson])
    version = {"schema": {"const": conditions_file.SCHEMA}}
    return _whole(
        "The conditions of a run", object_of({**version, **its["properties"]}, frozenset())
    )


def settings() -> dict[str, Any]:
    """Of the settings in it."""
    choices = {name: (its, doc) for name, _, its, doc in Settings.documented()}
    found = schema_of(Settings)
    for each in fields(Settings):
        its, doc = choices[each.name]
        value = {"enum": list(its)} if its else found["properties"][each.name]
        found["properties"][each.name] = {"description": doc, **value}
    return found


def event() -> dict[str, Any]:
    """Of a line of `history/events.jsonl`: the first says how the clock is tied to UTC."""
    first = {"schema": {"const": EVENTS_SCHEMA}, "anchor": schema_of(Anchor)}
    lines = [
        object_of(
            {"at": {"type": "integer"}, "name": {"const": name}, "details": schema_of(details)}
        )
        for name, details in DETAILS.items()
    ]
    return _whole("A line of the events of a run", {"oneOf": [object_of(first), *lines]})


def aws_call() -> dict[str, Any]:
    """Of a line of `history/aws-calls.jsonl`."""
    return _whole("A call to AWS by a run", schema_of(AwsCall))


def canary_try() -> dict[str, Any]:
    """Of a line of `history/canaries.jsonl`."""
    return _whole("A try of a canary", schema_of(CanaryTry))


def operation() -> dict[str, Any]:
    """Of a row of `history/operations-….arrows`."""
    return _row("An operation of a load", COLUMNS, kind=KINDS, outcome=OUTCOMES)


def row() -> dict[str, Any]:
    """Of a row of `history/rows-….arrows`."""
    return _row("A row that the writes of a load left", rows_file.COLUMNS)


SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "summary.schema.json": summary,
    "plan.schema.json": plan,
    "run.schema.json": conditions,
    "event.schema.json": event,
    "aws-call.schema.json": aws_call,
    "canary.schema.json": canary_try,
    "operation.schema.json": operation,
    "row.schema.json": row,
}
"""The name of each file, and what makes its content."""


# Internals


def _whole(title: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"$schema": DRAFT, "title": title, **schema}


def _described(field: Field) -> dict[str, Any]:
    return {"description": field.doc, **schema_of(field.kind)}


def _or_null(field: Field) -> dict[str, Any]:
    its = schema_of(field.kind)
    if not _nullable(its):
        its = schema_of(field.kind | None)
    return {"description": field.doc, **its}


def _known(figures: Mapping[str, Field]) -> dict[str, Any]:
    """Every figure is there, and null only where its type says so."""
    never = [name for name, field in figures.items() if not _nullable(schema_of(field.kind))]
    return {
        "required": list(figures),
        "properties": {name: {"not": {"type": "null"}} for name in never},
    }


def _nullable(schema: Mapping[str, Any]) -> bool:
    kinds = schema.get("type", ())
    return "null" in ([kinds] if isinstance(kinds, str) else kinds) or any(
        map(_nullable, schema.get("anyOf", ()))
    )


def _row(title: str, columns: Sequence[Column], **names: Any) -> dict[str, Any]:
    properties = {
        each.name: {"enum": list(names[each.name])} if each.name in names else _column(each)
        for each in columns
    }
    return _whole(title, object_of(properties))


def _column(column: Column) -> dict[str, Any]:
    numbers: Mapping[Kind, Any] = {Kind.BOOL: bool, Kind.INT32: int, Kind.INT64: int}
    kind = numbers.get(column.kind, str)
    return schema_of(kind | None if column.nullable else kind)
