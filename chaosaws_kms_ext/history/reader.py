"""Reads a history back, whole or as it grows."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.history.records import Anchor, Event, History, Operation, WrittenRow
from chaosaws_kms_ext.history.writer import SCHEMA

__all__ = ["HistoryDamaged", "Tail", "read_events", "read_history", "read_what_is_there"]


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
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise HistoryDamaged(f"not the head of a history: {line[:80]!r}") from problem
    if not known:
        raise HistoryDamaged(f"history schema {header['schema']} is not known: this reads {SCHEMA}")
    return header


def read_events(folder: Path) -> tuple[Anchor, list[Event]]:
    """The events in a run's `history/` folder; raises HistoryDamaged."""
    path = folder / "events.jsonl"
    lines = Tail(path).lines()
    if not lines:
        return Anchor(0, 0), []
    with _named(path):
        anchor = Anchor(**read_header(lines[0])["anchor"])
        return anchor, [_event(line) for line in lines[1:]]


def _event(line: bytes) -> Event:
    event = Event(**json.loads(line))
    well = isinstance(event.name, str) and isinstance(event.details, dict)
    if not well or type(event.at) is not int or abs(event.at) >= 2**63:
        raise ValueError(f"not an event: {line[:80]!r}")
    return event


def read_history(folder: Path) -> History:
    """Everything in a run's `history/` folder; raises HistoryDamaged.

    A torn last line (of a process that was killed while it wrote) is left out; any other damage is
    an error: a history with holes must not be judged.
    """
    anchor, events = read_events(folder)
    operations: list[Operation] = []
    rows: dict[str, frozenset[WrittenRow]] = {}
    rates: dict[str, float] = {}
    for path in sorted(set(folder.glob("*.jsonl")) - {folder / "events.jsonl"}):
        lines = Tail(path).lines()
        with _named(path):
            if path.name.startswith("rows-"):
                load = path.stem.removeprefix("rows-")
                rows[load] = frozenset(WrittenRow(*json.loads(line)) for line in lines)
            elif lines:
                header = read_header(lines[0])
                rates[header["load"]] = header["rate"]
                operations += operations_of(header, lines[1:])
    return History(operations, events, rows, rates, anchor)


def read_what_is_there(folder: Path) -> tuple[History, list[str]]:
    """The history in a folder, and what is wrong with it, each in a sentence; raises nothing.

    Where any record of a load is damaged, none is taken: a history with holes is not judged.
    """
    try:
        return read_history(folder), []
    except (HistoryDamaged, OSError) as problem:
        damage = [f"what was recorded of the load cannot be read: {problem}"]
    anchor, events = Anchor(0, 0), list[Event]()
    try:
        anchor, events = read_events(folder)
    except (HistoryDamaged, OSError) as problem:
        damage = [f"what was recorded of the run cannot be read: {problem}"]
    return History([], events, {}, {}, anchor), damage


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """What is wrong inside is wrong with this file."""
    try:
        yield
    except (ValueError, TypeError, KeyError, RecursionError) as problem:
        raise HistoryDamaged(f"{path.name} is damaged: {problem}") from problem
