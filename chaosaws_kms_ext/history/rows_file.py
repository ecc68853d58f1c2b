"""The file of the rows that a load's writes left in the database: an Arrow stream."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from chaosaws_kms_ext.history.columns import Rows
from chaosaws_kms_ext.history.operations_file import HistoryDamaged

__all__ = ["ROWS", "read_rows", "rows_as_bytes"]

ROWS = "rows-"
"""How the names of these files begin: `rows-main.arrows`."""

COLUMNS = pa.schema([("writer", pa.int32()), ("sequence", pa.int64())])


def rows_as_bytes(rows: Rows) -> bytes:
    """What stands in the file."""
    columns = [pa.array(rows.writer, pa.int32()), pa.array(rows.sequence, pa.int64())]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, COLUMNS) as stream:
        stream.write_table(pa.table(columns, schema=COLUMNS))
    written: bytes = sink.getvalue().to_pybytes()
    return written


def read_rows(path: Path) -> Rows:
    """The rows in a file, which was written in one step; raises HistoryDamaged and OSError."""
    try:
        with pa.ipc.open_stream(path.read_bytes()) as stream:
            table = stream.read_all()
            table.validate(full=True)
            return Rows(*(table.column(name).to_numpy() for name in COLUMNS.names))
    except (pa.ArrowException, OSError, KeyError, ValueError) as problem:
        raise HistoryDamaged(f"{path.name} is damaged: {problem}") from problem
