"""Reads what the processes of each load recorded, as columns in the order in which it was due.

Columns are made once, in their full length: ten million operations are not held twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chaosaws_kms_ext.history.columns import (
    CODES,
    Arrivals,
    Codes,
    Instants,
    Mask,
    Reads,
    Recorded,
    Rows,
    Writes,
)
from chaosaws_kms_ext.history.combined import combine
from chaosaws_kms_ext.history.operations_file import (
    Header,
    HistoryDamaged,
    operations,
    read_batches,
)
from chaosaws_kms_ext.history.records import ARRIVALS, Operation

__all__ = ["arrivals_in", "read_recorded"]

CHUNK = 1 << 16
"""Operations that are taken at a time: a load writes small batches, each with its own cost."""
BLOCK = 1 << 19
"""Operations that are sorted at a time, first."""
MOST_LABELS = 127
"""SQL states and causes; a database has fewer that a load meets."""
ROW = 62
"""Bytes that an operation takes in a file at least: the sum of its columns."""


def read_recorded(paths: Sequence[Path]) -> dict[str, Recorded]:
    """Load → what it did; raises HistoryDamaged and OSError."""
    files: dict[str, list[tuple[Path, Header]]] = {}
    for path in paths:
        header, _ = read_batches(path)
        if header is not None:
            files.setdefault(header.load, []).append((path, header))
    return {load: _recorded(load, its) for load, its in files.items()}


def arrivals_in(batch: pa.RecordBatch) -> Arrivals:
    """The reads and writes in a batch, in the order in which they ended."""
    batch = batch.filter(pa.array(_is_any(batch.column("kind"), ARRIVALS)))
    due, done = (batch.column(name).to_numpy() for name in ("due", "done"))
    return Arrivals(due, done, _outcomes(batch.column("outcome")))


def _recorded(load: str, files: Sequence[tuple[Path, Header]]) -> Recorded:
    """Of the files of one load."""
    if all(header.workers == 1 for _, header in files):
        return _joined(load, files)
    return combine([(header, _joined(load, [(path, header)])) for path, header in files])


def _joined(load: str, files: Sequence[tuple[Path, Header]]) -> Recorded:
    """What all of it says, one after another."""
    columns = _Columns(load, sum(path.stat().st_size for path, _ in files) // ROW)
    for path, _ in files:
        try:
            for chunk in _chunks(read_batches(path)[1]):
                columns.add(chunk)
        except (ValueError, KeyError, pa.ArrowException) as problem:
            raise HistoryDamaged(f"{path.name} is damaged: {problem}") from problem
    return columns.finish(files[0][1].rate)


def _chunks(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in larger batches."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= CHUNK:
            yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()
            waiting, rows = [], 0
    if rows:
        yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()


class _Columns:
    """Grows by batches, up to `longest` operations: what is not used of that takes no memory."""

    def __init__(self, load: str, longest: int) -> None:
        self._load = load
        self._due = np.empty(longest, np.int64)
        self._done = np.empty(longest, np.int64)
        self._outcome = np.empty(longest, np.int8)
        self._said = np.empty(longest, np.int8)
        self._labels: dict[str, int] = {}
        self._length = 0
        self._writes: list[Writes] = [Writes.of([])]
        self._reads: list[Reads] = [Reads.of([])]
        self._last: dict[int, int] = {}
        self._witnessed: list[Operation] = []

    def add(self, chunk: pa.RecordBatch) -> None:
        """Takes its rows; raises ValueError, KeyError and ArrowException."""
        arrives = _is_any(chunk.column("kind"), ARRIVALS)
        if not arrives.all():
            self._witnessed += operations(self._load, chunk.filter(pa.array(~arrives)))
            chunk = chunk.filter(pa.array(arrives))
        begin, self._length = self._length, self._length + chunk.num_rows
        outcome = self._outcome[begin : self._length]
        outcome[:] = _outcomes(chunk.column("outcome"))
        done = self._done[begin : self._length]
        done[:] = chunk.column("done").to_numpy()
        self._due[begin : self._length] = chunk.column("due").to_numpy()
        self._said[begin : self._length] = self._codes_of(chunk)
        writer, sequence = (chunk.column(name).to_numpy() for name in ("writer", "sequence"))
        self._note_last(writer, sequence)
        which = _is_any(chunk.column("kind"), {"write"})
        rows = Rows(writer[which], sequence[which])
        self._writes.append(Writes(rows, outcome[which], done[which]))
        self._reads.append(_reads(chunk))

    def finish(self, rate: float) -> Recorded:
        """What there is, in the order in which it was due."""
        due, done = self._due[: self._length], self._done[: self._length]
        outcome, said = self._outcome[: self._length], self._said[: self._length]
        _put_in_order(due, done, outcome, said)
        return Recorded(
            rate,
            Arrivals(due, done, outcome),
            Writes.joined(self._writes),
            Reads.joined(self._reads),
            self._last,
            sorted(self._witnessed, key=lambda operation: operation.due),
            said,
            list(self._labels),
        )

    def _codes_of(self, chunk: pa.RecordBatch) -> Codes:
        """The labels of what the client saw, as numbers; raises ValueError."""
        said = pc.coalesce(chunk.column("sqlstate"), chunk.column("detail"))
        if said.null_count == len(said):
            return np.full(len(said), -1, np.int8)
        names = pc.dictionary_encode(said)
        for name in names.dictionary.to_pylist():
            self._labels.setdefault(name, len(self._labels))
        if len(self._labels) > MOST_LABELS:
            raise ValueError(f"it has more than {MOST_LABELS} SQL states")
        # The last is for those that said nothing.
        codes = np.array([*(self._labels[n] for n in names.dictionary.to_pylist()), -1], np.int8)
        found: Codes = codes[names.indices.fill_null(-1).to_numpy()]
        return found

    def _note_last(self, writer: NDArray[np.int32], sequence: NDArray[np.int64]) -> None:
        writers, whose = np.unique(writer, return_inverse=True)
        highest = np.zeros(len(writers), np.int64)
        np.maximum.at(highest, whose, sequence)
        for number, last in zip(writers.tolist(), highest.tolist(), strict=True):
            self._last[number] = max(last, self._last.get(number, 0))


def _reads(chunk: pa.RecordBatch) -> Reads:
    """What was seen of registers."""
    saw = chunk.filter(pc.and_(chunk.column("key").is_valid(), chunk.column("value").is_valid()))
    sent = pc.coalesce(saw.column("sent"), saw.column("due"))
    return Reads(
        saw.column("session").fill_null(0).to_numpy(),
        saw.column("key").to_numpy(),
        saw.column("value").to_numpy(),
        sent.to_numpy(),
    )


def _put_in_order(due: Instants, *others: NDArray[Any]) -> None:
    """Sorts columns by `due`, in place.

    A load writes an operation when it ends, so most are near their place: sorting them in blocks
    that overlap does it, and needs little memory.
    """
    for width in (BLOCK, len(due)):
        if not np.any(due[1:] < due[:-1]):
            return
        for first in range(0, len(due), max(width // 2, 1)):
            block = slice(first, first + width)
            order = np.argsort(due[block], kind="stable")
            for column in (due, *others):
                column[block] = column[block][order]


def _is_any(column: pa.DictionaryArray, names: Collection[str]) -> Mask:
    """Where it is one of these."""
    known = np.array([name in names for name in column.dictionary.to_pylist()], np.bool_)
    found: Mask = known[column.indices.to_numpy()]
    return found


def _outcomes(column: pa.DictionaryArray) -> Codes:
    """Our own numbers for its names; raises KeyError."""
    codes = np.array([CODES[name] for name in column.dictionary.to_pylist()], np.int8)
    found: Codes = codes[column.indices.to_numpy()]
    return found
