"""A program that is forked is for the tests what the program itself is."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from chaosaws_kms_ext.processes import Child
from chaosaws_kms_ext.report.summary import judge
from tests.support import forked_chaos, forks
from tests.support.chaos import ROOT, Chaos, left
from tests.support.forked_child import ForkedChild
from tests.support.labs import until

pytestmark = pytest.mark.thorough


@pytest.fixture(params=[True, False], ids=["forked", "started"])
def chaos(request, tmp_path):
    return Chaos(tmp_path, forks=request.param)


def test_its_output_and_its_exit_status_are_told(chaos):
    assert chaos.kms("restore").status == 0
    ran = chaos.kms("report", "nowhere")
    assert ran.status == 2
    assert "nowhere" in ran.output


def test_while_it_runs_it_is_seen_by_its_mark_with_its_command_line(chaos):
    running = chaos.start("kms", "lab")
    until(lambda: "Ctrl-C ends the lab" in running.output, timeout=30)
    assert any("bin/chaos --no-version-check kms lab" in line for line in running.left())
    assert any("-m chaosaws_kms_lab" in line for line in left(running.mark))
    with pytest.raises(subprocess.TimeoutExpired):
        running.process.wait(0.1)
    running.signal(signal.SIGINT)
    assert running.wait(20).status == 0
    until(lambda: not running.left(), timeout=10)


def test_what_killed_it_is_told(chaos):
    running = chaos.start("kms", "lab")
    until(running.left)
    running.signal(signal.SIGKILL)
    assert running.wait(10).status == -signal.SIGKILL
    running.signal(signal.SIGKILL)  # of one that is gone
    until(lambda: not running.left(), timeout=10)


def test_only_the_pytest_itself_starts_what_forks(monkeypatch, tmp_path):
    monkeypatch.setenv(forks.SOCKETS, str(tmp_path))
    assert not forks.ready("tests.support.forked_labs")


def test_whoever_comes_second_starts_no_other():
    assert forks.ready(forked_chaos.__name__)
    address = Path(os.environ[forks.SOCKETS], "forked_chaos")
    first = address.stat().st_ino
    forks._start_forker.__wrapped__(forked_chaos.__name__)  # as another worker of this pytest
    assert address.stat().st_ino == first


PARENT = """
import os, sys
from tests.support import forks
forks.share(worker=False)
assert forks.ready("nothing")
print(os.environ[forks.SOCKETS], flush=True)
sys.stdin.read()
"""


def test_what_forks_ends_with_its_pytest_however_that_ends(tmp_path):
    (tmp_path / "nothing.py").write_text("def prepare():\n    return lambda: 0\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    command = [sys.executable, "-c", PARENT]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env={"PYTHONPATH": path}, text=True, **pipes) as parent:
        folder = parent.stdout.readline().strip()

        def forking():
            return [
                p for p in psutil.process_iter() if _environment(p).get(forks.SOCKETS) == folder
            ]

        (process,) = until(lambda: [each for each in forking() if each.pid != parent.pid])
        parent.kill()
        until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
    shutil.rmtree(folder)


def _environment(process):
    with contextlib.suppress(psutil.Error):
        return process.environ()
    return {}


def test_several_threads_may_wait_for_its_end(tmp_path):
    running = Chaos(tmp_path).start("kms", "lab")
    until(running.left)
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(running.process.wait, 20) for _ in range(8)]
        running.signal(signal.SIGKILL)
        assert {each.result() for each in waiting} == {-signal.SIGKILL}
    until(lambda: not running.left(), timeout=10)


def test_whoever_is_killed_while_it_asks_takes_nobody_else_with_it(tmp_path):
    assert forks.ready(forked_chaos.__name__)
    address = str(Path(os.environ[forks.SOCKETS], "forked_chaos"))
    for _ in range(5):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
            asking.connect(address)
    assert Chaos(tmp_path).kms("report", "nowhere").status == 2


FAILING = """
def test_what_is_asserted_is_shown():
    assert [1, 2] == [1, 3]
"""

UNIMPORTABLE = "import nothing_of_that_name\n"

KILLED = """
import os, pathlib, psutil, signal


def test_its_worker_is_killed():
    pathlib.Path({where!r}).write_text(" ".join(psutil.Process().parent().cmdline()))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif("'PYTEST_XDIST_WORKER' not in os.environ", reason="this is no worker")
def test_the_workers_of_this_pytest_are_forked():
    assert "tests.support.forked_workers" in psutil.Process().parent().cmdline()


@pytest.mark.soak
def test_a_worker_of_pytest_is_forked_and_tells_what_a_started_one_tells(tmp_path):
    folder = Path(tempfile.mkdtemp(prefix="forked-", dir=Path(__file__).parent / "unit"))
    try:
        for name, text in (("failing", FAILING), ("unimportable", UNIMPORTABLE)):
            (folder / f"test_{folder.name}_{name}.py").write_text(text)
        (folder / "test_killed.py").write_text(KILLED.format(where=str(tmp_path / "parent")))
        said = subprocess.run(
            [sys.executable, "-m", "pytest", "-n", "1", "--basetemp", tmp_path / "base", folder],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=100,
            check=False,
        ).stdout
    finally:
        shutil.rmtree(folder)
    assert "tests.support.forked_workers" in (tmp_path / "parent").read_text()
    assert "assert [1, 2] == [1, 3]" in said
    assert "No module named 'nothing_of_that_name'" in said
    assert "worker 'gw0' crashed while running" in said
    assert "2 failed, 1 error" in said


def test_what_is_replaced_for_the_tests_is_replaced_before_they_are_imported():
    assert Child is ForkedChild
    assert judge.__wrapped__
