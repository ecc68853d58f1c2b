"""A load over time, slice by slice."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.history import SECOND, Operation
from chaosaws_kms_ext.history.columns import OUTCOMES, Arrivals
from chaosaws_kms_ext.report.slices import MOST, SHORTEST, counted, drawn

ARRIVALS = st.lists(
    st.tuples(
        st.integers(0, 20 * SECOND), st.integers(0, 3 * SECOND), st.sampled_from(list(OUTCOMES))
    ),
    max_size=60,
)


def arrivals(rows):
    return Arrivals.of(
        [
            Operation("main", 1, 1, "read", due, due, due + took, outcome, None)
            for due, took, outcome in sorted(rows)
        ]
    )


@given(ARRIVALS, st.integers(0, 5 * SECOND), st.integers(0, 200 * SECOND))
def test_each_slice_has_what_was_due_in_it(rows, begin, length):
    its = drawn(arrivals(rows), begin, begin + length)
    number = len(its["left"])
    assert 1 <= number <= MOST + 1
    assert its["left"][0] == begin
    assert its["right"][-1] >= begin + length - 1
    assert (its["left"][1:] == its["right"][:-1]).all()
    width = max(SHORTEST, max(length / SECOND, SHORTEST) / MOST)
    for place in range(number):
        inside = [each for each in rows if its["left"][place] <= each[0] < its["right"][place]]
        for name in OUTCOMES:
            expected = sum(each[2] == name for each in inside) / width
            assert math.isclose(its[name][place], expected)
        took = sorted(each[1] / 1e6 for each in inside if each[2] == "ok")
        for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
            value = its[name][place]
            if not took:
                assert math.isnan(value)
            else:
                assert value == took[math.ceil(share * len(took)) - 1]


@given(ARRIVALS, st.integers(1, 80), st.integers(0, 200 * SECOND))
def test_counts_are_numbers_of_arrivals_in_as_many_slices_as_there_may_be(rows, most, length):
    its = counted(arrivals(rows), 0, length, most)
    assert 1 <= len(its["left"]) <= most + 1
    end = its["right"][-1]
    for name in OUTCOMES:
        assert its[name].sum() == sum(due < end and what == name for due, _, what in rows)
