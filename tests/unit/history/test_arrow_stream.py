"""Streams are those that two other implementations of Arrow read, pyarrow and that of Rust; and
what pyarrow writes is read."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest
from arro3.io import read_ipc_stream
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosaws_kms_ext.history.arrow_columns import Batch, Names, Numbers, Texts
from chaosaws_kms_ext.history.arrow_schema import Field, Kind, Schema
from chaosaws_kms_ext.history.arrow_stream import (
    END,
    Decoder,
    Encoder,
    next_batch,
    read_message,
)

FIELDS = (
    Field("writer", Kind.INT32, nullable=False),
    Field("at", Kind.INT64),
    Field("register", Kind.BOOL),
    Field("detail", Kind.TEXT),
    Field("kind", Kind.NAME8, nullable=False),
    Field("due", Kind.UTC),
    Field("load", Kind.NAME32),
)
SCHEMA = Schema(FIELDS, {b"load": b"main"})
THEIRS = pa.schema(
    [
        pa.field("writer", pa.int32(), nullable=False),
        pa.field("at", pa.int64()),
        pa.field("register", pa.bool_()),
        pa.field("detail", pa.string()),
        pa.field("kind", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("due", pa.timestamp("ns", "UTC")),
        pa.field("load", pa.dictionary(pa.int32(), pa.string())),
    ],
    {"load": "main"},
)
KINDS, LOADS = ("read", "write", "ü"), ("main",)

INT64 = st.integers(-(2**63), 2**63 - 1)
ROW = st.tuples(
    st.integers(-(2**31), 2**31 - 1),
    st.none() | INT64,
    st.none() | st.booleans(),
    st.none() | st.text(max_size=5),
    st.sampled_from(KINDS),
    st.none() | INT64,
    st.sampled_from(LOADS),
)
BATCHES = st.lists(st.lists(ROW, max_size=20), max_size=4)


def ours(rows):
    writer, at, register, detail, kind, due, load = zip(*rows, strict=True) if rows else [()] * 7
    columns = {
        "writer": Numbers.of(writer, np.int32),
        "at": Numbers.of(at, np.int64),
        "register": Numbers.of(register, np.bool_),
        "detail": Texts.of(detail),
        "kind": Names(np.array([KINDS.index(each) for each in kind], np.int8), KINDS),
        "due": Numbers.of(due, np.int64),
        "load": Names(np.array([LOADS.index(each) for each in load], np.int32), LOADS),
    }
    return Batch(len(rows), columns)


def theirs(rows):
    columns = [*zip(*rows, strict=True)] or [()] * 7
    arrays = [
        pa.array(its, field.type)
        for its, field in zip(columns, THEIRS, strict=True)
        if not pa.types.is_dictionary(field.type)
    ]
    for place, names, type_ in ((4, KINDS, pa.int8()), (6, LOADS, pa.int32())):
        codes = pa.array([names.index(each) for each in columns[place]], type_)
        arrays.insert(place, pa.DictionaryArray.from_arrays(codes, pa.array(names)))
    return pa.record_batch(arrays, schema=THEIRS)


def written(*batches):
    encoder = Encoder(SCHEMA)
    each = [encoder.batch(ours(rows), {b"crc32": b"%d" % n}) for n, rows in enumerate(batches)]
    return encoder.head() + b"".join(each) + END


def by_pyarrow(*batches):
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, THEIRS) as stream:
        for n, rows in enumerate(batches):
            stream.write_batch(theirs(rows), custom_metadata={"crc32": str(n)})
    return sink.getvalue()


def decoded(content):
    """What it says beside each batch, and all of their rows."""
    file, decoder, said, parts = io.BytesIO(content), Decoder(), [], []
    while (message := read_message(file)) is not None:
        if (part := decoder.take(message)) is not None:
            parts.append(part)
            said.append(message.said)
    assert decoder.schema == SCHEMA
    columns = decoder.batch(parts).columns.values()
    return said, list(zip(*(column.to_list() for column in columns), strict=True))


def numbers_of(batch):
    """The rows of a batch of pyarrow; instants as numbers."""
    due = batch.schema.get_field_index("due")
    columns = [
        column.cast(pa.int64()) if place == due else column
        for place, column in enumerate(batch.columns)
    ]
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


@settings(max_examples=40)
@given(batches=BATCHES)
def test_others_read_what_is_written(batches):
    content = written(*batches)
    with pa.ipc.open_stream(content) as stream:
        assert stream.schema.equals(THEIRS, check_metadata=True)
        for number, rows in enumerate(batches):
            batch, said = stream.read_next_batch_with_custom_metadata()
            batch.validate(full=True)
            assert numbers_of(batch) == rows
            assert dict(said) == {b"crc32": b"%d" % number}
        with pytest.raises(StopIteration):
            stream.read_next_batch()
    table = pa.table(read_ipc_stream(io.BytesIO(content)))
    assert numbers_of(table) == [row for rows in batches for row in rows]


@settings(max_examples=40)
@given(batches=BATCHES)
def test_what_is_written_by_this_and_by_pyarrow_is_read_batch_after_batch(batches):
    rows = [row for its in batches for row in its]
    said = [{b"crc32": b"%d" % number} for number in range(len(batches))]
    assert decoded(written(*batches)) == (said, rows)
    assert decoded(by_pyarrow(*batches)) == (said, rows)


def a_row(number):
    return (number, None, True, "ü", "read", -1, "main")


WHOLE = written([a_row(1)], [a_row(n) for n in range(9)])


@given(place=st.integers(0, len(WHOLE) - 1), byte=st.integers(0, 255))
def test_whatever_a_byte_becomes_nothing_but_valueerror_is_raised(place, byte):
    content = WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :]
    file, decoder, parts = io.BytesIO(content), Decoder(), []
    try:
        while (message := read_message(file)) is not None:
            if (part := decoder.take(message)) is not None:
                parts.append(part)
            assert isinstance(message.said, dict)
        batch = decoder.batch(parts)
    except ValueError:
        return
    assert all(len(column) == batch.rows for column in batch.columns.values())


def test_a_stream_that_is_cut_off_within_a_message_is_an_error():
    file, ends = io.BytesIO(WHOLE), [0]
    while read_message(file) is not None:
        ends.append(file.tell())
    for length in {*range(0, len(WHOLE), 7), *ends}:
        cut = io.BytesIO(WHOLE[:length])
        for _ in range(sum(0 < end <= length for end in ends)):
            assert read_message(cut) is not None
        if length in ends:
            assert read_message(cut) is None
        else:
            with pytest.raises(ValueError, match="cut off"):
                read_message(cut)


def test_batches_are_found_among_other_bytes():
    file, found = io.BytesIO(WHOLE), []
    while (message := read_message(file)) is not None:
        found.append((file.tell(), message.kind))
    begins = [0, *(end for end, _ in found)]
    batches = {begin for begin, (_, kind) in zip(begins, found, strict=False) if kind == 3}
    assert len(batches) == 2
    found = [next_batch(WHOLE, place) for place in range(len(WHOLE))]
    assert found == [
        min((begin for begin in batches if begin >= place), default=None)
        for place in range(len(WHOLE))
    ]
    assert next_batch(WHOLE[: len(WHOLE) - len(END) - 1], max(batches)) is None


def test_a_description_is_not_read_that_points_to_the_same_bytes_again_and_again():
    pairs = {b"%d" % number: bytes(8) for number in range(300)}
    with pytest.raises(ValueError, match="a list of 300"):
        decoded(Encoder(Schema(FIELDS, pairs)).head())
    with pytest.raises(ValueError, match="a description has"):
        decoded(Encoder(Schema(FIELDS, {b"load": bytes(1 << 16)})).head())


def test_names_that_change_come_again_which_others_read_and_this_refuses():
    encoder = Encoder(Schema((FIELDS[-1],)))
    batches = [Batch(2, {"load": Names(np.zeros(2, np.int32), (name,))}) for name in "aab"]
    content = encoder.head() + b"".join(map(encoder.batch, batches)) + END
    assert content.count(b"a\0\0\0\0\0\0\0") == 1
    assert pa.ipc.open_stream(content).read_all()["load"].to_pylist() == [*"aaaabb"]
    assert pa.table(read_ipc_stream(io.BytesIO(content)))["load"].to_pylist() == [*"aaaabb"]
    with pytest.raises(ValueError, match="the names of the column load change"):
        decoded(content)


def test_half_a_character_is_no_text():
    with pytest.raises(ValueError, match="surrogates"):
        Encoder(SCHEMA).batch(ours([(1, 1, True, "\ud800", "read", 1, "main")]))


def test_a_stream_without_its_schema_or_of_another_kind_is_refused():
    head = len(Encoder(SCHEMA).head())
    with pytest.raises(ValueError, match="names belong to no column"):
        decoded(WHOLE[head:])
    with pytest.raises(ValueError, match="a kind that does not come there"):
        decoded(WHOLE[:head] + WHOLE)
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, THEIRS, options=options) as stream:
        stream.write_batch(theirs([a_row(1)]))
    with pytest.raises(ValueError, match="a batch is compressed"):
        decoded(sink.getvalue())
