"""Reads a history back."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.history.operations_file import PREFIX, SUFFIX, HistoryDamaged
from chaosaws_kms_ext.history.read_recorded import read_recorded
from chaosaws_kms_ext.history.records import Anchor, Event
from chaosaws_kms_ext.history.rows_file import ROWS, read_rows

__all__ = ["anchor_of", "event_of", "read_events", "read_history", "read_what_is_there"]

EVENTS_SCHEMA = 1


def read_events(folder: Path) -> tuple[Anchor, list[Event]]:
    """The events in a run's `history/` folder; raises HistoryDamaged."""
    path = folder / "events.jsonl"
    with _named(path):
        lines = _whole_lines(path)
        if not lines:
            return Anchor(0, 0), []
        return anchor_of(lines[0]), [event_of(line) for line in lines[1:]]


def _whole_lines(path: Path) -> list[bytes]:
    """But for a last one that is torn off; none where there is no file."""
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


def anchor_of(line: bytes) -> Anchor:
    """The first line of a file of events; raises ValueError, TypeError and KeyError."""
    head = json.loads(line)
    if head["schema"] != EVENTS_SCHEMA:
        raise ValueError(f"it has the schema {head['schema']!r:.20}, not {EVENTS_SCHEMA}")
    return Anchor(**head["anchor"])


def event_of(line: bytes) -> Event:
    """Any other line; raises the same."""
    event = Event(**json.loads(line))
    well = isinstance(event.name, str) and isinstance(event.details, dict)
    if not well or type(event.at) is not int or abs(event.at) >= 2**63:
        raise ValueError(f"not an event: {line[:80]!r}")
    return event


def read_history(folder: Path) -> History:
    """Everything in a run's `history/` folder; raises HistoryDamaged.

    The torn end of a file (of a process that was killed while it wrote) is left out; any other
    damage is an error: a history with holes must not be judged.
    """
    anchor, events = read_events(folder)
    recorded = read_recorded(sorted(folder.glob(f"{PREFIX}*{SUFFIX}")))
    found = sorted(folder.glob(f"{ROWS}*{SUFFIX}"))
    rows = {path.stem.removeprefix(ROWS): read_rows(path) for path in found}
    return History(recorded, events, rows, anchor)


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
    return History({}, events, {}, anchor), damage


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """What is wrong inside is wrong with this file."""
    try:
        yield
    except (ValueError, TypeError, KeyError, RecursionError) as problem:
        raise HistoryDamaged(f"{path.name} is damaged: {problem}") from problem
