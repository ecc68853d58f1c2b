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

__all__ = ["OperationWriter", "write_rows"]


class OperationWriter:
    """The operations of one load in one process."""

    def __init__(self, folder: Path, load: str, rate: float) -> None:
        """Makes the file; raises OSError."""
        self._schema = schema_of(Header(load, rate))
        self._file = open_private(folder / f"{PREFIX}{load}-{os.getpid()}{SUFFIX}", "wb")
        self._stream = pa.ipc.new_stream(self._file, self._schema)
        write_batch(self._stream, as_batch(self._schema, []))
        self._file.flush()

    def write(self, operations: Sequence[Sequence[Any]]) -> None:
        """Appends operations, each with the fields of an Operation but for its load; when this
        returns they survive our death. Raises OSError."""
        write_batch(self._stream, as_batch(self._schema, operations))
        self._file.flush()


def write_rows(folder: Path, load: str, rows: ReadBack) -> None:
    """The rows that the load's writes left, in one step: the file is there whole or not at all."""
    write_whole(folder / f"{ROWS}{load}{SUFFIX}", rows_as_bytes(rows))
