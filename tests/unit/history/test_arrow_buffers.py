"""Batches that are joined have the rows of each in turn; what does not fit together is refused."""

from __future__ import annotations

import numpy as np
import pytest

from chaosaws_kms_ext.history.arrow_buffers import Body, Joined, Written
from chaosaws_kms_ext.history.arrow_columns import Names, Numbers, Texts
from chaosaws_kms_ext.history.arrow_schema import Field, Kind, Schema
from chaosaws_kms_ext.history.flatbuffer import Integers, New, Number, encoded, root_of

NAMES = {"name": ("a", "b")}


def written(rows, *columns):
    """A batch of these columns, each with its kind."""
    body = Body.of(rows, columns)
    return Written(root_of(encoded(body.header)), body.content)


def described(rows, nodes, buffers, content=b""):
    """One that says so of itself."""
    header = New([Number("<q", rows), Integers(2, nodes), Integers(2, buffers)])
    return Written(root_of(encoded(header)), content)


def joined(kind, *parts, nullable=True):
    schema = Schema((Field("name", kind, nullable),))
    return Joined(parts).batch(schema, NAMES).columns["name"].to_list()


@pytest.mark.parametrize("kind", [Kind.INT32, Kind.INT64, Kind.UTC, Kind.BOOL])
@pytest.mark.parametrize("sizes", [(), (0,), (8,), (3, 8, 0, 13), (1, 1, 1)])
def test_bits_of_batches_do_not_run_into_each_other(kind, sizes):
    its = np.bool_ if kind is Kind.BOOL else np.int64
    values = [[None if n % 3 == 0 else n % 2 for n in range(size)] for size in sizes]
    parts = [written(len(each), (Numbers.of(each, its), kind)) for each in values]
    assert joined(kind, *parts) == [value for each in values for value in each]


def test_of_batches_with_and_without_nulls_each_keeps_its_own():
    full, some = Numbers.of([1, 2, 3], np.int32), Numbers.of([None, 5], np.int32)
    parts = [written(len(each), (each, Kind.INT32)) for each in (full, some, full)]
    assert joined(Kind.INT32, *parts) == [1, 2, 3, None, 5, 1, 2, 3]
    texts = [Texts.of(each) for each in (["a", "ü"], [None, None], [None, ""])]
    parts = [written(2, (each, Kind.TEXT)) for each in texts]
    assert joined(Kind.TEXT, *parts) == ["a", "ü", None, None, None, ""]


def test_a_column_of_another_length_than_its_batch_is_not_written():
    with pytest.raises(ValueError, match="a column has 2 rows, and its batch 3"):
        written(3, (Numbers.of([1, 2], np.int32), Kind.INT32))


EIGHT = (1).to_bytes(8, "little")


@pytest.mark.parametrize(
    ("kind", "part", "why"),
    [
        (Kind.INT64, (2, (2, 0), (0, 0, 0, 16), EIGHT), "its numbers are cut off"),
        (Kind.INT64, (1, (2, 0), (0, 0, 0, 8), EIGHT), "another length than its batch"),
        (Kind.INT64, (1, (1, 0), (0, 0, 8, 8), EIGHT), "its numbers are cut off"),
        (Kind.INT64, (1, (1, 1), (9, 1, 0, 8), EIGHT), "its bits are cut off"),
        (Kind.INT64, (1, (1, 0), (0, 0), EIGHT), "tuple index out of range"),
        (Kind.BOOL, (9, (9, 0), (0, 0, 8, 8), EIGHT), "its bits are cut off"),
        (Kind.NAME8, (1, (1, 0), (0, 0, 0, 1), b"\2"), "it has numbers without a name"),
        (Kind.NAME8, (1, (1, 0), (0, 0, 0, 1), b"\xff"), "it has numbers without a name"),
        (Kind.NAME8, (1, (1, 1), (0, 0, 0, 1), b"\0"), "it has numbers without a name"),
        (Kind.TEXT, (1, (1, 0), (0, 0, 0, 8, 0, 8), EIGHT[::-1]), "its texts are cut off"),
        (Kind.TEXT, (1, (1, 0), (0, 0, 0, 8, 0, 8), b"\1\0\0\0"), "its offsets are cut off"),
        (Kind.TEXT, (1, (1, 0), (0, 0, 0, 8, 0, 8), b"\1" + bytes(7)), "not in order"),
        (Kind.TEXT, (1, (1, 0), (0, 0, 0, 8, 0, 8), b"\xff" * 8), "not in order"),
        (Kind.TEXT, (1, (1, 0), (0, 0, 0, 8, 8, 1), bytes(4) + b"\1\0\0\0\xff"), "utf-8"),
    ],
)
def test_what_does_not_fit_together_is_refused_and_the_column_is_named(kind, part, why):
    with pytest.raises(ValueError, match=f"the column name: .*{why}"):
        joined(kind, described(*part))


def test_a_null_where_none_may_be_is_refused():
    part = written(1, (Numbers.of([None], np.int32), Kind.INT32))
    with pytest.raises(ValueError, match="the column name: it has nulls"):
        joined(Kind.INT32, part, nullable=False)


@pytest.mark.parametrize("rows", [-1, 2**62])
def test_a_number_of_rows_that_no_batch_has_is_refused(rows):
    with pytest.raises(ValueError, match=f"described wrongly: {rows} rows"):
        described(rows, (rows, 0), (0, 0, 0, 0))
    with pytest.raises(ValueError, match="described wrongly"):
        described(1, (1, 0), (0, 0, -8, 8))


def test_names_and_texts_stand_as_arrow_has_them():
    body = Body.of(2, [(Names(np.array([1, 0]), ("a", "b")), Kind.NAME8)])
    assert body.content == b"\1\0" + bytes(6)
    body = Body.of(2, [(Texts.of([None, "ü"]), Kind.TEXT)])
    offsets = b"".join(n.to_bytes(4, "little") for n in (0, 0, 2))
    assert body.content == b"\2" + bytes(7) + offsets + bytes(4) + "ü".encode() + bytes(6)
