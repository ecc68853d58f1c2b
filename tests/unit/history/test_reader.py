"""What is written is what is read, however the writer ended."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.history import (
    Anchor,
    Operation,
    Outcome,
    WrittenRow,
    arrow_stream,
    operations_file,
    rows_file,
)
from chaosaws_kms_ext.history.columns import OUTCOMES, Attempts, ReadBack, Recorded
from chaosaws_kms_ext.history.operations_file import Header, HistoryDamaged
from chaosaws_kms_ext.history.reader import read_history
from chaosaws_kms_ext.history.records import ARRIVALS, KINDS
from chaosaws_kms_ext.history.writer import OperationStream, OperationWriter, write_rows
from tests.support.records import recorded

MS = 1_000_000

INSTANT = st.integers(0, 2**62)
OPERATION = st.builds(
    Operation,
    load=st.just("main"),
    writer=st.integers(0, 99),
    sequence=st.integers(0, 2**40),
    kind=st.sampled_from(KINDS),
    due=INSTANT,
    sent=st.none() | INSTANT,
    done=INSTANT,
    outcome=st.sampled_from([o.value for o in Outcome]),
    sqlstate=st.none() | st.sampled_from(["57P01", "42P01"]),
    session=st.none() | st.integers(0, 99),
    key=st.none() | st.integers(0, 99),
    value=st.none() | st.integers(-1, 2**40),
)
BATCHES = st.lists(st.lists(OPERATION, min_size=1, max_size=8), max_size=5)


def write(folder, *batches, load="main", rate=200.0):
    writer = OperationWriter(folder, load, rate)
    for batch in batches:
        writer.write([each[1:] for each in batch])


def the_file(folder):
    (path,) = folder.glob("operations-main-*.arrows")
    return path


def in_order(operations):
    return sorted(operations, key=lambda each: each.due)


@given(batches=BATCHES)
def test_operations_come_back_as_they_were_written(tmp_path_factory, batches):
    folder = tmp_path_factory.mktemp("history")
    write(folder, *batches)
    written = [each for batch in batches for each in batch]
    assert recorded(folder) == in_order(written)


@given(batches=BATCHES)
def test_the_columns_are_the_operations_in_the_order_in_which_they_were_due(
    tmp_path_factory, batches
):
    folder = tmp_path_factory.mktemp("history")
    write(folder, *batches)
    written = in_order(each for batch in batches for each in batch)
    history = read_history(folder)
    arrivals = [o for o in written if o.kind in ARRIVALS]
    columns = history.arrivals("main")
    assert columns.due.tolist() == [o.due for o in arrivals]
    assert columns.done.tolist() == [o.done for o in arrivals]
    assert [OUTCOMES[code] for code in columns.outcome] == [o.outcome for o in arrivals]
    assert columns.answered.tolist() == [o.outcome == Outcome.OK for o in arrivals]
    assert history.recorded["main"].rate == 200.0
    for kind in ("session", "connect", "stall"):
        assert history.witness("main", kind) == [o for o in written if o.kind == kind]
    writers = {o.writer for o in arrivals}
    assert history.last_sequences("main") == {
        writer: max(o.sequence for o in arrivals if o.writer == writer) for writer in writers
    }
    writes = history.writes("main")
    columns = (writes.rows.writer, writes.rows.sequence, writes.done)
    found = zip(*(column.tolist() for column in columns), strict=True)
    assert sorted(found) == sorted(
        (o.writer, o.sequence, o.done) for o in arrivals if o.kind == "write"
    )
    reads = history.reads("main")
    columns = (reads.session, reads.key, reads.value, reads.sent)
    found = zip(*(column.tolist() for column in columns), strict=True)
    assert sorted(found) == sorted(
        (o.session or 0, o.key, o.value, o.due if o.sent is None else o.sent)
        for o in arrivals
        if o.key is not None and o.value is not None
    )


def an_operation(sequence):
    return Operation("main", 1, sequence, "read", sequence, 2, 3, "ok", None)


def test_a_torn_end_is_left_out_and_nothing_else(tmp_path):
    """Wherever it is torn: the whole batches before are there."""
    path_of_all, path_of_head = tmp_path / "all", tmp_path / "head"
    for folder in (path_of_all, path_of_head):
        folder.mkdir()
    write(path_of_head)
    head = the_file(path_of_head).stat().st_size
    write(path_of_all, [an_operation(1), an_operation(2)], [an_operation(3)])
    path = the_file(path_of_all)
    whole = path.read_bytes()
    seen = set()
    for length in range(0, len(whole), 13):
        path.write_bytes(whole[:length])
        found = [o.sequence for o in recorded(path_of_all)]
        assert found in ([], [1, 2], [1, 2, 3])
        assert not (length <= head and found)
        arrivals = read_history(path_of_all).arrivals("main")
        assert arrivals.due.tolist() == found
        seen.add(len(found))
    assert seen == {0, 2}
    path.write_bytes(whole)
    assert len(recorded(path_of_all)) == 3


def test_rows_that_are_not_what_was_written_are_an_error(tmp_path):
    write(tmp_path, [an_operation(number) for number in range(1000)], [an_operation(1000)])
    path = the_file(tmp_path)
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 4, len(content) // 2, 997):
        content[place] ^= 1
        path.write_bytes(content)
        with pytest.raises(HistoryDamaged, match="damaged"):
            read_history(tmp_path)
        content[place] ^= 1
    path.write_bytes(content)
    assert len(read_history(tmp_path).arrivals("main")) == 1001


@pytest.mark.parametrize("seen", [(1, 2, None), (1, 2, 4), (1, 5, 3), (9, 2, 3), (None, 2, 3)])
def test_what_a_read_saw_is_under_the_checksum_as_well(tmp_path, monkeypatch, seen):
    session, key, value = seen
    written = an_operation(1)._replace(session=1, key=2, value=3)
    other = an_operation(1)._replace(session=session, key=key, value=value)
    checksum = operations_file._checksum(operations_file.as_batch([written[1:]]))
    write(tmp_path, [written])
    assert len(read_history(tmp_path).reads("main")) == 1
    monkeypatch.setattr(operations_file, "_checksum", lambda batch: checksum if batch.rows else 0)
    write(tmp_path, [other])
    monkeypatch.undo()
    with pytest.raises(HistoryDamaged, match="a checksum is not that of its rows"):
        read_history(tmp_path)


def test_a_file_that_is_no_history_is_an_error(tmp_path):
    (tmp_path / "operations-main-1.arrows").write_bytes(b"[1,2,3]\n" * 99)
    with pytest.raises(HistoryDamaged, match="operations-main-1"):
        read_history(tmp_path)


def test_a_format_of_the_future_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("chaosaws_kms_ext.history.operations_file.SCHEMA", 99)
    write(tmp_path)
    monkeypatch.undo()
    with pytest.raises(HistoryDamaged, match="schema '99'"):
        read_history(tmp_path)


def test_a_load_that_recorded_nothing_is_there_and_empty(tmp_path):
    write(tmp_path)
    history = read_history(tmp_path)
    assert len(history.arrivals("main")) == 0
    assert history.loads == ("main",)


def test_rows_that_were_not_read_back_are_not_no_rows(tmp_path):
    write(tmp_path)
    assert "main" not in read_history(tmp_path).rows
    write_rows(tmp_path, "main", ReadBack.of([]))
    found = read_history(tmp_path).rows["main"]
    assert (len(found.rows), len(found.registers)) == (0, 0)
    write_rows(tmp_path, "main", ReadBack.of([(1, 2**40, -5), (3, 4, 2**62)], [(2, 7, 9)]))
    found = read_history(tmp_path).rows["main"]
    assert as_tuples(found.rows) == [(1, 2**40, -5), (3, 4, 2**62)]
    assert as_tuples(found.registers) == [(2, 7, 9)]


def test_more_rows_than_a_message_may_have_are_in_several(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow_stream, "LONGEST", 500)
    monkeypatch.setattr(rows_file, "AT_ONCE", 16)
    rows = [(1, number, -number) for number in range(50)]
    write_rows(tmp_path, "main", ReadBack.of(rows, rows[:5]))
    found = read_history(tmp_path).rows["main"]
    assert (as_tuples(found.rows), as_tuples(found.registers)) == (rows, rows[:5])


def as_tuples(stored):
    columns = (stored.rows.writer, stored.rows.sequence, stored.payload)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_rows_that_are_damaged_are_an_error(tmp_path):
    write_rows(tmp_path, "main", ReadBack.of([WrittenRow(1, 2)]))
    path = tmp_path / "rows-main.arrows"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(HistoryDamaged, match="rows-main"):
        read_history(tmp_path)
    place = whole.index((2).to_bytes(8, "little"))
    path.write_bytes(whole[:place] + b"\3" + whole[place + 1 :])
    with pytest.raises(HistoryDamaged, match=r"rows-main.*checksum is not that of its bytes"):
        read_history(tmp_path)


def test_a_load_of_several_processes_is_one_load(tmp_path, monkeypatch):
    for pid in (2, 1):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        write(tmp_path, [an_operation(pid)])
    assert read_history(tmp_path).arrivals("main").due.tolist() == [1, 2]


def test_loads_whose_names_begin_alike_are_two(tmp_path):
    for load in ("main", "main-2", "rows"):
        write(tmp_path, [an_operation(1)], load=load)
    assert read_history(tmp_path).loads == ("main", "main-2", "rows")
    assert len(recorded(tmp_path, "main")) == 1


def test_the_anchor_ties_instants_to_utc():
    anchor = Anchor(monotonic_ns=5_000_000_000, utc_ns=1_000_000_000_000_000_000)
    assert anchor.utc(6_500_000_000) == datetime(2001, 9, 9, 1, 46, 41, 500000, UTC)


def test_attempts_are_columns_in_the_order_in_which_they_began(tmp_path):
    tried = [
        an_operation(9)._replace(kind="attempt", due=5, detail="10.0.0.1"),
        an_operation(8)._replace(kind="attempt", due=3, outcome="lost", detail="refused"),
        an_operation(7)._replace(kind="attempt", due=4, outcome="error", sqlstate="57P03"),
    ]
    write(tmp_path, [an_operation(1), *tried[:2]], tried[2:])
    history = read_history(tmp_path)
    its, expected = history.attempts("main"), Attempts.of(tried)
    assert its.due.tolist() == expected.due.tolist() == [3, 4, 5]
    assert its.done.tolist() == expected.done.tolist()
    assert its.outcome.tolist() == expected.outcome.tolist()
    names = ["refused", "57P03", "10.0.0.1"]
    assert [its.labels[code] for code in its.said] == names
    assert [expected.labels[code] for code in expected.said] == names
    assert its.succeeded.tolist() == [False, False, True]
    assert its.failed.tolist() == [True, True, False]
    assert history.witness("main", "attempt") == []


@pytest.mark.parametrize("number", [127, 128, 129, 300, 33_000])
def test_there_may_be_any_number_of_sql_states(tmp_path, monkeypatch, number):
    """Read in several pieces, so that the column grows while it is filled."""
    monkeypatch.setattr(operations_file, "CHUNK", 1)
    failed = [
        an_operation(each)._replace(outcome="error", sqlstate=f"{each:05}")
        for each in range(number)
    ]
    write(tmp_path, [an_operation(-1), *failed[: number // 2]], failed[number // 2 :])
    said, labels = read_history(tmp_path).said("main")
    assert [labels[code] if code >= 0 else None for code in said] == [
        None, *(each.sqlstate for each in failed),
    ]  # fmt: skip
    assert Recorded.of(1.0, [an_operation(-1), *failed]).said.tolist() == said.tolist()


def test_attempts_of_several_processes_are_those_of_the_load_but_for_its_absences(tmp_path):
    """Each process has labels of its own; one that did not run says nothing of the database."""
    for worker, said in ((0, ["refused", "10.0.0.1"]), (1, ["hang", "refused"])):
        its = [
            an_operation(each)._replace(due=(2 * each + worker) * MS, done=(2 * each + worker) * MS)
            for each in range(1000)
        ]
        tried = [
            an_operation(each)._replace(
                kind="attempt", due=at * MS, done=at * MS + 5, outcome=outcome, detail=detail
            )
            for each, (at, outcome, detail) in enumerate(
                [(100 + worker, "lost", said[0]), (700 + worker, "lost", said[1])]
            )
        ]
        stall = an_operation(0)._replace(kind="stall", due=600 * MS, done=800 * MS)
        with (tmp_path / f"operations-main-{worker}.arrows").open("wb") as file:
            stream = OperationStream(Header("main", 1000.0, worker, 2), file)
            stream.write([each[1:] for each in [*its, *tried, *([stall] if worker else [])]])
            stream.close()
    attempts = read_history(tmp_path).attempts("main")
    assert attempts.due.tolist() == [100 * MS, 101 * MS, 700 * MS]
    assert [attempts.labels[code] for code in attempts.said] == ["refused", "hang", "10.0.0.1"]


@pytest.mark.parametrize("far", [0, 70_000, 2**30])
def test_the_last_sequence_of_each_writer_is_known_however_they_are_numbered(tmp_path, far):
    numbers = [(1, 5), (far, 0), (far + 3, 2**40), (1, 4), (far + 3, 7)]
    write(tmp_path, [an_operation(1)._replace(writer=w, sequence=s) for w, s in numbers])
    last = read_history(tmp_path).last_sequences("main")
    assert last == {1: 5, far: 0, far + 3: 2**40}
