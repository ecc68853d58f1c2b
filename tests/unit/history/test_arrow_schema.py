"""Schemas are those that pyarrow, an implementation of its own, reads and writes."""

from __future__ import annotations

import pyarrow as pa
import pytest

from chaosaws_kms_ext.history.arrow_schema import Field, Kind, Schema, ids_of_names
from chaosaws_kms_ext.history.arrow_stream import Encoder, description_of

TYPES = {
    Kind.INT32: pa.int32(),
    Kind.INT64: pa.int64(),
    Kind.BOOL: pa.bool_(),
    Kind.TEXT: pa.string(),
    Kind.UTC: pa.timestamp("ns", "UTC"),
    Kind.NAME8: pa.dictionary(pa.int8(), pa.string()),
    Kind.NAME32: pa.dictionary(pa.int32(), pa.string()),
}
OURS = Schema(
    tuple(Field(f"{kind.name} ü", kind, nullable) for kind in Kind for nullable in (True, False)),
    {b"load": b"main", b"empty": b"", b"bytes": b"\xff\0"},
)
THEIRS = pa.schema(
    [
        pa.field(f"{kind.name} ü", TYPES[kind], nullable)
        for kind in Kind
        for nullable in (True, False)
    ],
    OURS.metadata,
)


def table_of(message):
    return description_of(message[8:])[0].table(2)


def test_others_read_what_is_written_and_their_own_is_read():
    ours = pa.ipc.read_schema(pa.py_buffer(Encoder(OURS).head()))
    assert ours.equals(THEIRS, check_metadata=True)
    assert Schema.of(table_of(THEIRS.serialize().to_pybytes())) == OURS
    assert Schema.of(table_of(Encoder(OURS).head())) == OURS


def test_names_go_by_an_id_of_their_own():
    columns = {name for kind in (Kind.NAME8, Kind.NAME32) for name in (f"{kind.name} ü",)}
    for message in (Encoder(OURS).head(), THEIRS.serialize().to_pybytes()):
        assert set(ids_of_names(table_of(message)).values()) == columns


@pytest.mark.parametrize(
    "other",
    [
        pa.int8(), pa.uint32(), pa.uint64(), pa.float64(), pa.large_string(), pa.binary(),
        pa.timestamp("ns"), pa.timestamp("us", "UTC"), pa.timestamp("ns", "CET"),
        pa.dictionary(pa.int16(), pa.string()), pa.dictionary(pa.uint8(), pa.string()),
        pa.dictionary(pa.int8(), pa.int64()), pa.list_(pa.int32()), pa.null(),
    ],
    ids=str,
)  # fmt: skip
def test_a_type_that_no_record_has_is_refused_and_its_column_is_named(other):
    message = pa.schema([("a", pa.int32()), ("b", other)]).serialize().to_pybytes()
    with pytest.raises(ValueError, match="the column 'b' has a type that is not of these records"):
        Schema.of(table_of(message))
