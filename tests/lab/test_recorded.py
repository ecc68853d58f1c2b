"""How a case is held against the lab: what does not agree is noticed."""

from __future__ import annotations

import re
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.document import Shown, recorded
from tests.support.recorded import Case, Refused, Source, cases, check

OLD, NEW = date(2024, 1, 1), date(2026, 1, 1)
SITUATION = SimpleNamespace(arn="arn:1")


def case(answer: Any, says: Any, on: date = NEW) -> Case:
    """A case whose lab answers `says`, or is refused with that code and message."""

    def ask(situation: Any) -> Any:
        if isinstance(says, Refused):
            error = {"Error": {"Code": says.code, "Message": says.message or ""}}
            raise ClientError(error, "DescribeKey")  # type: ignore[arg-type]
        return says

    return Case("kms:DescribeKey", "a key", Source("somebody", "test_it", on), ask, answer)


AGREE = [
    ({"Arn": "{arn}", "Tags": [1]}, {"Arn": "arn:1", "Tags": [1], "ResponseMetadata": {}}, NEW),
    ({"Id": re.compile("[0-9a-f]+"), "At": date}, {"Id": "12ab", "At": NEW}, NEW),
    ({"A": 1}, {"A": 1, "KeyMaterialId": "x"}, OLD),
    (Refused("Gone", "{arn} is … gone"), Refused("Gone", "arn:1 is (really) gone"), NEW),
    (Refused("Gone"), Refused("Gone", "whatever"), NEW),
]
DISAGREE = [
    ({"A": 1}, {"A": 2}, NEW),
    ({"A": 1}, {"A": 1, "B": 2}, NEW),
    ({"A": 1, "B": 2}, {"A": 1}, NEW),
    ({"A": 1}, {"A": 1, "KeyMaterialId": "x"}, NEW),
    ({"A": [1]}, {"A": [1, 2]}, NEW),
    ({"A": {"B": "{arn}"}}, {"A": {"B": "arn:2"}}, NEW),
    ({"A": int}, {"A": "1"}, NEW),
    ({"A": re.compile("1")}, {"A": "12"}, NEW),
    (Refused("Gone"), Refused("Other"), NEW),
    (Refused("Gone", "a.b"), Refused("Gone", "axb"), NEW),
    (Refused("Gone", "a"), Refused("Gone", "ab"), NEW),
]


@pytest.mark.parametrize(("answer", "says", "on"), AGREE)
def test_what_agrees_passes(answer: Any, says: Any, on: date) -> None:
    check(case(answer, says, on), SITUATION)


@pytest.mark.parametrize(("answer", "says", "on"), DISAGREE)
def test_what_does_not_agree_fails(answer: Any, says: Any, on: date) -> None:
    with pytest.raises(AssertionError):
        check(case(answer, says, on), SITUATION)


def test_an_answer_in_place_of_an_error_fails() -> None:
    with pytest.raises(pytest.fail.Exception):
        check(case(Refused("Gone"), {}), SITUATION)


def test_each_case_is_a_test_of_its_own_and_marked() -> None:
    (made,) = cases([case({}, {})]).args[1]
    assert made.id == "DescribeKey: a key"
    assert made.marks[0].mark == recorded("kms:DescribeKey").mark


@pytest.mark.parametrize(
    ("marks", "against"),
    [
        ([pytest.mark.shows("kms:A")], "documents"),
        ([recorded("kms:A"), recorded("kms:A")], "recorded answers (2)"),
        ([recorded("kms:A"), pytest.mark.shows("kms:A")], "recorded answers (1), documents"),
        ([pytest.mark.deviates("kms:A", "how")], "neither"),
    ],
)
def test_the_page_says_what_an_operation_was_held_against(marks: Any, against: str) -> None:
    shown = Shown()
    for each in marks:
        shown.add(each.mark, "test_it")
    assert shown.held_against == against
