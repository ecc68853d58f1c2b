"""The file of what a load's writes left in the database: an Arrow stream, and its checksum."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np

from chaosaws_kms_ext.history.arrow_columns import Batch, Numbers
from chaosaws_kms_ext.history.arrow_schema import Field, Kind, Schema
from chaosaws_kms_ext.history.arrow_stream import END, Decoder, Encoder, read_message
from chaosaws_kms_ext.history.columns import Mask, ReadBack, Rows, Stored
from chaosaws_kms_ext.history.operations_file import HistoryDamaged
from chaosaws_kms_ext.history.stream_end import check_closing_line, closing_line

__all__ = ["ROWS", "read_rows", "rows_as_bytes"]

ROWS = "rows-"
"""How the names of these files begin: `rows-main.arrows`."""

COLUMNS = (
    Field("register", Kind.BOOL, nullable=False),
    Field("writer", Kind.INT32, nullable=False),
    Field("sequence", Kind.INT64, nullable=False),
    Field("payload", Kind.INT64, nullable=False),
)
"""Rows of both tables: `register` says of which."""


AT_ONCE = 1 << 20
"""Rows of a batch: all of them in one could be more than a message may have."""


def rows_as_bytes(found: ReadBack) -> bytes:
    """What stands in the file."""
    encoder = Encoder(Schema(COLUMNS))
    written = [encoder.head()]
    for register, its in ((False, found.rows), (True, found.registers)):
        for first in range(0, len(its), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            columns = {
                "register": Numbers(np.full(len(its.payload[some]), register)),
                "writer": Numbers(its.rows.writer[some]),
                "sequence": Numbers(its.rows.sequence[some]),
                "payload": Numbers(its.payload[some]),
            }
            written.append(encoder.batch(Batch(len(its.payload[some]), columns)))
    content = b"".join([*written, END])
    return content + closing_line(zlib.crc32(content))


def read_rows(path: Path) -> ReadBack:
    """What stands in a file, which was written in one step; raises HistoryDamaged and OSError."""
    try:
        content = path.read_bytes()
        check_closing_line(content)
        return _read_back(_batch(content))
    except (OSError, ValueError) as problem:
        raise HistoryDamaged(f"{path.name} is damaged: {problem}") from problem


def _batch(content: bytes) -> Batch:
    file, decoder, found = io.BytesIO(content), Decoder(), []
    while (message := read_message(file)) is not None:
        if (written := decoder.take(message)) is not None:
            found.append(written)
    if decoder.schema.fields != COLUMNS:
        raise ValueError("it has other columns: another version wrote it")
    return decoder.batch(found)


def _read_back(batch: Batch) -> ReadBack:
    register: Mask = batch.numbers("register").values
    return ReadBack(_stored(batch.only(~register)), _stored(batch.only(register)))


def _stored(batch: Batch) -> Stored:
    writer, sequence, payload = (
        batch.numbers(name).values for name in ("writer", "sequence", "payload")
    )
    return Stored(Rows(writer, sequence), payload)
