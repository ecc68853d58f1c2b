"""How a file of records ends: closed in order, torn off, or damaged.

A process that ends in order closes its stream: Arrow's end marker, at which every reader of such
streams stops, and after it a line with the CRC-32 of all bytes before it. A file without that line
is of a process that was killed: its last message may be torn off, and nothing else may be wrong.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.history.arrow_stream import (
    CONTINUATION,
    END,
    description_of,
    length_in,
    next_batch,
)

__all__ = [
    "MOST",
    "HistoryDamaged",
    "Summed",
    "check_closing_line",
    "check_end",
    "closing_line",
    "is_closed",
    "is_whole",
]

LINE = re.compile(rb"crc32 [0-9a-f]{8}\n")
LENGTH = len(b"crc32 01234567\n")

MOST = 1 << 24
"""Bytes that a message of a load has at most, by far: it is what was recorded in 0.2 s."""


class HistoryDamaged(PlainError):
    """A file is no history, or is broken elsewhere than at its end."""


class Summed:
    """Takes bytes as a file does, hands them on, and knows their CRC-32."""

    closed = False

    def __init__(self, file: Any) -> None:
        self._file = file
        self.crc = 0

    def write(self, data: Any) -> int:
        """As a file does."""
        self._file.write(data)
        self.crc = zlib.crc32(data, self.crc)
        return len(data)

    def flush(self) -> None:
        """As a file does."""
        self._file.flush()


def closing_line(crc: int) -> bytes:
    """The last line of a file whose bytes before it have this CRC-32."""
    return b"crc32 %08x\n" % crc


def check_closing_line(content: bytes) -> None:
    """Raises ValueError where a file has no such line, or other bytes before it."""
    line = content[-LENGTH:]
    if not LINE.fullmatch(line):
        raise ValueError("its end is missing")
    if line != closing_line(zlib.crc32(content[:-LENGTH])):
        raise ValueError("its checksum is not that of its bytes")


def is_whole(path: Path) -> bool:
    """Whether the file was closed in order, and its bytes are what was written; raises OSError."""
    with path.open("rb") as file:
        line = _last_line(file)
        return bool(line) and line == closing_line(_crc(file, file.seek(0, 2) - LENGTH))


def is_closed(path: Path) -> bool:
    """Whether whoever wrote the file closed it in order; raises OSError."""
    with path.open("rb") as file:
        return bool(_last_line(file))


def check_end(path: Path, at: int, problem: object) -> None:
    """Raises HistoryDamaged, unless what stands in a file from byte `at` on is a torn end.

    `at`: where the message begins that could not be read; `problem`: why it could not.
    """
    with path.open("rb") as file:
        size, closed = file.seek(0, 2), bool(_last_line(file))
        file.seek(at)
        # What a load that still runs writes meanwhile is none of it.
        rest = file.read(max(min(MOST, size - at), 0))
        if END.startswith(rest[: len(END)]):
            closing = END + closing_line(zlib.crc32(END, _crc(file, at)))
            if closing.startswith(rest):
                return
            problem = "what follows its end is not the checksum of its bytes"
        elif not closed and size - at < MOST and _is_torn(rest):
            return
    found = next_batch(rest, 1)
    if found is not None:
        lost = f"{found} bytes"
    else:
        lost = f"all {size - at} bytes" if size - at <= MOST else f"at least {MOST} bytes"
    why = (str(problem).splitlines() or [repr(problem)])[0][:200]
    raise HistoryDamaged(
        f"{path.name} is damaged: {lost} from byte {at} of {size} on cannot be read: {why}"
    )


def _last_line(file: BinaryIO) -> bytes:
    """The line of a file that was closed in order; empty: it was not."""
    file.seek(max(file.seek(0, 2) - LENGTH, 0))
    line = file.read()
    return line if LINE.fullmatch(line) else b""


def _crc(file: BinaryIO, until: int) -> int:
    """Of the bytes before a place."""
    file.seek(0)
    crc = 0
    while until > 0 and (block := file.read(min(until, 1 << 20))):
        crc = zlib.crc32(block, crc)
        until -= len(block)
    return crc


def _is_torn(rest: bytes) -> bool:
    """Whether this can be what is left of one message, and nothing else."""
    if not rest.strip(b"\0"):
        return True  # a machine that lost its power: the file had grown, and was not written
    if len(rest) < len(END):
        return CONTINUATION.startswith(rest[: len(CONTINUATION)])
    try:
        end = len(END) + length_in(rest[: len(END)])
        if len(rest) >= end:
            end += description_of(rest[len(END) : end])[1]
    except ValueError:
        return False
    return len(rest) < end <= MOST and next_batch(rest, 1) is None
