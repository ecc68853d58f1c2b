"""Reads a history back."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path

from chaosaws_kms_ext.history.aws_calls import AWS_CALLS, AwsCall, read_aws_calls
from chaosaws_kms_ext.history.canaries import CANARIES, CanaryTry, read_canaries
from chaosaws_kms_ext.history.columns import ReadBack, Recorded
from chaosaws_kms_ext.history.events import EventName
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.history.lines import whole_lines
from chaosaws_kms_ext.history.operations_file import PREFIX, SUFFIX, HistoryDamaged
from chaosaws_kms_ext.history.read_recorded import read_recorded
from chaosaws_kms_ext.history.records import Anchor, Event
from chaosaws_kms_ext.history.rows_file import ROWS, read_rows
from chaosaws_kms_ext.history.stream_end import is_closed

__all__ = [
    "NO_ANCHOR",
    "anchor_of",
    "event_of",
    "read_events",
    "read_events_that_are_there",
    "read_history",
    "read_what_is_there",
]

EVENTS_SCHEMA = 1
NO_ANCHOR = Anchor(0, 0)
"""Where no events are there: nothing says how the clock is tied to UTC."""


def read_events(folder: Path) -> tuple[Anchor, list[Event]]:
    """The events in a run's `history/` folder; raises HistoryDamaged."""
    path = folder / "events.jsonl"
    with _named(path):
        lines = whole_lines(path)
        if not lines:
            return NO_ANCHOR, []
        return anchor_of(lines[0]), [event_of(line) for line in lines[1:]]


def anchor_of(line: bytes) -> Anchor:
    """The first line of a file of events; raises ValueError, TypeError and KeyError."""
    head = json.loads(line)
    if head["schema"] != EVENTS_SCHEMA:
        raise ValueError(f"it has the schema {head['schema']!r:.20}, not {EVENTS_SCHEMA}")
    anchor = Anchor(**head["anchor"])
    if not all(type(each) is int and 0 <= each < 2**62 for each in anchor):
        raise ValueError(f"not an instant on two clocks: {line[:80]!r}")
    return anchor


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
    return History(recorded, events, rows, anchor, _calls(folder), _canary_tries(folder))


def read_what_is_there(folder: Path) -> tuple[History, list[str]]:
    """The history in a folder, and what is wrong with it, each in a sentence; raises nothing.

    Where any record of a load is damaged, none of that load is taken: a history with holes is not
    judged. Of damaged events those before the damage are.
    """
    anchor, events, damage = read_events_that_are_there(folder)
    recorded, rows = dict[str, Recorded](), dict[str, ReadBack]()
    damaged = set()
    for load, paths in _by_load(folder).items():
        try:
            its = read_recorded(paths)
            if set(its) - {load}:
                raise HistoryDamaged(f"{paths[0].name} is of another load than its name says")
            recorded |= its
        except (HistoryDamaged, OSError) as problem:
            damage.append(f"what was recorded of the load {load} cannot be read: {problem}")
            damaged.add(load)
    for path in sorted(folder.glob(f"{ROWS}*{SUFFIX}")):
        load = path.stem.removeprefix(ROWS)
        if load in damaged:
            continue
        try:
            rows[load] = read_rows(path)
        except (HistoryDamaged, OSError) as problem:
            damage.append(f"the rows of the load {load} cannot be read: {problem}")
    calls: list[AwsCall] = []
    try:
        calls = _calls(folder)
    except (HistoryDamaged, OSError) as problem:
        damage.append(f"what was recorded of the calls to AWS cannot be read: {problem}")
    tries: list[CanaryTry] = []
    try:
        tries = _canary_tries(folder)
    except (HistoryDamaged, OSError) as problem:
        damage.append(f"what was recorded of the canaries cannot be read: {problem}")
    history = History(recorded, events, rows, anchor, calls, tries)
    damage += _what_is_missing(folder, history, damaged)
    return history.until_its_end(), damage


def _calls(folder: Path) -> list[AwsCall]:
    with _named(folder / AWS_CALLS):
        return read_aws_calls(folder)


def _canary_tries(folder: Path) -> list[CanaryTry]:
    with _named(folder / CANARIES):
        return read_canaries(folder)


def _what_is_missing(folder: Path, history: History, known: Collection[str] = ()) -> Iterator[str]:
    """What its events say should be in a folder and is not, each in a sentence.

    `known`: loads of which something is said already.
    """
    ended = history.first(EventName.ENDED)
    made = ended.details.get("aws_calls") if ended else None
    if isinstance(made, int) and len(history.calls) < made:
        yield f"{AWS_CALLS} has {len(history.calls)} of the {made} calls that the run made"
    tried = ended.details.get("canary_tries") if ended else None
    if isinstance(tried, int) and len(history.canary_tries) < tried:
        yield f"{CANARIES} has {len(history.canary_tries)} of the {tried} tries of the canaries"
    for load in (str(each.details.get("load")) for each in history.all(EventName.LOAD_STEADY)):
        if load not in history.recorded and load not in known:
            yield f"no file has anything that was recorded of the load {load}"
    for load, its in history.recorded.items():
        if history.first(EventName.LOAD_DIED, load=load) or its.workers > 1:
            continue  # it says itself what is missing
        stopped = history.first(EventName.LOAD_STOPPED, load=load)
        if stopped is not None and stopped.details.get("ran", True):
            for path in _by_load(folder).get(load, ()):
                if not is_closed(path):
                    yield f"{path.name} has no end: what the load {load} recorded last is missing"


def _by_load(folder: Path) -> dict[str, list[Path]]:
    """The files of operations of each load, as their names say it."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob(f"{PREFIX}*{SUFFIX}")):
        load = path.stem.removeprefix(PREFIX).rpartition("-")[0]
        found.setdefault(load, []).append(path)
    return found


def read_events_that_are_there(folder: Path) -> tuple[Anchor, list[Event], list[str]]:
    """The events before the first that is damaged, and what is wrong."""
    path, events = folder / "events.jsonl", list[Event]()
    try:
        if not path.exists():
            return NO_ANCHOR, [], ["events.jsonl, which says what happened to the run, is missing"]
        with _named(path):
            lines = whole_lines(path)
            if not lines:
                return NO_ANCHOR, [], ["events.jsonl is empty: what happened is not known"]
            anchor = anchor_of(lines[0])
    except (HistoryDamaged, OSError) as problem:
        return NO_ANCHOR, [], [f"what happened to the run cannot be read: {problem}"]
    for number, line in enumerate(lines[1:], 2):
        try:
            with _named(path):
                events.append(event_of(line))
        except HistoryDamaged as problem:
            rest = f"what happened from its line {number} of {len(lines)} on is not known"
            return anchor, events, [f"{problem}; {rest}"]
    return anchor, events, []


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """What is wrong inside is wrong with this file."""
    try:
        yield
    except (ValueError, TypeError, KeyError, RecursionError) as problem:
        raise HistoryDamaged(f"{path.name} is damaged: {problem}") from problem
