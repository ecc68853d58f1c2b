"""The checksum of a write: the same for one and for many, and it tells which write it was."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.history import payload
from chaosaws_kms_ext.history.payload import SEQUENCES, number_of, numbers, payload_of, payloads

WRITE = st.tuples(st.integers(0, 2**31 - 1), st.integers(0, SEQUENCES - 1))


@given(st.lists(WRITE, max_size=20))
def test_a_column_of_checksums_is_each_of_them(writes):
    columns = np.array(writes, np.int64).reshape(-1, 2)
    found = numbers(columns[:, 0].astype(np.int32), columns[:, 1])
    assert found.tolist() == [number_of(*each) for each in writes]
    assert payloads(found).tolist() == [payload_of(*each) for each in writes]
    assert payload.written_as(payloads(found)).tolist() == found.tolist()


def test_it_is_splitmix64():
    """The first numbers of its reference implementation with the seed 0: those of 0, and of the
    step, which it adds each time."""
    step = payload.STEP
    assert payload_of(0, 0) & payload.MASK == 0xE220A8397B1DCDAF
    assert payload_of(*divmod(step, SEQUENCES)) & payload.MASK == 0x6E789E6AA1B965F4


def test_more_than_a_block_is_mixed_as_well(monkeypatch):
    whole = payloads(np.arange(1000))
    monkeypatch.setattr(payload, "BLOCK", 7)
    assert (payloads(np.arange(1000)) == whole).all()


@given(WRITE, st.integers(0, 63))
def test_a_bit_that_flips_is_seen(write, bit):
    flipped = divmod(number_of(*write) ^ 1 << bit, SEQUENCES)
    assert payload_of(*flipped) != payload_of(*write)
