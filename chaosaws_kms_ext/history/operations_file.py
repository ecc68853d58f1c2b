"""The file of a load's operations: an Arrow stream, that pandas, DuckDB and others read too.

A batch is written a few times a second, with a checksum. What a crash leaves of the last one is cut
off by whoever reads it (`stream_end`). A row can come before one that was due earlier: it is
written when the operation ends.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike

from chaosaws_kms_ext.history.arrow_values import filled, valid_of, values_of
from chaosaws_kms_ext.history.columns import CODES, OUTCOMES, Codes
from chaosaws_kms_ext.history.records import KINDS, Operation
from chaosaws_kms_ext.history.stream_end import (
    FAILURES,
    HistoryDamaged,
    check_end,
    is_whole,
)

__all__ = [
    "KIND_CODES",
    "PREFIX",
    "SCHEMA",
    "SUFFIX",
    "GrowingFile",
    "Header",
    "HistoryDamaged",
    "as_batch",
    "coded",
    "kinds_of",
    "operations",
    "outcomes_of",
    "read_batches",
    "schema_of",
    "write_batch",
]

SCHEMA = 4
"""The version of this format."""

PREFIX, SUFFIX = "operations-", ".arrows"
"""How the names of these files begin and end: `operations-main-4711.arrows`."""

NAME = pa.dictionary(pa.int8(), pa.string())
COLUMNS = [
    pa.field("writer", pa.int32(), nullable=False),
    pa.field("sequence", pa.int64(), nullable=False),
    pa.field("kind", NAME, nullable=False),
    pa.field("due", pa.int64(), nullable=False),
    pa.field("sent", pa.int64()),
    pa.field("done", pa.int64(), nullable=False),
    pa.field("outcome", NAME, nullable=False),
    pa.field("sqlstate", pa.string()),
    pa.field("detail", pa.string()),
    pa.field("session", pa.int32()),
    pa.field("key", pa.int32()),
    pa.field("value", pa.int64()),
]
KIND_CODES: Mapping[str, int] = {name: number for number, name in enumerate(KINDS)}


CHECKSUM, HEADER_CHECKSUM = b"crc32", b"header-crc32"
NUMBERS: Mapping[str, DTypeLike] = {
    "writer": np.int32, "sequence": np.int64, "due": np.int64, "done": np.int64,
}  # fmt: skip
MAYBE_NUMBERS: Mapping[str, tuple[DTypeLike, int]] = {
    "sent": (np.int64, -1), "session": (np.int32, -1), "key": (np.int32, -1),
    "value": (np.int64, -2),
}  # fmt: skip
"""Columns with nulls, and what stands for a null in a checksum: no read sees it."""


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


def schema_of(header: Header) -> pa.Schema:
    """The columns, and whose they are."""
    said = {name: json.dumps(value) for name, value in header._asdict().items()}
    return pa.schema(COLUMNS, {**said, "schema": str(SCHEMA), "load": header.load})


def as_batch(schema: pa.Schema, found: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    """Rows as columns; each row has the fields of an Operation but for its load."""
    columns: Sequence[Sequence[Any]] = [*zip(*found, strict=True)] or [()] * len(COLUMNS)
    writer, sequence, kind, due, sent, done, outcome, sqlstate, detail, *seen = columns
    session, key, value = seen
    return pa.record_batch(
        [
            pa.array(writer, pa.int32()),
            pa.array(sequence, pa.int64()),
            coded([KIND_CODES[name] for name in kind], KINDS),
            pa.array(due, pa.int64()),
            pa.array(sent, pa.int64()),
            pa.array(done, pa.int64()),
            coded([CODES[name] for name in outcome], OUTCOMES),
            pa.array(sqlstate, pa.string()),
            pa.array(detail, pa.string()),
            pa.array(session, pa.int32()),
            pa.array(key, pa.int32()),
            pa.array(value, pa.int64()),
        ],
        schema=schema,
    )


def write_batch(stream: Any, batch: pa.RecordBatch) -> None:
    """Writes a batch with its checksum, and if it has no rows, as the first of a file has none,
    that of the header; raises OSError."""
    said = {CHECKSUM: str(_checksum(batch))}
    if not batch.num_rows:
        said[HEADER_CHECKSUM] = str(_header_checksum(batch.schema))
    stream.write_batch(batch, custom_metadata=said)


def coded(codes: Sequence[int] | Codes, names: tuple[str, ...]) -> pa.DictionaryArray:
    """Numbers, whose names these are, as a column."""
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), _as_array(names))


@cache
def _as_array(names: tuple[str, ...]) -> pa.Array:
    return pa.array(names)


def kinds_of(batch: pa.RecordBatch) -> Codes:
    """The kind of each row by its place in KINDS; raises KeyError."""
    return _codes(batch.column("kind"), KIND_CODES)


def outcomes_of(batch: pa.RecordBatch) -> Codes:
    """The outcome of each row by its place in OUTCOMES; raises KeyError."""
    return _codes(batch.column("outcome"), CODES)


def _codes(column: pa.DictionaryArray, numbers: Mapping[str, int]) -> Codes:
    """Our own numbers for the names in a column."""
    codes = np.array([numbers[name] for name in column.dictionary.to_pylist()], np.int8)
    found: Codes = codes[values_of(column.indices, np.int8)]
    return found


def operations(load: str, batch: pa.RecordBatch) -> list[Operation]:
    """The rows of a batch, one by one."""
    columns = (batch.column(field.name).to_pylist() for field in COLUMNS)
    return [Operation(load, *row) for row in zip(*columns, strict=True)]


def read_batches(path: Path) -> tuple[Header | None, Iterator[pa.RecordBatch]]:
    """What a file says of itself, and its whole batches; raises HistoryDamaged, also while they are
    read. None: its process was killed before it had written anything."""
    source = pa.OSFile(str(path), "rb")
    try:
        stream = pa.ipc.open_stream(source)
    except FAILURES as problem:
        check_end(path, 0, problem)
        return None, iter(())
    return _header(path, stream.schema), _batches(path, source, stream)


class GrowingFile:
    """A file that is still written: each call has what came since the last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._head = b""
        self.header: Header | None = None

    @property
    def offset(self) -> int:
        """How many of its bytes have been read as whole messages."""
        return self._offset

    def batches(self, most: int = -1) -> list[pa.RecordBatch]:
        """The whole batches that came; none while there is no file. Raises HistoryDamaged.

        `most`: bytes that are read at most, more than any message has; -1: all that came.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                came = file.read(most)
        except FileNotFoundError:
            return []
        head, whole, some = _whole(came)
        stream, self._head = self._head + came[:whole], self._head + head
        self._offset += whole
        if not some:
            return []
        with pa.ipc.open_stream(stream) as reader:
            self.header = _header(self._path, reader.schema)
            return list(reader)


def _whole(came: bytes) -> tuple[bytes, int, bool]:
    """The messages that are no batches, how many bytes are whole, and whether a batch is there."""
    source = pa.BufferReader(came)
    head, whole, some = b"", 0, False
    while True:
        try:
            message = pa.ipc.read_message(source)
        except (EOFError, OSError, pa.ArrowInvalid):
            return head, whole, some
        if message.type == "record batch":
            some = True
        else:
            head += came[whole : source.tell()]
        whole = source.tell()


def _batches(path: Path, source: pa.NativeFile, stream: Any) -> Iterator[pa.RecordBatch]:
    whole = is_whole(path)
    while True:
        at = source.tell()
        try:
            batch, said = stream.read_next_batch_with_custom_metadata()
            if not whole:
                _check(batch, said)
        except (StopIteration, *FAILURES) as problem:
            if not whole or not isinstance(problem, StopIteration):
                check_end(path, at, problem)
            return
        yield batch


def _check(batch: pa.RecordBatch, said: Mapping[bytes, bytes] | None) -> None:
    """Raises ValueError, and what Arrow does, if a batch is not what was written."""
    batch.validate(full=True)
    if not said or said.get(CHECKSUM) != str(_checksum(batch)).encode():
        raise ValueError("a checksum is not that of its rows")
    header = str(_header_checksum(batch.schema)).encode()
    if said.get(HEADER_CHECKSUM, header) != header:
        raise ValueError("a checksum is not that of its header")


def _header_checksum(schema: pa.Schema) -> int:
    return zlib.crc32(repr(sorted((schema.metadata or {}).items())).encode())


def _checksum(batch: pa.RecordBatch) -> int:
    """Of all columns that figures are made from."""
    found = 0
    for values in _checked(batch):
        found = zlib.crc32(values, found)
    return found


def _checked(batch: pa.RecordBatch) -> Iterator[Any]:
    for name, its in NUMBERS.items():
        yield values_of(batch.column(name), its)
    for name in ("kind", "outcome"):
        yield values_of(batch.column(name).indices, np.int8)
    for name in ("sqlstate", "detail"):
        column = batch.column(name)
        if column.null_count < len(column):
            yield valid_of(column)
            yield "\0".join(column.drop_null().to_pylist()).encode()
    for name, (its, null) in MAYBE_NUMBERS.items():
        yield filled(batch.column(name), its, null)


def _header(path: Path, schema: pa.Schema) -> Header:
    metadata = (schema.metadata or {}).items()
    said = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in metadata}
    if said.get("schema") != str(SCHEMA):
        raise HistoryDamaged(
            f"{path.name} has the schema {said.get('schema')!r:.20}: this version reads {SCHEMA}"
        )
    try:
        if not schema.equals(pa.schema(COLUMNS)):
            raise ValueError("it has other columns")
        whole = {name: json.loads(said[name]) for name in ("worker", "workers", "start", "starts")}
        if any(type(number) is not int or number < 0 for number in whole.values()):
            raise ValueError("its numbers are no numbers")
        if whole["worker"] >= whole["workers"]:
            raise ValueError("its load has fewer processes")
        return Header(said["load"], float(json.loads(said["rate"])), **whole)
    except (KeyError, ValueError, TypeError) as problem:
        raise HistoryDamaged(f"{path.name} is damaged: {problem}") from problem
