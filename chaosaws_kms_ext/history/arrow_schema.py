"""The columns of an Arrow stream, and their description in its first message.

https://github.com/apache/arrow/blob/main/format/Schema.fbs has the numbers of fields and types.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from chaosaws_kms_ext.history.flatbuffer import New, Number, Table

__all__ = ["Field", "Kind", "Schema", "ids_of_names", "pairs_in", "pairs_of"]

INT, TEXT, BOOL, TIMESTAMP = 2, 5, 6, 10
"""Arrow's numbers of the types that are used here."""
NANOSECONDS = 3


class Kind(Enum):
    """The types of columns that are used here."""

    INT32 = "int32"
    INT64 = "int64"
    BOOL = "bool"
    TEXT = "text"
    UTC = "an instant, ns since 1970"
    NAME8 = "a name out of a few, as int8"
    NAME32 = "a name out of a few, as int32"

    @property
    def width(self) -> DTypeLike | None:
        """As what its numbers, or those of its names, stand in a batch; None: it has other
        values."""
        return WIDTHS.get(self)

    @property
    def is_name(self) -> bool:
        """Whether the names stand in a message of their own."""
        return self in (Kind.NAME8, Kind.NAME32)


WIDTHS: Mapping[Kind, DTypeLike] = {
    Kind.INT32: np.int32, Kind.INT64: np.int64, Kind.UTC: np.int64,
    Kind.NAME8: np.int8, Kind.NAME32: np.int32,
}  # fmt: skip


class Field(NamedTuple):
    """A column."""

    name: str
    kind: Kind
    nullable: bool = True


class Schema(NamedTuple):
    """What a stream holds."""

    fields: tuple[Field, ...]
    metadata: Mapping[bytes, bytes] = {}

    def as_table(self) -> New:
        """As Arrow describes it. The names of a column go by the column's number."""
        fields = [_field(number, each) for number, each in enumerate(self.fields)]
        return New([Number("<h", 0), fields, pairs_of(self.metadata)])

    @classmethod
    def of(cls, table: Table) -> Schema:
        """The opposite; raises ValueError."""
        if table.number(0, "<h"):
            raise ValueError("its numbers begin with their largest part")
        fields = tuple(_field_of(each) for each in table.tables(1))
        return cls(fields, pairs_in(table, 2))


def ids_of_names(table: Table) -> dict[int, str]:
    """Of a schema that is described so, the columns of names by the ids under which their names
    come; raises ValueError."""
    return {
        its.number(0, "<q"): each.text(0).decode()
        for each in table.tables(1)
        if (its := each.table(4)) is not None
    }


def pairs_of(metadata: Mapping[bytes, bytes]) -> list[New]:
    """What is said beside."""
    return [New([key, value]) for key, value in metadata.items()]


def pairs_in(table: Table, field: int) -> dict[bytes, bytes]:
    """The opposite; raises ValueError."""
    return {each.text(0): each.text(1) for each in table.tables(field)}


class Description(NamedTuple):
    """What Arrow says of the type of a column, or of the values of its names."""

    type: int
    details: tuple[int | bytes, ...]
    """Of an integer its bits, and whether it has a sign; of an instant the unit and the zone."""
    index_bits: int = 0
    """Of the numbers of names."""


DESCRIPTIONS: Mapping[Kind, Description] = {
    Kind.INT32: Description(INT, (32, 1)),
    Kind.INT64: Description(INT, (64, 1)),
    Kind.BOOL: Description(BOOL, ()),
    Kind.TEXT: Description(TEXT, ()),
    Kind.UTC: Description(TIMESTAMP, (NANOSECONDS, b"UTC")),
    Kind.NAME8: Description(TEXT, (), 8),
    Kind.NAME32: Description(TEXT, (), 32),
}
KINDS = {description: kind for kind, description in DESCRIPTIONS.items()}


def _field(number: int, field: Field) -> New:
    its = DESCRIPTIONS[field.kind]
    names = New([Number("<q", number), _integer(its.index_bits)]) if its.index_bits else None
    return New(
        [
            field.name.encode(),
            Number("<B", field.nullable),
            Number("<B", its.type),
            _type(its),
            names,
            [],
        ]
    )


def _type(its: Description) -> New:
    if its.type == INT:
        return _integer(int(its.details[0]))
    if its.type == TIMESTAMP:
        return New([Number("<h", int(its.details[0])), its.details[1]])
    return New([])


def _integer(bits: int) -> New:
    return New([Number("<i", bits), Number("<B", 1)])


def _field_of(table: Table) -> Field:
    name = table.text(0).decode()
    type_, details = table.number(2, "<B"), table.table(3)
    if details is None:
        raise ValueError(f"the column {name!r:.40} has no type")
    said: tuple[Any, ...] = ()
    if type_ == INT:
        said = (details.number(0, "<i"), details.number(1, "<B"))
    elif type_ == TIMESTAMP:
        said = (details.number(0, "<h"), details.text(1))
    kind = KINDS.get(Description(type_, said, _index_bits(table)))
    if kind is None:
        raise ValueError(f"the column {name!r:.40} has a type that is not of these records")
    return Field(name, kind, bool(table.number(1, "<B")))


def _index_bits(table: Table) -> int:
    """0: its values are no names."""
    names = table.table(4)
    if names is None:
        return 0
    index = names.table(1)  # without one it is an int32
    return index.number(0, "<i") if index is not None and index.number(1, "<B") else -1
