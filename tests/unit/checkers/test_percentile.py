"""A percentile of very many answers is that of all of them, although few are held at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers import percentile
from chaosaws_kms_ext.checkers.percentile import nearest_rank, rank_of_delays, ranks_of_delays
from chaosaws_kms_ext.history import columns
from chaosaws_kms_ext.history.columns import CODES, Arrivals

DELAY = st.integers(0, 9) | st.integers(0, 2**20) | st.integers(0, 2**62)


@pytest.fixture(autouse=True, scope="module")
def small_blocks():
    """So that a few answers are many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "BLOCK", 3)
        patch.setattr(percentile, "BLOCK", 3)
        patch.setattr(percentile, "BINS", 3)
        yield


def arrivals(delays, answered):
    due = np.arange(len(delays), dtype=np.int64)
    outcome = np.where(answered, CODES["ok"], CODES["timeout"]).astype(np.int8)
    return Arrivals(due, due + np.array(delays, np.int64), outcome)


@given(
    each=st.lists(st.tuples(DELAY, st.booleans()), max_size=40),
    shares=st.lists(st.sampled_from([0.001, 0.25, 0.5, 0.99, 1.0]), min_size=1),
    until=st.sampled_from([0, 12, 2**20, 2**63 - 1]),
)
def test_it_is_the_nearest_rank_of_all_answers(each, shares, until):
    delays, answered = [d for d, _ in each], [a for _, a in each]
    its = arrivals(delays, answered)
    which = its.answered & (its.done < until)
    expected = [nearest_rank(its.took(which), share) for share in shares]
    assert ranks_of_delays(its, shares, until) == expected
    assert rank_of_delays(its, shares[0], until) == expected[0]


def test_of_no_answer_there_is_none():
    assert rank_of_delays(arrivals([5, 6], [False, False]), 0.5) is None
