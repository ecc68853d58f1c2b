"""What is made is read; whatever else is read gives ValueError, and nothing beside the buffer."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.history.flatbuffer import Integers, New, Number, encoded, root_of

INT64 = st.integers(-(2**63), 2**63 - 1)
PAIRS = st.lists(st.tuples(INT64, INT64), max_size=5)

WHOLE = encoded(
    New(
        [
            Number("<h", -3),
            b"text",
            New([None, Number("<q", 7)]),
            [New([b"a"]), New([b""])],
            Integers(2, [1, 2, 3, 4]),
        ]
    )
)


@given(small=st.integers(0, 255), large=INT64, text=st.binary(max_size=20), pairs=PAIRS)
def test_what_was_put_in_comes_out(small, large, text, pairs):
    row = [number for pair in pairs for number in pair]
    inner = [New([text]), New([Number("<q", large), None, Number("<B", small)])]
    found = root_of(
        encoded(
            New([Number("<B", small), None, text, inner, Number("<q", large), Integers(2, row)])
        )
    )
    assert (found.number(0, "<B"), found.number(4, "<q"), found.text(2)) == (small, large, text)
    first, second = found.tables(3)
    assert first.text(0) == text
    assert (second.number(0, "<q"), second.number(2, "<B")) == (large, small)
    assert list(found.integers(5, 2)) == row
    assert (found.table(1), found.number(9, "<q"), found.text(9), found.tables(1)) == (
        None,
        0,
        b"",
        [],
    )


def test_a_buffer_that_is_cut_off_is_an_error_or_read_within_it():
    for length in range(len(WHOLE)):
        _read(WHOLE[:length])


@given(place=st.integers(0, len(WHOLE) - 1), byte=st.integers(0, 255))
def test_whatever_a_byte_becomes_nothing_but_valueerror_is_raised(place, byte):
    _read(WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :])


@given(content=st.binary(max_size=60))
def test_noise_is_an_error_or_read_within_it(content):
    _read(content)


def _read(content):
    try:
        root = root_of(content)
        found = [root.text(1), *(each.text(0) for each in root.tables(3))]
        assert all(each in content for each in found)
        inner = root.table(2)
        assert inner is None or isinstance(inner.number(1, "<q"), int)
        root.number(0, "<h")
        assert 8 * len(root.integers(4, 2)) <= len(content)
    except ValueError:
        return


def test_a_place_before_the_buffer_is_refused():
    """The offset of a table to its fields has a sign."""
    content = bytearray(WHOLE)
    at = int.from_bytes(content[:4], "little")
    content[at : at + 4] = (at + 40).to_bytes(4, "little")
    with pytest.raises(ValueError, match="points out of its message"):
        root_of(bytes(content))


def test_a_description_of_arrow_itself_is_read():
    message = pa.schema([("a", pa.int64())], {"key": "value"}).serialize().to_pybytes()
    table = root_of(message[8:])
    schema = table.table(2)
    assert table.number(0, "<h") == 4
    assert [each.text(0) for each in schema.tables(1)] == [b"a"]
    assert [(each.text(0), each.text(1)) for each in schema.tables(2)] == [(b"key", b"value")]
