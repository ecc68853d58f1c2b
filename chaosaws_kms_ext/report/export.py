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
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.files import open_private, private_folder
from chaosaws_kms_ext.history import Anchor, Event, EventName
from chaosaws_kms_ext.history.canaries import CANARIES, CanaryTry, try_of
from chaosaws_kms_ext.history.columns import Instants, Mask
from chaosaws_kms_ext.history.lines import whole_lines
from chaosaws_kms_ext.history.one_clock import Part, operations_of
from chaosaws_kms_ext.history.operations_file import SUFFIX, HistoryDamaged
from chaosaws_kms_ext.history.reader import NO_ANCHOR, read_events_that_are_there
from chaosaws_kms_ext.history.rows_file import ROWS, read_rows
from chaosaws_kms_ext.text import printable

__all__ = ["FORMATS", "CannotExport", "Exported", "export"]

NAME = pa.dictionary(pa.int32(), pa.string())
UTC = pa.timestamp("ns", "UTC")

OPERATIONS = pa.schema(
    [
        ("load", NAME),
        ("process", pa.int32()),
        ("writer", pa.int32()),
        ("sequence", pa.int64()),
        ("kind", NAME),
        ("due_ns", pa.int64()),
        ("sent_ns", pa.int64()),
        ("done_ns", pa.int64()),
        ("due_utc", UTC),
        ("sent_utc", UTC),
        ("done_utc", UTC),
        ("outcome", NAME),
        ("sqlstate", pa.string()),
        ("detail", pa.string()),
        ("session", pa.int32()),
        ("key", pa.int32()),
        ("value", pa.int64()),
    ]
)
AS_RECORDED = (
    "writer",
    "sequence",
    "kind",
    "outcome",
    "sqlstate",
    "detail",
    "session",
    "key",
    "value",
)

EVENTS = pa.schema(
    [("at_ns", pa.int64()), ("at_utc", UTC), ("name", pa.string()), ("details", pa.string())]
)

TRIES = pa.schema(
    [
        ("dependent", NAME),
        ("at_ns", pa.int64()),
        ("done_ns", pa.int64()),
        ("at_utc", UTC),
        ("done_utc", UTC),
        ("outcome", NAME),
    ]
)

FOUND = pa.schema(
    [
        ("load", NAME),
        ("register", pa.bool_()),
        ("writer", pa.int32()),
        ("sequence", pa.int64()),
        ("payload", pa.int64()),
    ]
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
    content: Mapping[str, tuple[Any, Iterator[pa.RecordBatch]]] = {
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
    except (OSError, pa.ArrowException) as problem:
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
) -> Iterator[pa.RecordBatch]:
    for part in operations_of(history, say):
        seen.note(part)
        yield _rows(part, anchor)


def _rows(part: Part, anchor: Anchor) -> pa.RecordBatch:
    number = part.rows.num_rows
    columns = {name: part.rows.column(name) for name in AS_RECORDED}
    columns["load"] = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(number, np.int32)), pa.array([part.header.load])
    )
    columns["process"] = pa.array(np.full(number, part.header.worker, np.int32))
    for name in ("due", "sent", "done"):
        columns |= _instants(name, *part.instants(name), anchor)
    return _batch(OPERATIONS, columns)


def _events(events: Sequence[Event], anchor: Anchor) -> pa.RecordBatch:
    at = np.array([each.at for each in events], np.int64)
    said = [json.dumps(each.details) for each in events]
    columns = _instants("at", at, np.zeros(len(at), np.bool_), anchor)
    # JSON can hold halves of characters, which no text of Arrow can.
    names = [each.name.encode(errors="replace").decode() for each in events]
    columns["name"] = pa.array(names, pa.string())
    columns["details"] = pa.array(said, pa.string())
    return _batch(EVENTS, columns)


def _found(history: Path, say: Callable[[str], None]) -> Iterator[pa.RecordBatch]:
    """What the loads' writes left in the database."""
    for path in sorted(history.glob(f"{ROWS}*{SUFFIX}")):
        try:
            read = read_rows(path)
        except (HistoryDamaged, OSError) as problem:
            say(f"the rows that were read back are not there: {problem}")
            continue
        load = path.stem.removeprefix(ROWS)
        for register, its in ((False, read.rows), (True, read.registers)):
            columns = {
                "load": pa.array([load] * len(its), pa.string()).dictionary_encode(),
                "register": pa.array(np.full(len(its), register)),
                "writer": pa.array(its.rows.writer),
                "sequence": pa.array(its.rows.sequence),
                "payload": pa.array(its.payload),
            }
            yield _batch(FOUND, columns)


def _tries(history: Path, anchor: Anchor, say: Callable[[str], None]) -> Iterator[pa.RecordBatch]:
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
    columns = {
        # JSON can hold halves of characters, which no text of Arrow can.
        name: pa.array(
            [str(getattr(each, name)).encode(errors="replace").decode() for each in found],
            pa.string(),
        ).dictionary_encode()
        for name in ("dependent", "outcome")
    }
    for name in ("at", "done"):
        at = np.array([getattr(each, name) for each in found], np.int64)
        columns |= _instants(name, at, none, anchor)
    yield _batch(TRIES, columns)


def _instants(name: str, at: Instants, null: Mask, anchor: Anchor) -> dict[str, Any]:
    """Since the anchor, ns, and in UTC."""
    since = at - anchor.monotonic_ns
    utc = pa.array(since + anchor.utc_ns, pa.int64(), mask=null).cast(UTC)
    known = anchor != NO_ANCHOR
    return {
        f"{name}_ns": pa.array(since, pa.int64(), mask=null),
        f"{name}_utc": utc if known else pa.nulls(len(at), UTC),
    }


def _batch(schema: pa.Schema, columns: Mapping[str, Any]) -> pa.RecordBatch:
    return pa.record_batch([columns[each.name].cast(each.type) for each in schema], schema=schema)


# Files


def _write(
    path: Path,
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    opened: Callable[[Any, pa.Schema], Any],
) -> int:
    """Writes a file in one step; gives back the number of its rows. Raises OSError."""
    new, rows = path.with_name(f".{path.name}-{os.getpid()}"), 0
    with open_private(new, "xb") as file:
        try:
            with opened(file, schema) as writer:
                for batch in batches:
                    writer.write_batch(batch)
                    rows += batch.num_rows
            file.flush()
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    return rows


def _parquet(file: Any, schema: pa.Schema) -> Any:
    # Imported late: so do other commands not need it.
    from pyarrow.parquet import ParquetWriter

    return ParquetWriter(file, schema, compression="zstd")


class _Csv:
    """A writer of CSV, in which no text is a formula or obeyed by a terminal."""

    def __init__(self, file: Any, schema: pa.Schema) -> None:
        from pyarrow.csv import CSVWriter

        self._schema = pa.schema([(each.name, _plain(each.type)) for each in schema])
        self._writer = CSVWriter(file, self._schema)

    def __enter__(self) -> _Csv:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Appends its rows."""
        columns = [
            _text(column) if its.type == pa.string() else column
            for column, its in zip(batch.columns, self._schema, strict=True)
        ]
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_dictionary(kind) else kind


def _text(column: pa.Array) -> pa.Array:
    """The texts of a column as they stand in a cell; each different one is made once."""
    coded = column if pa.types.is_dictionary(column.type) else pc.dictionary_encode(column)
    cells = [None if each is None else _cell(each) for each in coded.dictionary.to_pylist()]
    return pa.array(cells, pa.string()).take(coded.indices)


def _cell(text: str) -> str:
    shown = printable(text)
    return f"'{shown}" if shown.startswith(FORMULA) else shown


FORMATS: Mapping[str, Callable[[Any, pa.Schema], Any]] = {"parquet": _parquet, "csv": _Csv}
"""The kinds of files, by how their names end."""
