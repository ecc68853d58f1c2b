"""A load of several processes on this machine, against a real PostgreSQL."""

from __future__ import annotations

import signal
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from chaosaws_kms_ext.checkers import durability
from chaosaws_kms_ext.checkers.outage_windows import Load as Known
from chaosaws_kms_ext.checkers.outage_windows import find_windows
from chaosaws_kms_ext.history.reader import read_history
from chaosaws_kms_ext.history.shares import absent_together, least_present
from chaosaws_kms_ext.history.writer import write_rows
from chaosaws_kms_ext.loadgen import loads
from chaosaws_kms_ext.loadgen.locust_processes import LoadConfig, LocustProcesses
from chaosaws_kms_ext.waiting import Observer
from tests.support.labs import until
from tests.support.postgres import RATE
from tests.support.records import arrivals

SECOND = 1_000_000_000
DEADLINE = 5.0
"""Seconds: however busy the machine is, no answer takes so long."""


@pytest.fixture
def load(start_load):
    its = start_load(workers=2, deadline=DEADLINE)
    time.sleep(1)
    return its


def judged(load, since):
    """The history of a load that was stopped, with the rows that it left, and its outages."""
    write_rows(load.config.folder, "main", load.rows(5))
    history = read_history(load.config.folder)
    known = Known(RATE, 0.5, DEADLINE, 0.05, present=least_present(history.absences("main")))
    windows = find_windows(history.arrivals("main"), known)
    return history, [each for each in windows if each.end is None or each.end > since]


def test_every_arrival_of_both_has_exactly_one_record(load):
    stopped = time.monotonic_ns()
    load.stop()
    steady = stopped - SECOND
    due = [o.due for o in arrivals(load.config.folder) if o.due < stopped]
    first = min(due)
    assert sorted(round((each - first) / SECOND * RATE) for each in due) == list(range(len(due)))
    whose = Counter(o.writer // 1_000_000 for o in arrivals(load.config.folder) if o.writer)
    assert set(whose) == {0, 1}
    assert max(whose.values()) - min(whose.values()) < 0.3 * len(due)
    history, windows = judged(load, steady)
    assert windows == []
    assert history.recorded["main"].workers == 2
    kept = durability.compare_writes(history.writes("main"), history.rows["main"])
    assert (kept.lost, kept.unexpected) == ((), ())


def test_one_that_is_killed_is_absent_and_that_is_no_outage(load):
    killed = load._processes.children[1].process
    killed.send_signal(signal.SIGKILL)
    died = time.monotonic_ns()
    killed.wait()
    until(lambda: load.present == 1)
    assert load.running
    load.wait_until_steady(1, 0.99, 60, Observer())
    load.stop()
    history, windows = judged(load, died - SECOND)
    assert windows == []
    away = [e for e in history.absences("main") if e.why == "recorded nothing"]
    assert [e.worker for e in away] == [1]
    assert died - 2 * SECOND < away[0].begin < died + SECOND // 2
    assert absent_together(history.absences("main")) == []
    assert history.arrivals("main").unrecorded.any()
    last = history.last_sequences("main")
    kept = durability.compare_writes(history.writes("main"), history.rows["main"], last)
    assert kept.acknowledged > 20
    assert (kept.lost, kept.unexpected) == ((), ())


@pytest.mark.parametrize("number", [1, 2, 64])
def test_several_have_the_time_to_begin_together(number):
    """However many there are, the load is not given up before its first arrival."""
    config = LoadConfig("", RATE, 64, True, 1.0, Path(), Path(), workers=number)
    assert (config.settle > 0) == (number > 1)
    assert loads.steady_timeout(config) >= config.settle + loads.STEADY_TIMEOUT
    remote = replace(config, master="127.0.0.1:5557")
    assert remote.settle == 0


def test_a_traceback_that_python_ignores_is_not_why_a_load_ended(tmp_path):
    log = tmp_path / "load.log"
    log.write_text(
        "Traceback (most recent call last):\n"
        '  File "load.py", line 1, in <module>\n'
        "ModuleNotFoundError: No module named 'none'\n"
        "Exception ignored in: <function _removeHandlerRef at 0x7f>\n"
        "Traceback (most recent call last):\n"
        '  File "gevent/thread.py", line 81, in get_ident\n'
        "RuntimeError: greenlet is being finalized\n"
    )
    config = LoadConfig("", RATE, 1, False, 1.0, tmp_path, log)
    assert LocustProcesses(config).why_ended() == "ModuleNotFoundError: No module named 'none'"
    log.write_text(log.read_text() + "ValueError: later\n")
    assert LocustProcesses(config).why_ended() == "ValueError: later"
