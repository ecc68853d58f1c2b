"""The file of a load's operations: an Arrow stream, that pandas, DuckDB and others read too.

A batch is written a few times a second, with a checksum. What a crash leaves of the last one is cut
off by whoever reads it (`stream_end`). A row can come before one that was due earlier: it is
written when the operation ends.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from chaosaws_kms_ext.history.arrow_buffers import Written
from chaosaws_kms_ext.history.arrow_columns import Batch, Names, Numbers, Texts
from chaosaws_kms_ext.history.arrow_schema import Field, Kind, Schema
from chaosaws_kms_ext.history.arrow_stream import Decoder, Encoder, read_message
from chaosaws_kms_ext.history.columns import CODES, OUTCOMES, Codes
from chaosaws_kms_ext.history.records import KINDS, Operation
from chaosaws_kms_ext.history.stream_end import HistoryDamaged, check_end, is_whole

__all__ = [
    "CHUNK",
    "COLUMNS",
    "KIND_CODES",
    "PREFIX",
    "SCHEMA",
    "SUFFIX",
    "GrowingFile",
    "Header",
    "HistoryDamaged",
    "Recording",
    "as_batch",
    "kinds_of",
    "operations",
    "outcomes_of",
    "read_batches",
]

SCHEMA = 4
"""The version of this format."""

PREFIX, SUFFIX = "operations-", ".arrows"
"""How the names of these files begin and end: `operations-main-4711.arrows`."""

COLUMNS = (
    Field("writer", Kind.INT32, nullable=False),
    Field("sequence", Kind.INT64, nullable=False),
    Field("kind", Kind.NAME8, nullable=False),
    Field("due", Kind.INT64, nullable=False),
    Field("sent", Kind.INT64),
    Field("done", Kind.INT64, nullable=False),
    Field("outcome", Kind.NAME8, nullable=False),
    Field("sqlstate", Kind.TEXT),
    Field("detail", Kind.TEXT),
    Field("session", Kind.INT32),
    Field("key", Kind.INT32),
    Field("value", Kind.INT64),
)
KIND_CODES: Mapping[str, int] = {name: number for number, name in enumerate(KINDS)}

CHECKSUM, HEADER_CHECKSUM = b"crc32", b"header-crc32"
NULLS: Mapping[str, int] = {"sent": -1, "session": -1, "key": -1, "value": -2}
"""Columns with nulls, and what stands for a null in a checksum: no read sees it."""

CHUNK = 1 << 16
"""Operations that are read at a time: a load writes small batches, each with its own cost."""

AT_ONCE = 1 << 20
"""Bytes that are read of a file at a time."""


class Header(NamedTuple):
    """What a file says of itself."""

    load: str
    rate: float
    """Arrivals a second, of all its processes together."""
    worker: int = 0
    """The number of this process, from 0 on: its share is every `workers`-th arrival."""
    workers: int = 1
    """Processes that the load has."""
    start: int = 0
    """When the load's first arrival is due, on the clock of this process, ns."""
    starts: int = 0
    """How often the load had been started before."""


class Recording:
    """Makes what stands in a file."""

    def __init__(self, header: Header) -> None:
        said = {name: json.dumps(value) for name, value in header._asdict().items()}
        said |= {"schema": str(SCHEMA), "load": header.load}
        metadata = {name.encode(): value.encode() for name, value in said.items()}
        self._schema = Schema(COLUMNS, metadata)
        self._encoder = Encoder(self._schema)

    def head(self) -> bytes:
        """What it begins with: its columns, whose they are, and the checksum of that, in a batch
        that has no rows."""
        return self._encoder.head() + self.batch(as_batch([]))

    def batch(self, batch: Batch) -> bytes:
        """A batch with its checksum."""
        said = {CHECKSUM: b"%d" % _checksum(batch)}
        if not batch.rows:
            said[HEADER_CHECKSUM] = b"%d" % _header_checksum(self._schema)
        return self._encoder.batch(batch, said)


def as_batch(found: Sequence[Sequence[Any]]) -> Batch:
    """Rows as columns; each row has the fields of an Operation but for its load."""
    columns: Sequence[Sequence[Any]] = [*zip(*found, strict=True)] or [()] * len(COLUMNS)
    writer, sequence, kind, due, sent, done, outcome, sqlstate, detail, *seen = columns
    session, key, value = seen
    return Batch(
        len(found),
        {
            "writer": Numbers(np.array(writer, np.int32)),
            "sequence": Numbers(np.array(sequence, np.int64)),
            "kind": Names(np.array([KIND_CODES[name] for name in kind], np.int8), KINDS),
            "due": Numbers(np.array(due, np.int64)),
            "sent": Numbers.of(sent, np.int64),
            "done": Numbers(np.array(done, np.int64)),
            "outcome": Names(np.array([CODES[name] for name in outcome], np.int8), OUTCOMES),
            "sqlstate": Texts.of(sqlstate),
            "detail": Texts.of(detail),
            "session": Numbers.of(session, np.int32),
            "key": Numbers.of(key, np.int32),
            "value": Numbers.of(value, np.int64),
        },
    )


def kinds_of(batch: Batch) -> Codes:
    """The kind of each row by its place in KINDS; raises ValueError."""
    return _codes(batch.names("kind"), KINDS, KIND_CODES)


def outcomes_of(batch: Batch) -> Codes:
    """The outcome of each row by its place in OUTCOMES; raises ValueError."""
    return _codes(batch.names("outcome"), OUTCOMES, CODES)


def _codes(column: Names, names: tuple[str, ...], numbers: Mapping[str, int]) -> Codes:
    """Our own numbers for the names in a column."""
    if column.names == names:
        return column.codes
    if unknown := [name for name in column.names if name not in numbers]:
        raise ValueError(f"{unknown[0]!r:.40} is not known")
    found: Codes = np.array([numbers[name] for name in column.names], np.int8)[column.codes]
    return found


def operations(load: str, batch: Batch) -> list[Operation]:
    """The rows of a batch, one by one."""
    columns = (batch.columns[field.name].to_list() for field in COLUMNS)
    return [Operation(load, *row) for row in zip(*columns, strict=True)]


def read_batches(path: Path) -> tuple[Header | None, Iterator[Batch]]:
    """What a file says of itself, and the rows of its whole batches, many at a time; raises OSError
    and HistoryDamaged, also while they are read, but not before what is whole. None: its process
    was killed before it had written anything."""
    decoder = Decoder()
    try:
        with path.open("rb") as file:
            if (message := read_message(file)) is not None:
                decoder.take(message)
        schema = decoder.schema
    except ValueError as problem:
        check_end(path, 0, problem)
        return None, iter(())
    return _header(path, schema), _in_chunks(path)


class GrowingFile:
    """A file that is still written: each call has what came since the last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._decoder = Decoder()
        self.header: Header | None = None

    @property
    def offset(self) -> int:
        """How many of its bytes have been read as whole messages."""
        return self._offset

    def read(self, most: int = -1) -> Batch | None:
        """The rows of the whole batches that came, if any did; None while there is no file. Raises
        OSError and HistoryDamaged.

        `most`: bytes that are read at most, more than any message has; -1: all that came.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                came = io.BytesIO(file.read(most))
        except FileNotFoundError:
            return None
        found = []
        try:
            for written in self._whole(came):
                found.append(written)
            if not found:
                return None
            self.header = self.header or _header(self._path, self._decoder.schema)
            return self._decoder.batch(found)
        except ValueError as problem:
            raise HistoryDamaged(f"{self._path.name} is damaged: {problem}") from problem

    def _whole(self, came: io.BytesIO) -> Iterator[Written]:
        """The batches among the whole messages."""
        begin = self._offset
        while True:
            try:
                message = read_message(came)
            except ValueError:  # it is not whole yet
                return
            if message is None:
                return
            self._offset = begin + came.tell()
            if (written := self._decoder.take(message)) is not None:
                yield written


def _in_chunks(path: Path) -> Iterator[Batch]:
    decoder, waiting, rows = Decoder(), list[Written](), 0
    damage = None
    try:
        for written in _batches(path, decoder):
            waiting.append(written)
            rows += written.rows
            if rows >= CHUNK:
                yield _joined(path, decoder, waiting)
                waiting, rows = [], 0
    except HistoryDamaged as problem:
        damage = problem
    if rows:
        yield _joined(path, decoder, waiting)
    if damage is not None:
        raise damage


def _joined(path: Path, decoder: Decoder, written: Sequence[Written]) -> Batch:
    try:
        return decoder.batch(written)
    except ValueError as problem:
        raise HistoryDamaged(f"{path.name} is damaged: {problem}") from problem


def _batches(path: Path, decoder: Decoder) -> Iterator[Written]:
    """The whole batches of a file; raises OSError and HistoryDamaged."""
    whole = is_whole(path)
    with path.open("rb", AT_ONCE) as file:
        while True:
            at, problem = file.tell(), ValueError("it ends there")
            try:
                message = read_message(file)
                if message is None:
                    break
                written = decoder.take(message)
                if written is not None and not whole:
                    _check(decoder.batch([written]), decoder.schema, message.said)
            except ValueError as found:
                whole, problem = False, found
                break
            if written is not None:
                yield written
    if not whole:
        check_end(path, at, problem)


def _check(batch: Batch, schema: Schema, said: Mapping[bytes, bytes]) -> None:
    """Raises ValueError if a batch is not what was written."""
    kinds_of(batch), outcomes_of(batch)  # the checksum is of the numbers of the names
    if said.get(CHECKSUM) != b"%d" % _checksum(batch):
        raise ValueError("a checksum is not that of its rows")
    header = b"%d" % _header_checksum(schema)
    if said.get(HEADER_CHECKSUM, header) != header:
        raise ValueError("a checksum is not that of its header")


def _header_checksum(schema: Schema) -> int:
    return zlib.crc32(repr(sorted(schema.metadata.items())).encode())


def _checksum(batch: Batch) -> int:
    """Of all columns that figures are made from."""
    found = 0
    for values in _checked(batch):
        found = zlib.crc32(values, found)
    return found


def _checked(batch: Batch) -> Iterator[Any]:
    for name in ("writer", "sequence", "due", "done"):
        yield batch.numbers(name).values
    for name in ("kind", "outcome"):
        yield batch.names(name).codes
    for name in ("sqlstate", "detail"):
        column = batch.texts(name)
        if column.texts:
            yield column.is_there
            yield "\0".join(column.texts).encode()
    for name, null in NULLS.items():
        yield batch.numbers(name).filled(null)


def _header(path: Path, schema: Schema) -> Header:
    said = {
        key.decode(errors="replace"): value.decode(errors="replace")
        for key, value in schema.metadata.items()
    }
    if said.get("schema") != str(SCHEMA):
        raise HistoryDamaged(
            f"{path.name} has the schema {said.get('schema')!r:.20}: this version reads {SCHEMA}"
        )
    try:
        if schema.fields != COLUMNS:
            raise ValueError("it has other columns")
        whole = {name: json.loads(said[name]) for name in ("worker", "workers", "start", "starts")}
        if any(type(number) is not int or number < 0 for number in whole.values()):
            raise ValueError("its numbers are no numbers")
        if whole["worker"] >= whole["workers"]:
            raise ValueError("its load has fewer processes")
        return Header(said["load"], float(json.loads(said["rate"])), **whole)
    except (KeyError, ValueError, TypeError) as problem:
        raise HistoryDamaged(f"{path.name} is damaged: {problem}") from problem
