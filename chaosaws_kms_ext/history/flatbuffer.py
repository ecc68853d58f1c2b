"""FlatBuffers, the encoding in which Arrow describes schemas and batches: read, and made.

Only what Arrow needs of it (https://flatbuffers.dev/internals): tables, texts, vectors of both, and
vectors of integers. Whatever is read is within the buffer, or ValueError is raised.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["Integers", "New", "Number", "Table", "encoded", "root_of"]


_SIGNED, _UNSIGNED, _ENTRY = struct.Struct("<i"), struct.Struct("<I"), struct.Struct("<H")
"""An offset to the fields of a table, any other offset or length, and where a field is."""

MOST = 256
"""Tables of a vector, or its elements of integers: many offsets can point to the same bytes, and
what they point to is copied for each."""


class Table:
    """A table in a buffer. Its fields go by number, from 0 on, as they stand in Arrow's .fbs
    files; one that is not there has its default."""

    __slots__ = ("_at", "_data", "_end", "_fields")

    def __init__(self, data: bytes, at: int) -> None:
        """`at`: the byte where it begins; raises ValueError."""
        try:
            self._data, self._at = data, at
            self._fields = at - _SIGNED.unpack_from(data, at)[0]
            if self._fields < 0:
                raise ValueError(OUTSIDE)
            self._end = _ENTRY.unpack_from(data, self._fields)[0]
        except struct.error:
            raise ValueError(OUTSIDE) from None

    def number(self, field: int, format_: str) -> int:
        """A field of this `struct` format; raises ValueError."""
        try:
            at = self._place(field)
            found: int = struct.unpack_from(format_, self._data, at)[0] if at else 0
        except struct.error:
            raise ValueError(OUTSIDE) from None
        return found

    def table(self, field: int) -> Table | None:
        """Another table; raises ValueError."""
        try:
            at = self._place(field)
            return Table(self._data, _target(self._data, at)) if at else None
        except struct.error:
            raise ValueError(OUTSIDE) from None

    def text(self, field: int) -> bytes:
        """A text; none is empty. Raises ValueError."""
        begin, length = self._vector(field, 1)
        return self._data[begin : begin + length]

    def tables(self, field: int) -> list[Table]:
        """A vector of tables; raises ValueError."""
        begin, length = self._vector(field, 4, MOST)
        places = range(begin, begin + 4 * length, 4)
        return [Table(self._data, _target(self._data, place)) for place in places]

    def integers(self, field: int, per_element: int) -> tuple[int, ...]:
        """A vector of so many int64 per element, all in one row; raises ValueError."""
        begin, length = self._vector(field, 8 * per_element, MOST)
        return struct.unpack_from(f"<{length * per_element}q", self._data, begin)

    def _place(self, field: int) -> int:
        """Where a field is; 0: it is not there. Raises struct.error."""
        entry = 4 + 2 * field
        if entry >= self._end:
            return 0
        offset: int = _ENTRY.unpack_from(self._data, self._fields + entry)[0]
        return self._at + offset if offset else 0

    def _vector(self, field: int, width: int, most: int | None = None) -> tuple[int, int]:
        """Where its elements of so many bytes begin, and how many there are; raises ValueError."""
        try:
            at = self._place(field)
            if not at:
                return 0, 0
            begin = _target(self._data, at)
            length: int = _UNSIGNED.unpack_from(self._data, begin)[0]
        except struct.error:
            raise ValueError(OUTSIDE) from None
        if begin + 4 + length * width > len(self._data):
            raise ValueError(OUTSIDE)
        if most is not None and length > most:
            raise ValueError(f"a description has a list of {length}, and {most} at most")
        return begin + 4, length


OUTSIDE = "a description points out of its message"


def root_of(data: bytes) -> Table:
    """The table that a buffer is about; raises ValueError."""
    if len(data) < _UNSIGNED.size:
        raise ValueError(OUTSIDE)
    return Table(data, _target(data, 0))


def _target(data: bytes, at: int) -> int:
    """What the offset at a place points to; raises struct.error."""
    found: int = at + _UNSIGNED.unpack_from(data, at)[0]
    return found


class Number(NamedTuple):
    """A field of a table, or an element of a vector."""

    format: str
    """Of `struct`, with the byte order."""
    value: int


class Integers(NamedTuple):
    """A vector of elements that have so many int64 each."""

    per_element: int
    values: Sequence[int]


class New(NamedTuple):
    """A table to be made: its fields by number; None is not there. A field is a Number, a text
    (bytes), Integers, a New, or a list of New."""

    fields: Sequence[Any]


def encoded(table: New) -> bytes:
    """A buffer about this table, of a multiple of 8 bytes."""
    out = bytearray(4)
    waiting: deque[tuple[int, Any]] = deque([(0, table)])
    while waiting:
        place, value = waiting.popleft()
        begin, targets = _append(out, value)
        struct.pack_into("<I", out, place, begin - place)
        waiting += targets
    _pad(out, 8)
    return bytes(out)


def _append(out: bytearray, value: Any) -> tuple[int, list[tuple[int, Any]]]:
    """Where it begins, and what has to come after it: the places of offsets, each with its
    target."""
    if isinstance(value, New):
        return _append_table(out, value)
    if isinstance(value, bytes):
        _pad(out, 4)
        begin = len(out)
        out += struct.pack("<I", len(value)) + value + b"\0"
        return begin, []
    if isinstance(value, Integers):
        _pad(out, 8, 4)
        begin = len(out)
        number = len(value.values)
        out += struct.pack(f"<I{number}q", number // value.per_element, *value.values)
        return begin, []
    _pad(out, 4)
    begin = len(out)
    out += struct.pack("<I", len(value)) + bytes(4 * len(value))
    return begin, [(begin + 4 + 4 * place, each) for place, each in enumerate(value)]


def _append_table(out: bytearray, table: New) -> tuple[int, list[tuple[int, Any]]]:
    _pad(out, 2)
    entries = len(out)
    out += bytes(4 + 2 * len(table.fields))
    _pad(out, 8)
    begin = len(out)
    out += struct.pack("<i", begin - entries)
    targets = []
    for number, value in enumerate(table.fields):
        if value is None:
            continue
        format_, its = value if isinstance(value, Number) else ("<I", 0)
        _pad(out, struct.calcsize(format_))
        struct.pack_into("<H", out, entries + 4 + 2 * number, len(out) - begin)
        if not isinstance(value, Number):
            targets.append((len(out), value))
        out += struct.pack(format_, its)
    struct.pack_into("<HH", out, entries, 4 + 2 * len(table.fields), len(out) - begin)
    return begin, targets


def _pad(out: bytearray, width: int, before: int = 0) -> None:
    """Zeros, so that what comes after `before` more bytes is at a multiple of `width`."""
    out += bytes(-(len(out) + before) % width)
