"""Arrow's IPC streams: batches of columns as messages, one after another, that any reader of Arrow
can read (https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format).

No library is used: arro3 cannot write the metadata of a batch, where its checksum stands, nanoarrow
cannot write names, and pyarrow takes 180 MB. The types of columns are those of `arrow_schema.Kind`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from typing import BinaryIO, NamedTuple

from chaosaws_kms_ext.history.arrow_buffers import Body, Joined, Written
from chaosaws_kms_ext.history.arrow_columns import Batch, Names, Texts
from chaosaws_kms_ext.history.arrow_schema import (
    Field,
    Kind,
    Schema,
    ids_of_names,
    pairs_in,
    pairs_of,
)
from chaosaws_kms_ext.history.flatbuffer import New, Number, Table, encoded, root_of

__all__ = [
    "CONTINUATION",
    "END",
    "Decoder",
    "Encoder",
    "Message",
    "description_of",
    "length_in",
    "next_batch",
    "read_message",
]

CONTINUATION = b"\xff\xff\xff\xff"
"""How every message begins; then comes the length of its description, in 4 bytes."""

END = CONTINUATION + bytes(4)
"""The end marker: a message of no length."""

SCHEMA, NAMES, BATCH = 1, 2, 3
"""The kinds of messages, as Arrow numbers them; NAMES: a dictionary."""

VERSION = 4
"""Of the format: V5, since Arrow 1.0."""

LONGEST = 1 << 30
"""Bytes: no part of a message is longer."""
LONGEST_DESCRIPTION = (1 << 16) - 1
"""The same of its description, which has about 1,500."""
BEGIN = re.compile(re.escape(CONTINUATION) + rb"(?=..\0\0)", re.DOTALL)
"""Where a message may begin, by the length of its description."""


class Message(NamedTuple):
    """A message of a stream."""

    table: Table
    """Its description."""
    body: bytes

    @property
    def kind(self) -> int:
        """SCHEMA, NAMES or BATCH; raises ValueError."""
        return self.table.number(1, "<B")

    @property
    def header(self) -> Table:
        """What it is about; raises ValueError."""
        found = self.table.table(2)
        if found is None:
            raise ValueError("a message is about nothing")
        return found

    @property
    def said(self) -> dict[bytes, bytes]:
        """What is said beside; raises ValueError."""
        return pairs_in(self.table, 4)


def length_in(start: bytes) -> int:
    """How long the description is of a message that begins with these 8 bytes; raises
    ValueError."""
    if len(start) < len(END):
        raise ValueError("it is cut off")
    if not start.startswith(CONTINUATION):
        raise ValueError("no message begins there")
    length = int.from_bytes(start[4:8], "little")
    if length > LONGEST_DESCRIPTION:
        raise ValueError(f"a description has {length} bytes")
    return length


def description_of(content: bytes) -> tuple[Table, int]:
    """The description of a message, and how long its body is; raises ValueError."""
    table = root_of(content)
    if table.number(0, "<h") != VERSION:
        raise ValueError("a message is of another version of Arrow")
    return table, table.number(3, "<q")


def read_message(file: BinaryIO) -> Message | None:
    """The next one; None at the end. Raises OSError, and ValueError for what is no whole one."""
    start = file.read(len(END))
    length = length_in(start) if start else 0
    if not length:
        return None
    table, size = description_of(_part(file, length))
    return Message(table, _part(file, size))


def _part(file: BinaryIO, size: int) -> bytes:
    if not 0 <= size <= LONGEST:
        raise ValueError(f"a part of a message has {size} bytes")
    found = file.read(size)
    if len(found) < size:
        raise ValueError("it is cut off")
    return found


def next_batch(content: bytes, after: int) -> int | None:
    """Where the next whole batch begins, if one does."""
    places = (found.start() for found in BEGIN.finditer(content, after))
    return next((place for place in places if _is_batch(content, place)), None)


def _is_batch(content: bytes, at: int) -> bool:
    begin = at + len(END)
    try:
        end = begin + length_in(content[at:begin])
        if not begin < end <= len(content):
            return False
        table, size = description_of(content[begin:end])
        message = Message(table, b"")
        if message.kind != BATCH or not 0 <= size <= len(content) - end:
            return False
        Written(message.header, b"")
    except ValueError:
        return False
    return True


class Decoder:
    """Takes the messages of a stream in their order."""

    def __init__(self) -> None:
        self._schema: Schema | None = None
        self._ids: dict[int, str] = {}
        self._names: dict[str, tuple[str, ...]] = {}

    @property
    def schema(self) -> Schema:
        """That of the stream; raises ValueError before it has come."""
        if self._schema is None:
            raise ValueError("a stream begins with its schema")
        return self._schema

    def take(self, message: Message) -> Written | None:
        """A batch, or None: the message tells of those that come. Raises ValueError."""
        kind, header = message.kind, message.header
        if kind == SCHEMA and self._schema is None:
            self._schema, self._ids = Schema.of(header), ids_of_names(header)
        elif kind == NAMES:
            self._take_names(header, message.body)
        elif kind == BATCH:
            found = Written(header, message.body)
            if len(found.nodes) != 2 * len(self.schema.fields):
                raise ValueError("a batch has other columns than its stream")
            return found
        else:
            raise ValueError("a message is of a kind that does not come there")
        return None

    def batch(self, parts: Sequence[Written]) -> Batch:
        """The columns of batches, one after another; raises ValueError."""
        return Joined(parts).batch(self.schema, self._names)

    def _take_names(self, header: Table, body: bytes) -> None:
        column, its = self._ids.get(header.number(0, "<q")), header.table(1)
        if column is None or its is None or header.number(2, "<B"):
            raise ValueError("names belong to no column")
        schema = Schema((Field(column, Kind.TEXT, nullable=False),))
        found = Joined([Written(its, body)]).batch(schema, {}).texts(column)
        names = tuple(found.texts)
        if self._names.setdefault(column, names) != names:
            raise ValueError(f"the names of the column {column:.40} change")


class Encoder:
    """Makes the messages of a stream."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._names: dict[str, tuple[str, ...]] = {}

    def head(self) -> bytes:
        """The first message."""
        return _message(SCHEMA, self._schema.as_table())

    def batch(self, batch: Batch, said: Mapping[bytes, bytes] | None = None) -> bytes:
        """A batch, after the names that it needs; `said`: what is said beside.

        Names that change come again: `Decoder` takes no such stream, others do. Raises ValueError
        for texts that are none.
        """
        fields = self._schema.fields
        before = [
            self._names_of(number, field.name, its)
            for number, field in enumerate(fields)
            if isinstance(its := batch.columns[field.name], Names)
        ]
        body = Body.of(batch.rows, [(batch.columns[each.name], each.kind) for each in fields])
        return b"".join(before) + _message(BATCH, body.header, body.content, said)

    def _names_of(self, number: int, column: str, its: Names) -> bytes:
        if self._names.get(column) == its.names:
            return b""
        self._names[column] = its.names
        body = Body.of(len(its.names), [(Texts.of(its.names), Kind.TEXT)])
        return _message(NAMES, New([Number("<q", number), body.header]), body.content)


def _message(
    kind: int, header: New, body: bytes = b"", said: Mapping[bytes, bytes] | None = None
) -> bytes:
    described = encoded(
        New(
            [
                Number("<h", VERSION),
                Number("<B", kind),
                header,
                Number("<q", len(body)),
                pairs_of(said) if said else None,
            ]
        )
    )
    return CONTINUATION + struct.pack("<I", len(described)) + described + body
