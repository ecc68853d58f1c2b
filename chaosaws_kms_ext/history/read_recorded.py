"""Reads what the processes of each load recorded, as columns in the order in which it was due.

Columns are made once, in their full length: ten million operations are not held twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from chaosaws_kms_ext.history.arrow_columns import Batch
from chaosaws_kms_ext.history.clocks import Sample
from chaosaws_kms_ext.history.columns import (
    Arrivals,
    Attempts,
    Codes,
    Instants,
    Reads,
    Recorded,
    Rows,
    Said,
    Writes,
    label_type,
)
from chaosaws_kms_ext.history.combined import combine
from chaosaws_kms_ext.history.operations_file import (
    CHUNK,
    KIND_CODES,
    Header,
    HistoryDamaged,
    kinds_of,
    operations,
    outcomes_of,
    read_batches,
)
from chaosaws_kms_ext.history.records import ARRIVALS, Operation

__all__ = ["arrivals_in", "read_recorded", "samples_in"]

BLOCK = 1 << 19
"""Operations that are sorted at a time, first."""
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


def arrivals_in(batch: Batch) -> Arrivals:
    """The reads and writes in a batch, in the order in which they ended."""
    due, done = (batch.numbers(name).values for name in ("due", "done"))
    return Arrivals(due, done, outcomes_of(batch)).only(kinds_of(batch) < len(ARRIVALS))


def samples_in(batch: Batch) -> list[Sample]:
    """The questions for the time of the load in a batch."""
    its = batch.only(kinds_of(batch) == KIND_CODES["clock"])
    instants = (its.numbers(name).to_list() for name in ("due", "sent", "done"))
    return [Sample(*each) for each in zip(*instants, strict=True)]


def _recorded(load: str, files: Sequence[tuple[Path, Header]]) -> Recorded:
    """Of the files of one load."""
    if all(header.workers == 1 for _, header in files):
        return _joined(load, files)
    return combine((header, _joined(load, [(path, header)])) for path, header in files)


def _joined(load: str, files: Sequence[tuple[Path, Header]]) -> Recorded:
    """What all of it says, one after another."""
    columns = _Columns(load, sum(path.stat().st_size for path, _ in files) // ROW)
    for path, _ in files:
        try:
            for batch in read_batches(path)[1]:
                columns.add(batch)
        except ValueError as problem:
            raise HistoryDamaged(f"{path.name} is damaged: {problem}") from problem
    return columns.finish(files[0][1].rate)


class _Growing:
    """Columns of one length, that grow up to `longest`: what is not used of that takes no memory.

    Pieces that are joined in the end would be held twice, and leave holes in the memory.
    """

    def __init__(self, longest: int, **types: DTypeLike) -> None:
        self._columns = {name: np.empty(longest, its) for name, its in types.items()}
        self._length = 0

    def add(self, **values: NDArray[Any]) -> None:
        """Appends a value of each column for each row."""
        begin, self._length = self._length, self._length + len(next(iter(values.values())))
        for name, its in values.items():
            self._columns[name][begin : self._length] = its

    def widen(self, name: str, type_: DTypeLike) -> None:
        """Gives a column a larger type, if it has a smaller one."""
        if np.can_cast(type_, self._columns[name].dtype):
            return
        its = np.empty(len(self._columns[name]), type_)
        its[: self._length] = self._columns[name][: self._length]
        self._columns[name] = its

    def take(self) -> Iterator[NDArray[Any]]:
        """Each column as far as it is used, in the order in which they were named."""
        for its in self._columns.values():
            yield its[: self._length]


class _Labels:
    """Numbers the labels of what the client saw."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    @property
    def names(self) -> list[str]:
        """In the order of their numbers."""
        return list(self._numbers)

    def numbers_of(self, chunk: Batch) -> Said:
        """Of each row its label's number, or -1."""
        found = np.full(chunk.rows, -1, np.int32)
        for name in ("detail", "sqlstate"):  # the second counts where there are both
            said = chunk.texts(name)
            for text in dict.fromkeys(said.texts):
                self._numbers.setdefault(text, len(self._numbers))
            found[said.places] = [self._numbers[text] for text in said.texts]
        return found.astype(label_type(len(self._numbers)))


def _add(chunk: Batch, to: _Growing, labels: _Labels) -> tuple[Instants, Instants, Codes]:
    """Adds the rows to columns, in which every operation has a place, and gives back the instants
    and outcomes that were added."""
    due, done = (chunk.numbers(name).values for name in ("due", "done"))
    outcome, said = outcomes_of(chunk), labels.numbers_of(chunk)
    to.widen("said", label_type(len(labels.names)))
    to.add(due=due, done=done, outcome=outcome, said=said)
    return due, done, outcome


class _Columns:
    """Grows by batches, up to `longest` operations."""

    def __init__(self, load: str, longest: int) -> None:
        self._load = load
        self._arrivals = _Growing(
            longest, due=np.int64, done=np.int64, outcome=np.int8, said=np.int8
        )
        self._writes = _Growing(
            longest, writer=np.int32, sequence=np.int64, outcome=np.int8, done=np.int64
        )
        self._reads = _Growing(
            longest, session=np.int32, key=np.int32, value=np.int64, sent=np.int64
        )
        self._labels = _Labels()
        self._attempts = _Growing(
            longest, due=np.int64, done=np.int64, outcome=np.int8, said=np.int8
        )
        self._attempted = _Labels()
        self._last: dict[int, int] = {}
        self._witnessed: list[Operation] = []

    def add(self, chunk: Batch) -> None:
        """Takes its rows; raises ValueError."""
        kinds = kinds_of(chunk)
        arrives = kinds < len(ARRIVALS)
        if not arrives.all():
            attempts = kinds == KIND_CODES["attempt"]
            self._witnessed += operations(self._load, chunk.only(~arrives & ~attempts))
            _add(chunk.only(attempts), self._attempts, self._attempted)
            chunk = chunk.only(arrives)
            kinds = kinds[arrives]
        due, done, outcome = _add(chunk, self._arrivals, self._labels)
        writer, sequence = (chunk.numbers(name).values for name in ("writer", "sequence"))
        self._note_last(writer, sequence)
        which = kinds == KIND_CODES["write"]
        self._writes.add(
            writer=writer[which],
            sequence=sequence[which],
            outcome=outcome[which],
            done=done[which],
        )
        self._add_reads(chunk, due)

    def finish(self, rate: float) -> Recorded:
        """What there is, in the order in which it was due."""
        due, done, outcome, said = self._arrivals.take()
        _put_in_order(due, done, outcome, said)
        writer, sequence, ended, wrote = self._writes.take()
        began, came, how, saw = self._attempts.take()
        return Recorded(
            rate,
            Arrivals(due, done, outcome),
            Writes(Rows(writer, sequence), ended, wrote).put_in_order(),
            Reads(*self._reads.take()).put_in_order(),
            self._last,
            sorted(self._witnessed, key=lambda operation: operation.due),
            Attempts(began, came, how, saw, self._attempted.names).put_in_order(),
            said,
            self._labels.names,
        )

    def _add_reads(self, chunk: Batch, due: Instants) -> None:
        """What was seen of registers."""
        key, value, session, sent = (
            chunk.numbers(name) for name in ("key", "value", "session", "sent")
        )
        saw = key.is_there & value.is_there
        self._reads.add(
            session=session.filled(0)[saw],
            key=key.values[saw],
            value=value.values[saw],
            sent=np.where(sent.is_there, sent.values, due)[saw],
        )

    def _note_last(self, writer: NDArray[np.int32], sequence: NDArray[np.int64]) -> None:
        if not len(writer):
            return
        lowest, last = int(writer.min()), int(writer.max())
        if last - lowest < CHUNK:  # as users are numbered; to sort them takes longer
            writers, whose = np.arange(lowest, last + 1, dtype=np.int32), writer - np.int32(lowest)
        else:
            writers, whose = np.unique(writer, return_inverse=True)
        highest = np.full(len(writers), -1, np.int64)
        np.maximum.at(highest, whose, sequence)
        for place in np.flatnonzero(highest >= 0).tolist():
            number = int(writers[place])
            self._last[number] = max(int(highest[place]), self._last.get(number, 0))


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
