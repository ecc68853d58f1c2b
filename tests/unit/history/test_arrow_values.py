"""Columns of Arrow are the same in NumPy, also those of a piece of a batch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.history.arrow_values import bits_of, filled, picked, valid_of, values_of
from tests.support.synthetic import record

NUMBERS = st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=40)


@given(numbers=NUMBERS, first=st.integers(0, 40))
def test_numbers_nulls_and_bits_come_as_they_are(numbers, first):
    column, its = pa.array(numbers, pa.int64())[first:], numbers[first:]
    assert valid_of(column).tolist() == [each is not None for each in its]
    assert filled(column, np.int64, -7).tolist() == [-7 if each is None else each for each in its]
    known = [each or 0 for each in numbers]
    assert values_of(pa.array(known, pa.int64())[first:], np.int64).tolist() == known[first:]
    odd = [bool(each % 2) for each in known]
    assert bits_of(pa.array(odd, pa.bool_())[first:]).tolist() == odd[first:]


def test_rows_are_picked_by_their_places():
    batch = pa.record_batch({"a": pa.array([1, None, 3]), "b": pa.array(["x", "y", None])})
    found = picked(batch, np.array([2, 0]))
    assert found.to_pylist() == [{"a": 3, "b": None}, {"a": 1, "b": "x"}]


def test_a_history_is_read_without_pandas(tmp_path):
    pytest.importorskip("pandas")
    record(tmp_path, 2000, 1000.0, 250)
    program = (
        "import sys; from pathlib import Path; "
        "from chaosaws_kms_ext.history.reader import read_history; "
        "print(len(read_history(Path(sys.argv[1])).arrivals('main')), 'pandas' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.split() == ["2000", "False"]
