"""Writes a history's files: whole lines only, so that a crash leaves what came before readable."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from chaosaws_kms_ext.files import open_private, write_whole
from chaosaws_kms_ext.history.records import Operation, WrittenRow

__all__ = ["SCHEMA", "OperationWriter", "write_rows"]

SCHEMA = 1


class OperationWriter:
    """The operations of one load in one process."""

    def __init__(self, folder: Path, load: str, rate: float) -> None:
        header = {
            "schema": SCHEMA,
            "load": load,
            "rate": rate,
            "columns": list(Operation._fields[1:]),
        }
        self._file = open_private(folder / f"{load}-{os.getpid()}.jsonl", "a")
        self._file.write(json.dumps(header) + "\n")
        self._file.flush()

    def write(self, operations: Iterable[Operation]) -> None:
        """Appends `operations`; when this returns they survive our death."""
        self._file.write("".join(map(_line, operations)))
        self._file.flush()


def _line(o: Operation) -> str:
    # json.dumps would take three times as long, thousands of times a second.
    sent = "null" if o.sent is None else o.sent
    state = "null" if o.sqlstate is None else f'"{o.sqlstate}"'
    return f'[{o.writer},{o.sequence},"{o.kind}",{o.due},{sent},{o.done},"{o.outcome}",{state}]\n'


def write_rows(folder: Path, load: str, rows: Iterable[WrittenRow]) -> None:
    """The rows that the load's writes left, in one step: the file is there whole or not at all."""
    text = "".join(f"[{row.writer},{row.sequence}]\n" for row in rows)
    write_whole(folder / f"rows-{load}.jsonl", text)
