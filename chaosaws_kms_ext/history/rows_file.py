"""The file of what a load's writes left in the database: an Arrow stream, and its checksum."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from chaosaws_kms_ext.history.arrow_values import bits_of, values_of
from chaosaws_kms_ext.history.columns import Mask, ReadBack, Rows, Stored
from chaosaws_kms_ext.history.operations_file import HistoryDamaged
from chaosaws_kms_ext.history.stream_end import check_closing_line, closing_line

__all__ = ["ROWS", "read_rows", "rows_as_bytes"]

ROWS = "rows-"
"""How the names of these files begin: `rows-main.arrows`."""

COLUMNS = pa.schema(
    [
        pa.field("register", pa.bool_(), nullable=False),
        pa.field("writer", pa.int32(), nullable=False),
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("payload", pa.int64(), nullable=False),
    ]
)
"""Rows of both tables: `register` says of which."""


def rows_as_bytes(found: ReadBack) -> bytes:
    """What stands in the file."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, COLUMNS) as stream:
        for register, its in ((False, found.rows), (True, found.registers)):
            columns = [
                pa.array(np.full(len(its), register)),
                pa.array(its.rows.writer, pa.int32()),
                pa.array(its.rows.sequence, pa.int64()),
                pa.array(its.payload, pa.int64()),
            ]
            stream.write_table(pa.table(columns, schema=COLUMNS))
    written: bytes = sink.getvalue().to_pybytes()
    return written + closing_line(zlib.crc32(written))


def read_rows(path: Path) -> ReadBack:
    """What stands in a file, which was written in one step; raises HistoryDamaged and OSError."""
    try:
        content = path.read_bytes()
        check_closing_line(content)
        with pa.ipc.open_stream(content) as stream:
            table = stream.read_all().combine_chunks()
            if not table.schema.equals(COLUMNS):
                raise ValueError("it has other columns: another version wrote it")
            table.validate(full=True)
            return _read_back(table)
    except (pa.ArrowException, OSError, KeyError, ValueError) as problem:
        raise HistoryDamaged(f"{path.name} is damaged: {problem}") from problem


def _read_back(table: pa.Table) -> ReadBack:
    if not len(table):
        return ReadBack.of([])
    (batch,) = table.to_batches()
    register = bits_of(batch.column("register"))
    return ReadBack(_stored(batch, ~register), _stored(batch, register))


def _stored(batch: pa.RecordBatch, which: Mask) -> Stored:
    writer = values_of(batch.column("writer"), np.int32)[which]
    sequence, payload = (
        values_of(batch.column(name), np.int64)[which] for name in ("sequence", "payload")
    )
    return Stored(Rows(writer, sequence), payload)
