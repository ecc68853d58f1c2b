"""Sealed streams: what comes back is what went in, or nothing does."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_lab.data_plane.sealed import MAGIC, PREFIX, TAG, Broken, opened, sealing

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
CONTEXT = {"aws:rds:dbc-id": "cluster-A", "purpose": "test"}
CHUNK = 16
"""Bytes: small, so that short texts have several chunks."""

CHUNKS = st.integers(1, 40)
PLAIN = st.binary(max_size=150)
LONG = st.binary(min_size=3 * CHUNK, max_size=6 * CHUNK)
HEADER = len(MAGIC) + PREFIX


def seal(plain, key=KEY, context=CONTEXT, chunk=CHUNK, pieces=(None,)):
    sink = io.BytesIO()
    with sealing(sink, key, context, chunk) as sealed:
        at = 0
        for size in pieces:
            end = len(plain) if size is None else at + size
            sealed.write(plain[at:end])
            at = end
    return sink.getvalue()


def unseal(data, key=KEY, context=CONTEXT, chunk=CHUNK):
    source = opened(io.BytesIO(data), key, context, chunk)
    return b"".join(iter(lambda: source.read(7), b""))


def chunks(sealed):
    """The header, and each chunk with its length."""
    header, rest, found = sealed[:HEADER], sealed[HEADER:], []
    while rest:
        size = 4 + int.from_bytes(rest[:4], "big")
        found.append(rest[:size])
        rest = rest[size:]
    return header, found


@given(PLAIN, CHUNKS, st.lists(st.integers(0, 60), max_size=5))
def test_whatever_is_sealed_in_whatever_pieces_is_opened_again(plain, chunk, sizes):
    assert unseal(seal(plain, chunk=chunk, pieces=(*sizes, None)), chunk=chunk) == plain


@given(PLAIN)
def test_without_a_key_a_stream_is_as_it_is(plain):
    assert seal(plain, key=None) == unseal(plain, key=None) == plain


@given(PLAIN, st.data())
def test_any_flipped_bit_is_refused(plain, data):
    sealed = bytearray(seal(plain))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Broken):
        unseal(bytes(sealed))


@given(PLAIN, st.data())
def test_any_truncation_is_refused_an_empty_file_too(plain, data):
    sealed = seal(plain)
    with pytest.raises(Broken):
        unseal(sealed[: data.draw(st.integers(0, len(sealed) - 1))])


@given(PLAIN, st.binary(min_size=1, max_size=40))
def test_any_extension_is_refused(plain, more):
    with pytest.raises(Broken):
        unseal(seal(plain) + more)


@given(LONG, st.data())
def test_chunks_are_neither_swapped_nor_left_out_nor_repeated(plain, data):
    header, parts = chunks(seal(plain))
    order = data.draw(
        st.lists(st.integers(0, len(parts) - 1), max_size=len(parts) + 2).filter(
            lambda order: order != list(range(len(parts)))
        )
    )
    with pytest.raises(Broken):
        unseal(header + b"".join(parts[i] for i in order))


@given(LONG, LONG)
def test_chunks_of_two_streams_under_one_key_do_not_mix(one, other):
    (header, first), (_, second) = chunks(seal(one)), chunks(seal(other))
    with pytest.raises(Broken):
        unseal(header + first[0] + b"".join(second[1:]))


@pytest.mark.parametrize(
    ("key", "context"),
    [
        (OTHER_KEY, CONTEXT),
        (KEY, {}),
        (KEY, {**CONTEXT, "purpose": "other"}),
        (KEY, {**CONTEXT, "more": ""}),
    ],
)
def test_another_key_or_context_opens_nothing(key, context):
    with pytest.raises(Broken, match="another key or context"):
        unseal(seal(b"secret"), key, context)


def test_the_order_of_a_context_does_not_matter():
    assert unseal(seal(b"secret"), context=dict(reversed(CONTEXT.items()))) == b"secret"


def test_a_length_that_no_chunk_has_takes_no_memory():
    with pytest.raises(Broken, match="length"):
        unseal(seal(b"secret")[:HEADER] + b"\xff" * 8)


def test_an_interrupted_seal_cannot_be_opened():
    sink = io.BytesIO()
    with pytest.raises(KeyboardInterrupt), sealing(sink, KEY, CONTEXT, CHUNK) as sealed:
        sealed.write(b"x" * 3 * CHUNK)
        raise KeyboardInterrupt
    with pytest.raises(Broken):
        unseal(sink.getvalue())


def test_one_key_never_makes_the_same_bytes_twice():
    assert seal(b"secret") != seal(b"secret")


def test_each_chunk_costs_a_length_and_a_tag():
    header, parts = chunks(seal(b"x" * 3 * CHUNK))
    assert len(header) == HEADER
    assert [len(part) for part in parts] == [4 + CHUNK + TAG] * 3
