"""Columns as they stand in the body of an Arrow message, and back.

https://arrow.apache.org/docs/format/Columnar.html: a bitmap of what is not null, which may be left
out; of texts their offsets; the values. Each begins at a multiple of 8 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from chaosaws_kms_ext.history.arrow_columns import Batch, Column, Mask, Names, Numbers, Texts
from chaosaws_kms_ext.history.arrow_schema import Field, Kind, Schema
from chaosaws_kms_ext.history.flatbuffer import Integers, New, Number, Table

__all__ = ["Body", "Joined", "Written"]

LONGEST = 1 << 30
"""Rows: no batch has more."""


class Written:
    """A batch, or names, as they were written: `Joined` makes columns of it."""

    __slots__ = ("body", "buffers", "nodes", "rows")

    def __init__(self, header: Table, body: bytes) -> None:
        """`header`: Arrow's table `RecordBatch`. Raises ValueError."""
        self.body = body
        self.rows = header.number(0, "<q")
        """How many it says that it has."""
        self.nodes = header.integers(1, 2)
        """Of each column its length, and how many are null."""
        self.buffers = header.integers(2, 2)
        """Of each buffer where it begins in the body, and its length."""
        if not 0 <= self.rows <= LONGEST or min(self.buffers, default=0) < 0:
            raise ValueError(f"a batch is described wrongly: {self.rows} rows")
        if header.table(3) is not None:
            raise ValueError("a batch is compressed")

    def buffer(self, number: int, size: int) -> bytes:
        """The first bytes of a buffer; fewer where the body is too short, which whoever asks has to
        see. Raises IndexError."""
        begin = self.buffers[2 * number]
        return self.body[begin : begin + size]


class Joined:
    """Batches of one stream, one after another."""

    def __init__(self, parts: Sequence[Written]) -> None:
        self._parts = parts
        self.rows = sum(part.rows for part in parts)

    def batch(self, schema: Schema, names: dict[str, tuple[str, ...]]) -> Batch:
        """Their columns; raises ValueError where they are not as the schema and themselves say."""
        number, columns = 0, dict[str, Column]()
        for place, field in enumerate(schema.fields):
            try:
                columns[field.name] = self.column(field, place, number, names.get(field.name, ()))
            except (IndexError, ValueError) as problem:
                raise ValueError(f"the column {field.name}: {problem}") from problem
            number += 3 if field.kind is Kind.TEXT else 2
        return Batch(self.rows, columns)

    def column(self, field: Field, place: int, number: int, names: tuple[str, ...]) -> Column:
        """One of them, whose buffers begin with this number; raises ValueError and IndexError."""
        nulls = []
        for part in self._parts:
            if part.nodes[2 * place] != part.rows:
                raise ValueError("it has another length than its batch")
            nulls.append(part.nodes[2 * place + 1])
        some = any(nulls)
        if some and not field.nullable:
            raise ValueError("it has nulls")
        if field.kind is Kind.TEXT:
            return self._texts(number, nulls)
        width = field.kind.width
        values = self._bits(number + 1) if width is None else self._numbers(number + 1, width)
        if not field.kind.is_name:
            return Numbers(values, self._bits(number, nulls) if some else None)
        unsigned = values.view(f"u{values.itemsize}")
        if some or (self.rows and int(unsigned.max()) >= len(names)):
            raise ValueError("it has numbers without a name")
        return Names(values, names)

    def _numbers(self, number: int, width: DTypeLike) -> NDArray[Any]:
        size = np.dtype(width).itemsize
        place = 2 * number  # a call for each is half of the time
        found = b"".join(
            [
                part.body[(begin := part.buffers[place]) : begin + part.rows * size]
                for part in self._parts
            ]
        )
        if len(found) != self.rows * size:
            raise ValueError("its numbers are cut off")
        return np.frombuffer(found, width)

    def _bits(self, number: int, nulls: Sequence[int] | None = None) -> Mask:
        """Of a bitmap; with `nulls`, of those of each batch, one that has none may be left out."""
        pieces = []
        for place, part in enumerate(self._parts):
            size = (part.rows + 7) // 8
            there = nulls is None or nulls[place]
            pieces.append(part.buffer(number, size) if there else b"\xff" * size)
            if len(pieces[-1]) < size:
                raise ValueError("its bits are cut off")
        found = b"".join(pieces)
        bits = np.unpackbits(np.frombuffer(found, np.uint8), bitorder="little").view(np.bool_)
        return bits[self._used]

    @cached_property
    def _used(self) -> Mask:
        """Which bits of a bitmap are of rows: that of each batch has whole bytes."""
        found = np.zeros(8 * sum((part.rows + 7) // 8 for part in self._parts), np.bool_)
        begin = 0
        for part in self._parts:
            found[begin : begin + part.rows] = True
            begin += -(-part.rows // 8) * 8
        return found

    def _texts(self, number: int, nulls: Sequence[int]) -> Texts:
        begins = np.cumsum([0, *(part.rows for part in self._parts)])
        # Most batches have none, and take no time.
        some = [place for place, part in enumerate(self._parts) if nulls[place] != part.rows]
        found = Joined([self._parts[place] for place in some])
        its, texts = found._texts_there(number, [nulls[place] for place in some])
        shifts = begins[some] - np.cumsum([0, *(part.rows for part in found._parts)])[:-1]
        places = its + np.repeat(shifts, [part.rows for part in found._parts])[its]
        return Texts(self.rows, places, texts)

    def _texts_there(
        self, number: int, nulls: Sequence[int]
    ) -> tuple[NDArray[np.int64], list[str]]:
        """The rows that have a text, and theirs."""
        if not self.rows:
            return np.zeros(0, np.int64), []
        # A batch has one offset more than rows: where its last text ends.
        sizes = np.array([part.rows + 1 for part in self._parts])
        joined = b"".join([part.buffer(number + 1, 4 * (part.rows + 1)) for part in self._parts])
        if len(joined) != 4 * int(sizes.sum()):
            raise ValueError("its offsets are cut off")
        offsets = np.frombuffer(joined, np.int32).astype(np.int64)
        lasts = np.cumsum(sizes) - 1
        inner = np.ones(len(offsets), np.bool_)
        inner[lasts] = False
        begins = np.flatnonzero(inner)
        if np.any(offsets < 0) or np.any(offsets[begins + 1] < offsets[begins]):
            raise ValueError("its offsets are not in order")
        ends = offsets[lasts].tolist()
        pieces = [part.buffer(number + 2, end) for part, end in zip(self._parts, ends, strict=True)]
        if [len(piece) for piece in pieces] != ends:
            raise ValueError("its texts are cut off")
        offsets += np.repeat(np.cumsum([0, *ends[:-1]]), sizes)
        places = np.flatnonzero(self._bits(number, nulls)) if any(nulls) else np.arange(self.rows)
        begins = begins[places]
        texts = _decoded(b"".join(pieces), offsets[begins].tolist(), offsets[begins + 1].tolist())
        return places, texts


def _decoded(data: bytes, begins: Sequence[int], ends: Sequence[int]) -> list[str]:
    found = [data[begin:end] for begin, end in zip(begins, ends, strict=True)]
    texts = {each: each.decode() for each in set(found)}  # of millions few are different
    return [texts[each] for each in found]


class Body(NamedTuple):
    """Columns as they are written: the description, and the bytes."""

    header: New
    """Arrow's table `RecordBatch`."""
    content: bytes

    @classmethod
    def of(cls, rows: int, columns: Sequence[tuple[Column, Kind]]) -> Body:
        """These; raises ValueError where a text is none."""
        nodes, places, content = list[int](), list[int](), bytearray()
        for column, kind in columns:
            if len(column) != rows:
                raise ValueError(f"a column has {len(column)} rows, and its batch {rows}")
            nulls, buffers = _buffers_of(column, kind)
            nodes += (rows, nulls)
            for each in buffers:
                places += (len(content), len(each))
                content += each + bytes(-len(each) % 8)
        header = New([Number("<q", rows), Integers(2, nodes), Integers(2, places)])
        return cls(header, bytes(content))


def _buffers_of(column: Column, kind: Kind) -> tuple[int, list[bytes]]:
    """How many are null, and the bytes of each buffer."""
    if isinstance(column, Texts):
        nulls = column.length - len(column.texts)
        each = [text.encode() for text in column.texts]
        ends = np.zeros(column.length + 1, np.int64)
        ends[column.places + 1] = [len(text) for text in each]
        np.cumsum(ends, out=ends)
        if int(ends[-1]) > LONGEST:
            raise ValueError("the texts of a batch are too long")
        bitmap = _packed(column.is_there) if nulls else b""
        return nulls, [bitmap, ends.astype(np.int32).tobytes(), b"".join(each)]
    if isinstance(column, Names):
        return 0, [b"", column.codes.astype(kind.width).tobytes()]
    values = column.values
    content = _packed(values) if kind.width is None else values.astype(kind.width).tobytes()
    if column.valid is None or column.valid.all():
        return 0, [b"", content]
    return int(np.count_nonzero(~column.valid)), [_packed(column.valid), content]


def _packed(bits: Mask) -> bytes:
    return np.packbits(bits, bitorder="little").tobytes()
