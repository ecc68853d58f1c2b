"""The records of a run as Parquet or CSV: for notebooks, spreadsheets and databases.

Rows are handed on as they are read, so that a record of any size needs little memory.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.files import open_private, private_folder
from chaosaws_kms_ext.history import Anchor, Event, EventName
from chaosaws_kms_ext.history.arrow_columns import Batch, Column, Names, Numbers, Texts
from chaosaws_kms_ext.history.arrow_schema import Field, Kind, Schema
from chaosaws_kms_ext.history.canaries import CANARIES, CanaryTry, try_of
from chaosaws_kms_ext.history.columns import Instants, Mask
from chaosaws_kms_ext.history.lines import whole_lines
from chaosaws_kms_ext.history.one_clock import Part, operations_of
from chaosaws_kms_ext.history.operations_file import SUFFIX, HistoryDamaged
from chaosaws_kms_ext.history.reader import NO_ANCHOR, read_events_that_are_there
from chaosaws_kms_ext.history.rows_file import ROWS, read_rows
from chaosaws_kms_ext.report.arrow_files import write_csv, write_parquet
from chaosaws_kms_ext.text import printable

__all__ = ["FORMATS", "CannotExport", "Exported", "export"]

OPERATIONS = Schema(
    (
        Field("load", Kind.NAME32),
        Field("process", Kind.INT32),
        Field("writer", Kind.INT32),
        Field("sequence", Kind.INT64),
        Field("kind", Kind.NAME32),
        Field("due_ns", Kind.INT64),
        Field("sent_ns", Kind.INT64),
        Field("done_ns", Kind.INT64),
        Field("due_utc", Kind.UTC),
        Field("sent_utc", Kind.UTC),
        Field("done_utc", Kind.UTC),
        Field("outcome", Kind.NAME32),
        Field("sqlstate", Kind.TEXT),
        Field("detail", Kind.TEXT),
        Field("session", Kind.INT32),
        Field("key", Kind.INT32),
        Field("value", Kind.INT64),
    )
)

EVENTS = Schema(
    (
        Field("at_ns", Kind.INT64),
        Field("at_utc", Kind.UTC),
        Field("name", Kind.TEXT),
        Field("details", Kind.TEXT),
    )
)

TRIES = Schema(
    (
        Field("dependent", Kind.NAME32),
        Field("at_ns", Kind.INT64),
        Field("done_ns", Kind.INT64),
        Field("at_utc", Kind.UTC),
        Field("done_utc", Kind.UTC),
        Field("outcome", Kind.NAME32),
    )
)

FOUND = Schema(
    (
        Field("load", Kind.NAME32),
        Field("register", Kind.BOOL),
        Field("writer", Kind.INT32),
        Field("sequence", Kind.INT64),
        Field("payload", Kind.INT64),
    )
)

FORMULA = tuple("=+-@＝＋－＠")
"""A text that begins so is a formula for a spreadsheet (OWASP, "CSV Injection")."""


class CannotExport(PlainError):
    """There is nothing to export, or it cannot be written: one sentence."""


@dataclass
class Exported:
    """What was written, and what was not."""

    files: dict[Path, int] = field(default_factory=dict)
    """Each file, and its rows."""
    missing: list[str] = field(default_factory=list)
    """What could not be read, or is not there, each in a sentence."""


def export(run: Path, folder: Path, kind: str, *, overwrite: bool = False) -> Exported:
    """Writes `operations` and `events` of a run into a folder, as a kind of FORMATS; where they
    were read back, `rows` of the loads' tables, and of canaries their tries as `canaries`, too.

    Each is there whole or not at all, and for this user only. What is there already is replaced
    only with `overwrite`. Raises CannotExport.
    """
    history = run / "history"
    if not any(history.glob("operations-*")) and not (history / "events.jsonl").exists():
        raise CannotExport(f"{run} is no folder of a run: it has no records in {history}")
    tables = [
        "operations",
        "events",
        *(["rows"] if any(history.glob(f"{ROWS}*{SUFFIX}")) else []),
        *(["canaries"] if (history / CANARIES).exists() else []),
    ]
    paths = {name: folder / f"{name}.{kind}" for name in tables}
    for path in paths.values():
        if os.path.lexists(path) and not overwrite:
            raise CannotExport(
                f"{path} is there already: give --overwrite to replace it, or another --output"
            )
    done = Exported()
    anchor, events, damage = read_events_that_are_there(history)
    done.missing += damage
    seen = _Seen()
    content: Mapping[str, tuple[Schema, Iterator[Batch]]] = {
        "operations": (OPERATIONS, _operations(history, anchor, seen, done.missing.append)),
        "events": (EVENTS, iter([_events(events, anchor)])),
        "rows": (FOUND, _found(history, done.missing.append)),
        "canaries": (TRIES, _tries(history, anchor, done.missing.append)),
    }
    try:
        private_folder(folder)
        for name, path in paths.items():
            schema, batches = content[name]
            done.files[path] = _write(path, schema, batches, FORMATS[kind])
    except (OSError, ValueError) as problem:
        raise CannotExport(f"the records cannot be written into {folder}: {problem}") from problem
    if anchor == NO_ANCHOR:
        done.missing.append(
            "instants are of the machine's own clock (CLOCK_MONOTONIC), without UTC"
        )
    elif not any(each.name == EventName.ENDED for each in events):
        done.missing.append("the run did not record its end: it was killed, or its records are cut")
    done.missing += seen.missing(events)
    return done


class _Seen:
    """Which processes of which loads left records."""

    def __init__(self) -> None:
        self._processes: dict[str, dict[int, set[int]]] = {}
        self._of: Counter[str] = Counter()

    def note(self, part: Part) -> None:
        """One of them."""
        its = part.header
        starts = self._processes.setdefault(its.load, {})
        starts.setdefault(its.starts, set()).add(its.worker)
        self._of[its.load] = its.workers

    def missing(self, events: Sequence[Event]) -> Iterator[str]:
        """Those that should have, each in a sentence."""
        steady = (str(e.details.get("load")) for e in events if e.name == EventName.LOAD_STEADY)
        for load in dict.fromkeys(steady):
            if load not in self._processes:
                yield f"no file has anything that was recorded of the load {load}"
        for load, starts in self._processes.items():
            for workers in starts.values():
                if len(workers) < self._of[load]:
                    yield (
                        f"of {self._of[load]} processes of the load {load}, {len(workers)} have "
                        "left records"
                    )


# Tables


def _operations(
    history: Path, anchor: Anchor, seen: _Seen, say: Callable[[str], None]
) -> Iterator[Batch]:
    for part in operations_of(history, say):
        seen.note(part)
        yield _rows(part, anchor)


def _rows(part: Part, anchor: Anchor) -> Batch:
    its = part.rows
    columns = dict(its.columns)
    columns["load"] = Names(np.zeros(its.rows, np.int32), (part.header.load,))
    columns["process"] = Numbers(np.full(its.rows, part.header.worker, np.int32))
    for name in ("due", "sent", "done"):
        columns |= _instants(name, *part.instants(name), anchor)
    return Batch(its.rows, columns)


def _events(events: Sequence[Event], anchor: Anchor) -> Batch:
    at = np.array([each.at for each in events], np.int64)
    columns: dict[str, Column] = {
        **_instants("at", at, np.zeros(len(at), np.bool_), anchor),
        "name": Texts.of([_whole_text(each.name) for each in events]),
        "details": Texts.of([json.dumps(each.details) for each in events]),
    }
    return Batch(len(at), columns)


def _found(history: Path, say: Callable[[str], None]) -> Iterator[Batch]:
    """What the loads' writes left in the database."""
    for path in sorted(history.glob(f"{ROWS}*{SUFFIX}")):
        try:
            read = read_rows(path)
        except (HistoryDamaged, OSError) as problem:
            say(f"the rows that were read back are not there: {problem}")
            continue
        load = path.stem.removeprefix(ROWS)
        for register, its in ((False, read.rows), (True, read.registers)):
            columns: dict[str, Column] = {
                "load": Names(np.zeros(len(its), np.int32), (load,)),
                "register": Numbers(np.full(len(its), register)),
                "writer": Numbers(its.rows.writer),
                "sequence": Numbers(its.rows.sequence),
                "payload": Numbers(its.payload),
            }
            yield Batch(len(its), columns)


def _tries(history: Path, anchor: Anchor, say: Callable[[str], None]) -> Iterator[Batch]:
    """Those that can be read; of the others it is said how many there are."""
    found, damaged = list[CanaryTry](), 0
    for line in whole_lines(history / CANARIES):
        try:
            found.append(try_of(line))
        except (ValueError, TypeError, RecursionError):
            damaged += 1
    if damaged:
        say(f"{damaged} lines of {CANARIES} are damaged")
    none = np.zeros(len(found), np.bool_)
    columns: dict[str, Column] = {
        name: Names.of([_whole_text(str(getattr(each, name))) for each in found])
        for name in ("dependent", "outcome")
    }
    for name in ("at", "done"):
        at = np.array([getattr(each, name) for each in found], np.int64)
        columns |= _instants(name, at, none, anchor)
    yield Batch(len(found), columns)


def _whole_text(text: str) -> str:
    """JSON can hold halves of characters, which no text of Arrow can."""
    return text.encode(errors="replace").decode()


def _instants(name: str, at: Instants, null: Mask, anchor: Anchor) -> dict[str, Column]:
    """Since the anchor, ns, and in UTC."""
    since = at - anchor.monotonic_ns
    known = ~null if anchor != NO_ANCHOR else np.zeros(len(at), np.bool_)
    return {
        f"{name}_ns": Numbers(since, ~null),
        f"{name}_utc": Numbers(since + anchor.utc_ns, known),
    }


# Files


def _write(
    path: Path,
    schema: Schema,
    batches: Iterator[Batch],
    write: Callable[[IO[bytes], Schema, Iterator[Batch]], int],
) -> int:
    """Writes a file in one step; gives back the number of its rows. Raises OSError, and ValueError
    for what cannot be written so."""
    new = path.with_name(f".{path.name}-{os.getpid()}")
    with open_private(new, "xb") as file:
        try:
            rows = write(file, schema, batches)
            file.flush()
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    return rows


def _csv(file: IO[bytes], schema: Schema, batches: Iterator[Batch]) -> int:
    """CSV in which no text is a formula or obeyed by a terminal."""
    return write_csv(file, schema, map(_as_cells, batches))


def _as_cells(batch: Batch) -> Batch:
    return Batch(
        batch.rows,
        {
            name: its if isinstance(its, Numbers) else its.mapped(_cell)
            for name, its in batch.columns.items()
        },
    )


def _cell(text: str) -> str:
    shown = printable(text)
    return f"'{shown}" if shown.startswith(FORMULA) else shown


FORMATS: Mapping[str, Callable[[IO[bytes], Schema, Iterator[Batch]], int]] = {
    "parquet": write_parquet,
    "csv": _csv,
}
"""The kinds of files, by how their names end."""
