"""A load whose workers are started by `chaos kms load-worker`, all on this machine."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chaosaws_kms_ext.history.reader import read_history
from tests.support.labs import until
from tests.support.postgres import RATE, a_postgres, free_port

pytestmark = pytest.mark.thorough

SECOND = 1_000_000_000
PARENT = """
import sys, time
from pathlib import Path
from chaosaws_kms_ext.loadgen.process import Load, LoadConfig
from chaosaws_kms_ext.waiting import Observer
folder = Path(sys.argv[2])
load = Load(LoadConfig(database=sys.argv[1], rate=100, users=8, writes=True, deadline=1.0,
                       folder=folder, log=folder / "log", workers=2, master=sys.argv[3]))
load.start()
load.wait_for_workers(40, Observer())
load.wait_until_steady(0.5, 0.99, 60, Observer())
print("steady", flush=True)
sys.stdin.readline()
load.stop()
print("stopped", flush=True)
"""


@pytest.fixture(scope="module")
def postgres():
    with a_postgres() as server:
        yield server


@pytest.fixture
def started(postgres, tmp_path):
    """The process that has the load, and its two workers."""
    address = f"127.0.0.1:{free_port()}"
    command = [Path(sys.executable).with_name("chaos"), "kms", "load-worker", address]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, postgres.conninfo, str(tmp_path), address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    workers = [
        subprocess.Popen(command, stderr=(tmp_path / f"worker-{n}").open("wb")) for n in range(2)
    ]
    try:
        assert parent.stdout.readline() == "steady\n", (tmp_path / "log").read_text()
        yield parent, workers
    finally:
        for process in [parent, *workers]:
            process.kill()
            process.wait()


def test_one_that_is_killed_is_absent_and_all_end_with_the_load(started, tmp_path):
    parent, (killed, other) = started
    time.sleep(1)
    killed.send_signal(signal.SIGKILL)
    died = time.monotonic_ns()
    time.sleep(2)
    stopped = time.monotonic_ns()
    parent.stdin.write("\n")
    parent.stdin.flush()
    assert parent.stdout.readline() == "stopped\n"
    assert other.wait(60) == 0
    assert parent.wait(60) == 0
    history = read_history(tmp_path)
    its, recorded = history.arrivals("main"), history.recorded["main"]
    (away,) = [e for e in recorded.absences if e.why == "recorded nothing"]
    assert abs(away.begin - died) < 2 * SECOND
    assert 0 < recorded.clock_error < 0.5
    due = its.due[its.due < stopped]
    places = (due - due[0]) / SECOND * RATE
    assert abs(len(due) - places[-1] - 1) <= 2
    expected = (stopped - away.begin) / SECOND * RATE / 2
    assert its.unrecorded[its.due >= away.begin].sum() >= expected - 2


def test_the_workers_of_a_load_that_is_killed_end_within_seconds(started, tmp_path):
    parent, workers = started
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until(lambda: all(each.poll() is not None for each in workers))
    assert "the load has ended" in (tmp_path / "worker-0").read_text()


FULL = """
import resource, sys
from types import SimpleNamespace
from unittest.mock import MagicMock
from chaosaws_kms_ext.loadgen.client.master import Master
config = SimpleNamespace(folder=sys.argv[1], name="main")
keep = Master(config, MagicMock())._file(0)
keep(b"first")
most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for room in (8, most):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
    try:
        keep(b"second")
    except OSError as problem:
        print(problem.strerror)
"""


def test_nothing_follows_a_chunk_of_which_the_disk_took_a_part(tmp_path):
    """Its worker sends it again; what was not written of it yet may still come."""
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.splitlines() == ["File too large"] * 2
    assert b"firstsecond".startswith((tmp_path / "operations-main-w0.arrows").read_bytes())
