"""Writes a history's files, so that a crash leaves what came before readable."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from chaosaws_kms_ext.files import open_private, write_whole
from chaosaws_kms_ext.history.columns import ReadBack
from chaosaws_kms_ext.history.operations_file import (
    PREFIX,
    SUFFIX,
    Header,
    as_batch,
    schema_of,
    write_batch,
)
from chaosaws_kms_ext.history.rows_file import ROWS, rows_as_bytes

__all__ = ["OperationStream", "OperationWriter", "write_rows"]


class OperationStream:
    """The operations of one process of a load."""

    def __init__(self, header: Header, file: Any) -> None:
        """`file` takes the bytes; raises OSError."""
        self._schema = schema_of(header)
        self._file = file
        self._stream = pa.ipc.new_stream(self._file, self._schema)
        write_batch(self._stream, as_batch(self._schema, []))
        self._file.flush()

    def write(self, operations: Sequence[Sequence[Any]]) -> None:
        """Appends operations, each with the fields of an Operation but for its load; when this
        returns they survive our death. Raises OSError."""
        write_batch(self._stream, as_batch(self._schema, operations))
        self._file.flush()


class OperationWriter(OperationStream):
    """The same to a file in a history's folder."""

    def __init__(self, folder: Path, load: str, rate: float, **more: Any) -> None:
        """Makes the file; `more`: what else its header says. Raises OSError."""
        file = open_private(folder / f"{PREFIX}{load}-{os.getpid()}{SUFFIX}", "wb")
        super().__init__(Header(load, rate, **more), file)


def write_rows(folder: Path, load: str, rows: ReadBack) -> None:
    """The rows that the load's writes left, in one step: the file is there whole or not at all."""
    write_whole(folder / f"{ROWS}{load}{SUFFIX}", rows_as_bytes(rows))
