"""The schema of each kind of type: what it takes, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import jsonschema
import pytest

from chaosaws_kms_ext.history import Utc
from chaosaws_kms_ext.json_schema import Text, schema_of


class Colour(StrEnum):
    RED = "red"


class Whole(TypedDict):
    name: str
    more: NotRequired[int]


class Partly(TypedDict, total=False):
    name: str


class Pair(NamedTuple):
    one: int
    other: float


@dataclass
class Point:
    x: int
    y: int | None


CASES = [
    (int, [0, 7], [1.5, True, "1", None]),
    (float, [0, 1.5], [True, "1", None]),
    (bool, [True], [1, None]),
    (str, [""], [1, None]),
    (float | None, [1.5, None], ["", False]),
    (Any, [1, None, {}], []),
    (Literal["a", 1], ["a", 1], ["b", None]),
    (Literal["a"] | None, ["a", None], ["b"]),
    (Colour, ["red"], ["blue"]),
    (list[int], [[], [1]], [[None], {}, "1"]),
    (list[int] | None, [None, [1]], [[None]]),
    (tuple[int, str], [[1, "a"]], [[1], ["a", 1], [1, "a", 2]]),
    (tuple[str, ...], [[], ["a", "b"]], [["a", 1]]),
    (dict[str, int], [{}, {"a": 1}], [{"a": "1"}, []]),
    (dict[Literal["a"], int], [{}, {"a": 1}], [{"b": 1}]),
    (Whole, [{"name": "x"}, {"name": "x", "more": 1}], [{}, {"name": "x", "other": 1}]),
    (Whole | None, [None, {"name": "x"}], [{"name": None}]),
    (Partly, [{}, {"name": "x"}], [{"other": 1}]),
    (Whole | int | None, [None, 1, {"name": "x"}], [1.5, {}]),
    (Pair, [{"one": 1, "other": 1.5}], [{"one": 1}, [1, 1.5]]),
    (Point, [{"x": 1, "y": None}], [{"x": 1}, {"x": None, "y": 1}]),
    (Annotated[str, Text("^a$", "x")], ["a"], ["b", 1]),
    (Utc | None, [None, "2026-11-23T10:00:00.000Z"], ["2026-11-23", "2026-11-23T10:00:00Z"]),
]


@pytest.mark.parametrize(("kind", "right", "wrong"), CASES, ids=lambda each: str(each)[:40])
def test_it_takes_what_the_type_says_and_nothing_else(kind, right, wrong):
    schema = schema_of(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for instance in right:
        validator.validate(instance)
    for instance in wrong:
        assert not validator.is_valid(instance), instance


@pytest.mark.parametrize("kind", [set[int], object, complex, list])
def test_a_type_that_has_none_is_an_error(kind):
    with pytest.raises(TypeError, match="has no JSON schema here"):
        schema_of(kind)
