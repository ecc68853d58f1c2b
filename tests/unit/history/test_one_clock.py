"""Operations are handed on as the reader takes them: on one clock, all that is whole."""

from __future__ import annotations

import numpy as np
import pytest

from chaosaws_kms_ext.history import SECOND, Operation
from chaosaws_kms_ext.history.one_clock import operations_of
from chaosaws_kms_ext.history.reader import read_history
from chaosaws_kms_ext.history.records import ARRIVALS
from chaosaws_kms_ext.history.writer import OperationWriter

RATE = 20.0
START = 100 * SECOND
BEHIND = 5 * SECOND
"""The clock of the second process."""
TOOK = SECOND // 1000
EVERY = 50 * 10**6


def write(folder, worker, behind, number=200):
    """The records of a process, whose clock is behind that of the load."""
    end = START + number * EVERY
    asked = range(START - SECOND, end, SECOND // 4)
    told = [
        (0, n, "clock", at - behind, at + TOOK // 2, at - behind + TOOK)
        for n, at in enumerate(asked)
    ]
    due = [(n, START + n * EVERY - behind) for n in range(worker, number, 2)]
    told += [(1, n, "read", at, at, at + TOOK) for n, at in due]
    whole = [Operation("main", *each, "ok", None) for each in sorted(told, key=lambda o: o[-1])]
    more = {"worker": worker, "workers": 2, "start": START - behind}
    writer = OperationWriter(folder, "main", RATE, **more)
    for first in range(0, len(whole), 7):
        writer.write([each[1:] for each in whole[first : first + 7]])
    writer.close()
    (path,) = folder.glob("operations-main-[0-9]*.arrows")
    path.rename(folder / f"operations-main-w{worker}.arrows")


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, 0, 0)
    write(tmp_path, 1, BEHIND)
    return tmp_path


def column(parts, name):
    return np.concatenate([each.instants(name)[0] for each in parts])


def test_processes_with_clocks_of_their_own_are_on_that_of_the_load(folder):
    said = []
    parts = list(operations_of(folder, said.append))
    assert said == []
    its = read_history(folder).arrivals("main")
    order = np.argsort(column(parts, "due"))
    for name in ("due", "done"):
        assert np.array_equal(column(parts, name)[order], getattr(its, name))
    expected = START + np.arange(200) * EVERY
    assert np.abs(column(parts, "due")[order] - expected).max() < TOOK
    assert {each.header.worker for each in parts} == {0, 1}
    # Where none is asked, the clock of the process is 5 s off.
    kinds = {each for part in parts for each in part.rows.columns["kind"].to_list()}
    assert kinds <= set(ARRIVALS)


def test_what_is_whole_of_a_torn_file_is_there_with_its_clock(folder):
    path = folder / "operations-main-w1.arrows"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 1 // 4])
    said = []
    parts = list(operations_of(folder, said.append))
    (why,) = said
    assert why.startswith("operations-main-w1.arrows has no end")
    due = column([each for each in parts if each.header.worker == 1], "due")
    assert 10 < len(due) < 90
    assert due.min() >= START
    assert all(np.abs((due - START) % EVERY - EVERY // 2) > EVERY * 0.48)


def test_a_null_stays_one(tmp_path):
    writer = OperationWriter(tmp_path, "main", RATE)
    writer.write([Operation("", 1, 1, "read", 5, None, 9, "unsent", None)[1:]])
    writer.close()
    (part,) = operations_of(tmp_path, print)
    assert part.instants("sent")[1].tolist() == [True]
    assert part.instants("due")[1].tolist() == [False]
