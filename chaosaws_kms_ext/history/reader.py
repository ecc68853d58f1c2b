"""Reads a history back, whole or as it grows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.history.records import Anchor, Event, History, Operation, WrittenRow
from chaosaws_kms_ext.history.writer import SCHEMA

__all__ = ["HistoryDamaged", "Tail", "read_history"]


class HistoryDamaged(PlainError):
    """A file is no history, or is broken elsewhere than in its last line."""


class Tail:
    """A growing file, read line by line; a last line that is not whole yet waits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._half = b""

    def lines(self) -> list[bytes]:
        """The whole lines that came since the last call; none while there is no file."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                read = file.read()
        except FileNotFoundError:
            return []
        self._offset += len(read)
        *whole, self._half = (self._half + read).split(b"\n")
        return whole


def operations_of(header: dict[str, Any], lines: list[bytes]) -> Iterator[Operation]:
    """The operations that lines under this header hold."""
    load = header["load"]
    for line in lines:
        yield Operation(load, *json.loads(line))


def read_header(line: bytes) -> dict[str, Any]:
    """What the first line of a file says; raises HistoryDamaged."""
    try:
        header: dict[str, Any] = json.loads(line)
        known = header["schema"] == SCHEMA
    except (ValueError, KeyError, TypeError) as problem:
        raise HistoryDamaged(f"not the head of a history: {line[:80]!r}") from problem
    if not known:
        raise HistoryDamaged(f"history schema {header['schema']} is not known: this reads {SCHEMA}")
    return header


def read_history(folder: Path) -> History:
    """Everything in a run's `history/` folder; raises HistoryDamaged.

    A torn last line (of a process that was killed while it wrote) is left out; any other damage is
    an error: a history with holes must not be judged.
    """
    operations: list[Operation] = []
    events: list[Event] = []
    rows: dict[str, frozenset[WrittenRow]] = {}
    rates: dict[str, float] = {}
    anchor = Anchor(0, 0)
    for path in sorted(folder.glob("*.jsonl")):
        lines = Tail(path).lines()
        try:
            if path.name.startswith("rows-"):
                load = path.stem.removeprefix("rows-")
                rows[load] = frozenset(WrittenRow(*json.loads(line)) for line in lines)
                continue
            if not lines:
                continue
            header = read_header(lines[0])
            if path.name == "events.jsonl":
                anchor = Anchor(**header["anchor"])
                events = [Event(**json.loads(line)) for line in lines[1:]]
            else:
                rates[header["load"]] = header["rate"]
                operations += operations_of(header, lines[1:])
        except (ValueError, TypeError, KeyError) as problem:
            raise HistoryDamaged(f"{path} is damaged: {problem}") from problem
    return History(operations, events, rows, rates, anchor)
