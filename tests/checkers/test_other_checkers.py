"""Durability, latency, hang and counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.checkers import durability, hang, latency, operations
from chaosaws_kms_ext.history import Operation, Outcome, WrittenRow

OUTCOMES = [o.value for o in Outcome]


def write(sequence, outcome, writer=1):
    return Operation("main", writer, sequence, "write", 0, 0, 1, outcome, None)


def read(took_ms, outcome="ok", due=0):
    return Operation("main", 1, 1, "read", due, due, due + took_ms * 1_000_000, outcome, None)


def test_every_acknowledged_write_that_is_not_there_is_named():
    writes = [write(n, "ok") for n in range(5)]
    found = durability.judge(writes, [WrittenRow(1, 0), WrittenRow(1, 3)])
    assert found.lost == (WrittenRow(1, 1), WrittenRow(1, 2), WrittenRow(1, 4))
    assert found.unexpected == ()


def test_a_write_without_an_answer_may_be_there_or_not():
    writes = [write(n, outcome) for n, outcome in enumerate(["timeout", "lost", "aborted"])]
    for present in ([], [WrittenRow(1, 0), WrittenRow(1, 1), WrittenRow(1, 2)]):
        found = durability.judge(writes, present)
        assert (found.lost, found.unexpected, found.unknown) == ((), (), 3)


@pytest.mark.parametrize("outcome", ["error", "unsent"])
def test_a_row_of_a_write_that_was_refused_or_never_sent_is_unexpected(outcome):
    found = durability.judge([write(1, outcome)], [WrittenRow(1, 1)])
    assert found.unexpected == (WrittenRow(1, 1),)


def test_what_a_load_did_last_before_it_died_may_not_be_recorded():
    writes = [write(n, "ok") for n in range(1, 4)]
    rows = [WrittenRow(1, n) for n in range(1, 5)]
    assert durability.judge(writes, rows).unexpected == (WrittenRow(1, 4),)
    died = durability.judge(writes, rows, died=True)
    assert (died.unexpected, died.unknown, died.lost) == ((), 1, ())
    never = durability.judge([*writes[:2], write(4, "ok")], rows, died=True)
    assert never.unexpected == (WrittenRow(1, 3),)  # its writer recorded something later


def test_rows_that_could_not_be_read_are_not_no_losses():
    found = durability.judge([write(1, "ok")], None)
    assert found.lost is None
    assert found.present is None
    assert found.reason


@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from(OUTCOMES)), unique_by=lambda w: w[0]),
    st.sets(st.integers(0, 25)),
)
def test_durability_is_set_arithmetic(writes, present):
    found = durability.judge(
        [write(*w) for w in writes] + [read(1)], [WrittenRow(1, n) for n in present]
    )
    fate = dict(writes)
    assert {row.sequence for row in found.lost} == {
        n for n in fate if fate[n] == "ok" and n not in present
    }
    assert {row.sequence for row in found.unexpected} == {
        n for n in present if fate.get(n, "unsent") in ("unsent", "error")
    }


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=300))
def test_percentiles_are_nearest_rank(milliseconds):
    found = latency.judge([read(ms) for ms in milliseconds], 0, 1)
    for share, value in ((0.50, found.p50), (0.99, found.p99)):
        assert value in milliseconds
        assert sum(ms <= value for ms in milliseconds) >= share * len(milliseconds)
        assert sum(ms < value for ms in milliseconds) < share * len(milliseconds)


def test_latency_counts_answers_that_were_due_in_the_interval():
    operations = [read(5, due=10), read(7, due=20), read(900, "timeout", due=15)]
    assert latency.judge(operations, 10, 20) == latency.Latency(5.0, 5.0)
    assert latency.judge(operations, 30, 40) == latency.Latency(None, None)


def witnessed(*spans):
    return [
        Operation("main", 0, n, "session", sent, sent, done, outcome, None)
        for n, (sent, done, outcome) in enumerate(spans)
    ]


def hung(operations):
    return hang.hung(operations, impact=100, slack=5, until=200)


def test_what_still_waited_at_the_end_hung_whatever_became_of_it():
    def waited(sent, until):
        return hang.hung(witnessed((sent, until + 9, "lost")), impact=100, slack=5, until=until)

    assert waited(200, 10**9) is True
    assert waited(10**9 - 1000, 10**9) is None


def test_neither_an_answer_nor_an_error_is_a_hang():
    assert hung(witnessed((50, 60, "ok"), (120, 180, "timeout"), (250, 260, "ok"))) is True


@pytest.mark.parametrize("outcome", ["ok", "error", "lost"])
def test_an_answer_or_an_error_during_the_outage_is_no_hang(outcome):
    assert hung(witnessed((110, 160, "timeout"), (170, 180, outcome))) is False


def test_what_was_sent_just_before_and_never_answered_hung():
    assert hung(witnessed((99, 180, "timeout"))) is True


def test_what_was_answered_while_the_hang_began_counts_neither_way():
    assert hung(witnessed((103, 104, "ok"), (120, 180, "timeout"))) is True
    assert hung(witnessed((103, 104, "ok"))) is None


def test_nothing_tried_is_not_known():
    assert hung([]) is None
    assert hung(witnessed((20, 30, "ok"))) is None


def test_every_outcome_is_counted_also_those_that_never_came():
    counted = operations.count([read(1), read(1), read(1, "lost")])
    assert counted == {
        "ok": 2, "error": 0, "timeout": 0, "lost": 1, "unsent": 0, "aborted": 0,
    }  # fmt: skip
