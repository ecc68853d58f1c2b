"""What the tests make, held against the published schemas."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import jsonschema

from chaosaws_kms_ext.checkers import CHECKERS
from chaosaws_kms_ext.history.operations_file import COLUMNS, PREFIX, SUFFIX, read_batches
from chaosaws_kms_ext.report import summary as summaries
from chaosaws_kms_ext.report.schemas import SCHEMAS

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
def _validator(name: str, checkers: tuple[str, ...]) -> jsonschema.Draft202012Validator:
    """By the schema as it is with these checkers: tests have some of their own."""
    return jsonschema.Draft202012Validator(SCHEMAS[f"{name}.schema.json"]())


def invalid(reports: Path) -> list[str]:
    """What is wrong with the runs that have ended in a folder of reports, file by file."""
    return [
        f"{path.parent}: {why}"
        for path in sorted(reports.glob("*/*/summary.json"))
        if not path.parent.is_symlink()
        for why in wrong_with(path.parent)
    ]


def wrong_with(folder: Path) -> Iterator[str]:
    """What is wrong with the files of one run."""
    history = folder / "history"
    yield from problems("summary", json.loads((folder / "summary.json").read_bytes()))
    yield from problems("run", json.loads((history / "run.json").read_bytes()))
    for line in (history / "events.jsonl").read_text().splitlines():
        yield from problems("event", json.loads(line))
    names = [each.name for each in COLUMNS]
    for path in history.glob(f"{PREFIX}*{SUFFIX}"):
        for row in islice(_rows(path, names), ROWS):
            yield from problems("operation", row)


def _rows(path: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    for batch in read_batches(path)[1]:
        yield from batch.select(names).to_pylist()
