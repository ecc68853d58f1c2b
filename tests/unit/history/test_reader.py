"""What is written is what is read, however the writer ended."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.history import (
    Anchor,
    HistoryDamaged,
    Operation,
    OperationWriter,
    Outcome,
    Tail,
    WrittenRow,
    read_history,
    write_rows,
)

INSTANT = st.integers(0, 2**62)
OPERATION = st.builds(
    Operation,
    load=st.just("main"),
    writer=st.integers(0, 99),
    sequence=st.integers(0, 2**40),
    kind=st.sampled_from(["read", "write", "session", "connect"]),
    due=INSTANT,
    sent=st.none() | INSTANT,
    done=INSTANT,
    outcome=st.sampled_from([o.value for o in Outcome]),
    sqlstate=st.none() | st.sampled_from(["57P01", "42P01"]),
)


@given(operations=st.lists(OPERATION, max_size=30))
def test_operations_come_back_as_they_were_written(tmp_path_factory, operations):
    folder = tmp_path_factory.mktemp("history")
    writer = OperationWriter(folder, "main", 200.0)
    writer.write(operations)
    history = read_history(folder)
    assert list(history.operations) == operations
    assert history.rates == {"main": 200.0}


def an_operation(sequence):
    return Operation("main", 1, sequence, "read", 1, 2, 3, "ok", None)


def test_a_torn_last_line_is_left_out_and_nothing_else(tmp_path):
    writer = OperationWriter(tmp_path, "main", 200.0)
    writer.write([an_operation(1), an_operation(2)])
    path = next(tmp_path.glob("main-*.jsonl"))
    path.write_bytes(path.read_bytes()[:-5])
    assert [o.sequence for o in read_history(tmp_path).operations] == [1]


def test_damage_anywhere_else_is_an_error(tmp_path):
    writer = OperationWriter(tmp_path, "main", 200.0)
    writer.write([an_operation(1), an_operation(2)])
    path = next(tmp_path.glob("main-*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b'"read"', b'"re', 1))
    with pytest.raises(HistoryDamaged):
        read_history(tmp_path)


def test_a_format_of_the_future_is_refused(tmp_path):
    (tmp_path / "main-1.jsonl").write_text('{"schema": 99}\n')
    with pytest.raises(HistoryDamaged, match="schema 99"):
        read_history(tmp_path)


def test_a_tail_gives_every_line_once_and_waits_for_half_ones(tmp_path):
    path = tmp_path / "growing"
    tail = Tail(path)
    assert tail.lines() == []
    path.write_bytes(b"one\ntw")
    assert tail.lines() == [b"one"]
    assert tail.lines() == []
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    assert tail.lines() == [b"two", b"three"]


def test_rows_that_were_not_read_back_are_not_no_rows(tmp_path):
    OperationWriter(tmp_path, "main", 200.0)
    assert "main" not in read_history(tmp_path).rows
    write_rows(tmp_path, "main", [])
    assert read_history(tmp_path).rows == {"main": frozenset()}
    write_rows(tmp_path, "main", [WrittenRow(1, 2)])
    assert read_history(tmp_path).rows == {"main": frozenset({WrittenRow(1, 2)})}


def test_a_load_of_several_processes_is_one_load(tmp_path, monkeypatch):
    for pid in (1, 2):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        OperationWriter(tmp_path, "main", 200.0).write([an_operation(pid)])
    assert len(read_history(tmp_path).arrivals("main")) == 2


def test_the_anchor_ties_instants_to_utc():
    anchor = Anchor(monotonic_ns=5_000_000_000, utc_ns=1_000_000_000_000_000_000)
    assert anchor.utc(6_500_000_000) == datetime(2001, 9, 9, 1, 46, 41, 500000, UTC)
