"""What the tests make, held against the published schemas."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.checkers import CHECKERS
from chaosaws_kms_ext.history.aws_calls import AWS_CALLS
from chaosaws_kms_ext.history.operations_file import PREFIX, SUFFIX, read_batches
from chaosaws_kms_ext.report import summary as summaries
from chaosaws_kms_ext.report.schemas import SCHEMAS

# It compiles the grammar of IRIs, which takes a second, and no schema of ours has one.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
jsonschema: Any = import_module("jsonschema")

__all__ = ["check_every_summary", "invalid", "problems", "wrong_with"]

ROWS = 100
"""Operations of each file that are looked at: a validator takes one at a time."""


def check_every_summary() -> None:
    """From now on every summary that this process makes is held against the schema."""
    judge = summaries.judge

    @functools.wraps(judge)
    def checked(*arguments: Any, **named: Any) -> summaries.Judgement:
        judgement = judge(*arguments, **named)
        found = problems("summary", json.loads(judgement.as_text()))
        assert not found, found
        return judgement

    summaries.judge = checked


def problems(name: str, instance: Any) -> list[str]:
    """What is wrong with it by the schema of this name, each with its place."""
    found = _validator(name, tuple(CHECKERS)).iter_errors(instance)
    return [f"{each.json_path}: {each.message:.300}" for each in found]


@functools.cache
def _validator(name: str, checkers: tuple[str, ...]) -> Any:
    """By the schema as it is with these checkers: tests have some of their own."""
    return jsonschema.Draft202012Validator(SCHEMAS[f"{name}.schema.json"]())


def invalid(reports: Path) -> list[str]:
    """What is wrong with the runs that have ended in a folder of reports, file by file.

    A summary without records is one that a test has made up.
    """
    return [
        f"{path.parent}: {why}"
        for path in sorted(reports.glob("*/*/summary.json"))
        if not path.parent.is_symlink() and (path.parent / "history" / "run.json").exists()
        for why in wrong_with(path.parent)
    ]


def wrong_with(folder: Path) -> Iterator[str]:
    """What is wrong with the files of one run."""
    history = folder / "history"
    yield from problems("summary", json.loads((folder / "summary.json").read_bytes()))
    yield from problems("run", json.loads((history / "run.json").read_bytes()))
    yield from _wrong_rows("event", _lines(history / "events.jsonl"))
    yield from _wrong_rows("aws-call", _lines(history / AWS_CALLS))
    for path in history.glob(f"{PREFIX}*{SUFFIX}"):
        yield from _wrong_rows("operation", islice(_rows(path), ROWS))


def _wrong_rows(name: str, rows: Iterable[Any]) -> Iterator[str]:
    """What is wrong with any of them; those that differ only in how large a number is are alike."""
    checkers = tuple(CHECKERS)
    for row in rows:
        alike = (name, checkers, json.dumps(_without_sizes(row)))
        if alike not in _RIGHT:
            found = problems(name, row)
            yield from found
            if not found:
                _RIGHT.add(alike)


_RIGHT: set[tuple[str, tuple[str, ...], str]] = set()
"""The rows that were right, without the sizes of their numbers."""


def _without_sizes(value: Any) -> Any:
    """With each number as what a schema can ask of it: its type, or, of a version, itself."""
    if isinstance(value, dict):
        return {name: _without_sizes(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_sizes(each) for each in value]
    if isinstance(value, float):
        return ["float", value > 0, value < 0, value.is_integer()]
    if isinstance(value, int) and abs(value) > SMALL:
        return ["int", value > 0]
    return value


SMALL = 9
"""Numbers up to this may be versions."""


def _lines(path: Path) -> Iterator[Any]:
    return map(json.loads, path.read_text().splitlines())


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for batch in read_batches(path)[1]:
        columns = [its.to_list() for its in batch.columns.values()]
        yield from (
            dict(zip(batch.columns, row, strict=True)) for row in zip(*columns, strict=True)
        )
