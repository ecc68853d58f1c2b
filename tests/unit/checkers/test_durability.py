"""Lost writes: every acknowledged write has to be there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers import durability
from chaosaws_kms_ext.history import Operation, Outcome, WrittenRow
from chaosaws_kms_ext.history.columns import ReadBack, Recorded

OUTCOMES = [o.value for o in Outcome if o != Outcome.UNRECORDED]


def write(sequence, outcome, writer=1):
    return Operation("main", writer, sequence, "write", 0, 0, 1, outcome, None)


def read(took_ms, outcome="ok", due=0):
    return Operation("main", 1, 1, "read", due, due, due + took_ms * 1_000_000, outcome, None)


def judged(operations, present, died=False):
    recorded = Recorded.of(200.0, operations)
    rows = None if present is None else ReadBack.of(present)
    return durability.compare_writes(recorded.writes, rows, recorded.last if died else None)


def test_every_acknowledged_write_that_is_not_there_is_named():
    writes = [write(n, "ok") for n in range(5)]
    found = judged(writes, [WrittenRow(1, 0), WrittenRow(1, 3)])
    assert found.lost == (WrittenRow(1, 1), WrittenRow(1, 2), WrittenRow(1, 4))
    assert found.unexpected == ()


def test_a_write_without_an_answer_may_be_there_or_not():
    writes = [write(n, outcome) for n, outcome in enumerate(["timeout", "lost", "aborted"])]
    for present in ([], [WrittenRow(1, 0), WrittenRow(1, 1), WrittenRow(1, 2)]):
        found = judged(writes, present)
        assert (found.lost, found.unexpected, found.unknown) == ((), (), 3)


@pytest.mark.parametrize("outcome", ["error", "unsent"])
def test_a_row_of_a_write_that_was_refused_or_never_sent_is_unexpected(outcome):
    found = judged([write(1, outcome)], [WrittenRow(1, 1)])
    assert found.unexpected == (WrittenRow(1, 1),)


def test_what_a_load_did_last_before_it_died_may_not_be_recorded():
    writes = [write(n, "ok") for n in range(1, 4)]
    rows = [WrittenRow(1, n) for n in range(1, 5)]
    assert judged(writes, rows).unexpected == (WrittenRow(1, 4),)
    died = judged(writes, rows, died=True)
    assert (died.unexpected, died.unknown, died.lost) == ((), 1, ())
    never = judged([*writes[:2], write(4, "ok")], rows, died=True)
    assert never.unexpected == (WrittenRow(1, 3),)  # its writer recorded something later


def test_rows_that_could_not_be_read_are_not_no_losses():
    found = judged([write(1, "ok")], None)
    assert found.lost is None
    assert found.present is None
    assert found.reason


@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from(OUTCOMES)), unique_by=lambda w: w[0]),
    st.sets(st.integers(0, 25)),
)
def test_durability_is_set_arithmetic(writes, present):
    found = judged([write(*w) for w in writes] + [read(1)], [WrittenRow(1, n) for n in present])
    fate = dict(writes)
    assert {row.sequence for row in found.lost} == {
        n for n in fate if fate[n] == "ok" and n not in present
    }
    assert {row.sequence for row in found.unexpected} == {
        n for n in present if fate.get(n, "unsent") in ("unsent", "error")
    }
