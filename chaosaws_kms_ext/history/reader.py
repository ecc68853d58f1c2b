"""Reads a history back."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from chaosaws_kms_ext.history.aws_calls import AWS_CALLS, AwsCall, read_aws_calls
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
    return replace(_loads(folder), anchor=anchor, events=events, calls=_calls(folder))


def read_what_is_there(folder: Path) -> tuple[History, list[str]]:
    """The history in a folder, and what is wrong with it, each in a sentence; raises nothing.

    Where any record of a load is damaged, none is taken: a history with holes is not judged. Nor is
    a load where it is not known what happened meanwhile.
    """
    found, damage = NOTHING, []
    try:
        found = replace(found, calls=_calls(folder))
    except (HistoryDamaged, OSError) as problem:
        damage.append(f"what was recorded of the calls to AWS cannot be read: {problem}")
    what = "run"
    try:
        anchor, events = read_events(folder)
        found = replace(found, anchor=anchor, events=events)
        what = "load"
        loads = _loads(folder)
        found = replace(found, recorded=loads.recorded, rows=loads.rows)
    except (HistoryDamaged, OSError) as problem:
        damage.append(f"what was recorded of the {what} cannot be read: {problem}")
    return found, damage


NOTHING = History({}, [], {}, Anchor(0, 0))


def _loads(folder: Path) -> History:
    """What was recorded of the loads, alone."""
    recorded = read_recorded(sorted(folder.glob(f"{PREFIX}*{SUFFIX}")))
    found = sorted(folder.glob(f"{ROWS}*{SUFFIX}"))
    rows = {path.stem.removeprefix(ROWS): read_rows(path) for path in found}
    return replace(NOTHING, recorded=recorded, rows=rows)


def _calls(folder: Path) -> list[AwsCall]:
    with _named(folder / AWS_CALLS):
        return read_aws_calls(folder)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """What is wrong inside is wrong with this file."""
    try:
        yield
    except (ValueError, TypeError, KeyError, RecursionError) as problem:
        raise HistoryDamaged(f"{path.name} is damaged: {problem}") from problem
