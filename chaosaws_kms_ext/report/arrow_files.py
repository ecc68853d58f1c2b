"""Batches of columns as Parquet or CSV files, made by arro3: the one place that knows it.

It is given an Arrow stream (`history.arrow_stream`), of which it asks for more while it writes, so
that few rows are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from io import RawIOBase
from typing import IO, Any

import numpy as np

from chaosaws_kms_ext.history.arrow_columns import Batch, Column, Names, Numbers, Texts
from chaosaws_kms_ext.history.arrow_schema import Kind, Schema
from chaosaws_kms_ext.history.arrow_stream import END, Encoder

__all__ = ["write_csv", "write_parquet"]

ROW_GROUP = 1 << 17
"""Rows of a Parquet file that stand together, and are in memory at once."""

INSTANT = "%Y-%m-%d %H:%M:%S%.9fZ"


def write_parquet(file: IO[bytes], schema: Schema, batches: Iterator[Batch]) -> int:
    """Writes a file, and gives back the number of its rows; raises OSError, ValueError where a
    text is none, and what `batches` raises."""
    # Imported late, here and below: no other command needs it.
    from arro3 import io

    # Of numbers that are all different a dictionary takes twice the room and half of the time.
    numbers = [field for field in schema.fields if field.kind is not Kind.TEXT]
    plain: dict[str | Sequence[str], bool] = {
        field.name: False for field in numbers if not field.kind.is_name
    }
    write = partial(
        io.write_parquet,
        compression="zstd(1)",
        column_dictionary_enabled=plain,
        max_row_group_size=ROW_GROUP,
    )
    return _written(file, schema, batches, write)


def write_csv(file: IO[bytes], schema: Schema, batches: Iterator[Batch]) -> int:
    """The same; a null is an empty cell."""
    from arro3 import io

    return _written(file, schema, batches, partial(io.write_csv, timestamp_tz_format=INSTANT))


def _written(
    file: IO[bytes],
    schema: Schema,
    batches: Iterator[Batch],
    write: Callable[[Any, Any], None],
) -> int:
    from arro3 import io

    to = _To(file)
    stream = _Stream(schema, batches, to)
    its: Any = stream
    try:
        write(io.read_ipc_stream(its), to)
    except Exception as problem:
        raise stream.problem or to.problem or ValueError(str(problem)) from problem
    if (met := stream.problem or to.problem) is not None:
        raise met
    return stream.rows


class _To(RawIOBase):
    """Takes bytes as a file does. A write that fails is kept: arro3 would abort with a message of
    its own on the screen (`PanicException`)."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.problem: BaseException | None = None

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """As a file does, but after a failure nothing is written."""
        if self.problem is None:
            try:
                self._file.write(data)
            except BaseException as problem:  # also Ctrl-C
                self.problem = problem
        return len(data)


class _Stream(RawIOBase):
    """An Arrow stream that is read as a file is, and made meanwhile."""

    def __init__(self, schema: Schema, batches: Iterator[Batch], to: _To) -> None:
        self._messages = self._made(schema, batches)
        self._to = to
        self._left = memoryview(b"")
        self.rows = 0
        """How many were read."""
        self.problem: BaseException | None = None
        """Why it ended early."""

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """As a file does: some bytes, `size` at most; none at the end."""
        while not self._left:
            try:
                self._left = memoryview(next(self._messages))
            except StopIteration:
                return b""
            except BaseException as problem:
                self.problem = problem
                return b""
        end = size if size >= 0 else len(self._left)
        found, self._left = bytes(self._left[:end]), self._left[end:]
        return found

    def _made(self, schema: Schema, batches: Iterator[Batch]) -> Iterator[bytes]:
        encoder = Encoder(schema)
        yield encoder.head()
        yield encoder.batch(_without_rows(schema))  # CSV has its head with the first batch
        for batch in batches:
            if self._to.problem is not None:
                break
            yield encoder.batch(batch)
            self.rows += batch.rows
        yield END


def _without_rows(schema: Schema) -> Batch:
    columns: dict[str, Column] = {}
    for field in schema.fields:
        if field.kind.is_name:
            columns[field.name] = Names.of([])
        elif field.kind is Kind.TEXT:
            columns[field.name] = Texts.of([])
        else:
            columns[field.name] = Numbers(np.zeros(0, field.kind.width or np.bool_))
    return Batch(0, columns)
