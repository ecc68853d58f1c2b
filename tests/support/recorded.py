"""Answers of AWS that somebody recorded, as cases that the lab's answers are held against.

A case says in its own words in what situation AWS was asked what, and what it answered. Its source
is named in words: the project that recorded it, the test or page, the date.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.document import recorded

__all__ = ["Case", "Refused", "Source", "cases", "check"]

MATERIALS_SINCE = date(2025, 6, 6)
"""Since when KMS names the key material in its answers (AWS News Blog, "AWS KMS on-demand key
rotation for imported keys"): a recording from before cannot have these members."""
OF_MATERIALS = frozenset({
    "CurrentKeyMaterialId", "DestinationKeyMaterialId", "KeyMaterialId", "SourceKeyMaterialId",
})  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Who recorded an answer, where, when (of an undated one: when it was read)."""

    project: str
    where: str
    """The test or page."""
    on: date


@dataclass(frozen=True)
class Refused:
    """An error of AWS. In `message`, {names} are attributes of the situation, and … is what differs
    each time; None: the source has the code only."""

    code: str
    message: str | None = None


@dataclass(frozen=True)
class Case:
    """What AWS answered in one situation."""

    operation: str
    """service:Operation."""
    situation: str
    source: Source
    ask: Callable[[Any], Any]
    """Brings the situation about and makes the call; gets what the test module calls a situation.
    """
    answer: Refused | dict[str, Any] | list[Any]
    """Members and their values: a text with {names}, a type, a pattern, or the value itself."""

    @property
    def id(self) -> str:
        """The id of the test."""
        return f"{self.operation.partition(':')[2]}: {self.situation}"


def cases(table: Iterable[Case]) -> pytest.MarkDecorator:
    """One test for each case, marked so that docs/lab.md tells of it."""
    found = [pytest.param(case, id=case.id, marks=recorded(case.operation)) for case in table]
    return pytest.mark.parametrize("case", found)


def check(case: Case, situation: Any) -> None:
    """Asks the lab, and asserts that it answers as AWS did."""
    if isinstance(case.answer, Refused):
        with pytest.raises(ClientError) as caught:
            case.ask(situation)
        error = caught.value.response["Error"]
        assert error["Code"] == case.answer.code, error
        if case.answer.message is not None:
            wanted = re.escape(case.answer.message.format(**vars(situation)))
            assert re.fullmatch(wanted.replace("…", ".*"), error["Message"]), error["Message"]
        return
    _compare(case.answer, case.ask(situation), case, situation, "answer")


def _compare(wanted: Any, found: Any, case: Case, situation: Any, path: str) -> None:
    if isinstance(wanted, dict):
        ignored = {"ResponseMetadata"}
        if case.source.on < MATERIALS_SINCE:
            ignored |= OF_MATERIALS
        assert sorted(set(found) - ignored) == sorted(wanted), path
        for name, each in wanted.items():
            _compare(each, found[name], case, situation, f"{path}.{name}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), path
        for number, each in enumerate(wanted):
            _compare(each, found[number], case, situation, f"{path}.{number}")
    elif isinstance(wanted, type):
        assert isinstance(found, wanted), path
    elif isinstance(wanted, re.Pattern):
        assert wanted.fullmatch(found), (path, found)
    elif isinstance(wanted, str):
        assert found == wanted.format(**vars(situation)), path
    else:
        assert found == wanted, path
