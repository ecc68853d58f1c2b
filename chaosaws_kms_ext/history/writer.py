"""Writes a history's files, so that a crash leaves what came before readable."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.files import open_private, write_whole
from chaosaws_kms_ext.history.arrow_stream import END
from chaosaws_kms_ext.history.columns import ReadBack
from chaosaws_kms_ext.history.operations_file import PREFIX, SUFFIX, Header, Recording, as_batch
from chaosaws_kms_ext.history.rows_file import ROWS, rows_as_bytes
from chaosaws_kms_ext.history.stream_end import Summed, closing_line

__all__ = ["OperationStream", "OperationWriter", "write_rows"]


class OperationStream:
    """The operations of one process of a load."""

    def __init__(self, header: Header, file: Any) -> None:
        """`file` takes the bytes; raises OSError."""
        self._recording = Recording(header)
        self._file = Summed(file)
        self._ended = ""
        """Why nothing more can be written."""
        self._write(self._recording.head())

    def write(self, operations: Sequence[Sequence[Any]]) -> None:
        """Appends operations, each with the fields of an Operation but for its load; when this
        returns they survive our death. Raises OSError, and does so from then on: nothing may
        follow a batch that is not whole."""
        if self._ended:
            raise OSError(self._ended)
        self._write(self._recording.batch(as_batch(operations)))

    def close(self) -> None:
        """Nothing is missing: whoever reads the file sees that. Raises OSError."""
        if not self._ended:
            self._ended = "the records are closed"
            self._file.write(END)
            self._file.write(closing_line(self._file.crc))
            self._file.flush()

    def _write(self, content: bytes) -> None:
        try:
            self._file.write(content)
            self._file.flush()
        except OSError as problem:
            self._ended = str(problem)
            raise


class OperationWriter(OperationStream):
    """The same to a file in a history's folder."""

    def __init__(self, folder: Path, load: str, rate: float, **more: Any) -> None:
        """Makes the file; `more`: what else its header says. Raises OSError."""
        file = open_private(folder / f"{PREFIX}{load}-{os.getpid()}{SUFFIX}", "wb")
        super().__init__(Header(load, rate, **more), file)


def write_rows(folder: Path, load: str, rows: ReadBack) -> None:
    """The rows that the load's writes left, in one step: the file is there whole or not at all."""
    write_whole(folder / f"{ROWS}{load}{SUFFIX}", rows_as_bytes(rows))
