"""Columns are the same as lists, also some rows of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.history.arrow_columns import Batch, Names, Numbers, Texts

MAYBE_NUMBERS = st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=40)
MAYBE_TEXTS = st.lists(st.none() | st.text(max_size=3), max_size=40)


@given(numbers=MAYBE_NUMBERS, keep=st.integers(0, 2**40 - 1))
def test_numbers_are_those_that_were_given_and_null_where_none_was(numbers, keep):
    column = Numbers.of(numbers, np.int64)
    assert column.to_list() == numbers
    assert column.is_there.tolist() == [each is not None for each in numbers]
    assert column.filled(-7).tolist() == [-7 if each is None else each for each in numbers]
    which = np.array([keep >> n & 1 for n in range(len(numbers))], np.bool_)
    assert column.only(which).to_list() == _kept(numbers, which)


@given(texts=MAYBE_TEXTS, keep=st.integers(0, 2**40 - 1))
def test_texts_are_those_that_were_given_and_null_where_none_was(texts, keep):
    column = Texts.of(texts)
    assert (len(column), column.to_list()) == (len(texts), texts)
    assert column.is_there.tolist() == [each is not None for each in texts]
    which = np.array([keep >> n & 1 for n in range(len(texts))], np.bool_)
    kept = column.only(which)
    assert (len(kept), kept.to_list()) == (int(which.sum()), _kept(texts, which))
    shown = column.mapped(lambda text: f"<{text}>")
    assert shown.to_list() == [None if each is None else f"<{each}>" for each in texts]


def _kept(values, which):
    return [each for each, there in zip(values, which, strict=True) if there]


def test_names_are_numbered_in_the_order_in_which_they_come():
    column = Names.of(["b", "a", "b"])
    assert (column.names, column.codes.tolist()) == (("b", "a"), [0, 1, 0])
    assert column.only(np.array([False, True, True])).to_list() == ["a", "b"]
    assert column.mapped(str.upper).to_list() == ["B", "A", "B"]


def test_some_rows_of_a_batch_are_some_of_each_column():
    batch = Batch(2, {"a": Numbers.of([1, None], np.int32), "t": Texts.of([None, "x"])})
    assert batch.only(np.array([True, True])) is batch
    found = batch.only(np.array([False, True]))
    assert (found.rows, found.numbers("a").to_list(), found.texts("t").to_list()) == (
        1, [None], ["x"],
    )  # fmt: skip


def test_a_number_that_is_too_large_for_its_column_is_an_error():
    for numbers in ([2**31], [None, 2**31]):
        with pytest.raises(OverflowError):
            Numbers.of(numbers, np.int32)
