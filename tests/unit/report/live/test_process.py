"""The page as a process of its own: it is there at once, and gone when it should be."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

from chaosaws_kms_ext.processes import LIFELINE, first_line
from chaosaws_kms_ext.report.live import process
from chaosaws_kms_ext.report.live.process import NotStarted, can_show
from tests.support.labs import until
from tests.support.live_page import Viewer, ask
from tests.support.live_runs import LiveRun

pytestmark = pytest.mark.thorough

SOON_OVER = f"""
import os, sys
from pathlib import Path
from chaosaws_kms_ext.report.live import process
process.AFTER = 1.0
sys.exit(process.main(Path(sys.argv[1]), int(os.environ.pop("{LIFELINE}"))))
"""


@pytest.fixture
def run(tmp_path):
    return LiveRun(tmp_path, ago=5)


def test_it_is_served_beside_the_run_and_leaves_it_the_processor(run):
    child, address = process.start(run.folder)
    try:
        assert ask(address)[0] == 200
        assert psutil.Process(child.process.pid).nice() == min(os.nice(0) + process.NICE, 19)
        assert (run.folder / "watch.log").stat().st_mode & 0o077 == 0
    finally:
        assert child.stop(grace=0.1) != 0  # it would have served the end of the run
    assert (run.folder / "watch.log").read_text() == ""


def test_it_ends_a_while_after_the_run_however_that_ended(run):
    """Its lifeline is closed by the kernel, as by a SIGKILL of the run."""
    theirs, ours = os.pipe()
    environment = {**os.environ, LIFELINE: str(theirs)}
    child = subprocess.Popen(
        [sys.executable, "-c", SOON_OVER, str(run.folder)], env=environment, pass_fds=[theirs],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    os.close(theirs)
    assert child.stdout is not None
    with child.stdout, Viewer(first_line(child.stdout.fileno(), 120)) as viewer:
        assert viewer.view["state"] == "going-on"
        os.close(ours)
        began = time.monotonic()
        assert child.wait(120) == 0
        assert time.monotonic() - began >= 0.9


def test_it_can_be_ended_at_once(run):
    child, _ = process.start(run.folder)
    child.process.terminate()
    assert child.process.wait(60) == 0
    child.let_go()


def test_a_page_that_cannot_start_is_said_and_leaves_no_process(run, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    before = psutil.Process().children()
    with pytest.raises(NotStarted, match="the live page did not start: "):
        process.start(run.folder)
    until(lambda: psutil.Process().children() == before)
    monkeypatch.setattr(process, "first_line", lambda *_: "")
    monkeypatch.delenv("PYTHONHOME")
    with pytest.raises(NotStarted, match="the live page did not start: "):
        process.start(run.folder)
    with pytest.raises(NotStarted, match="cannot be started"):
        process.start(run.folder / "nothing" / "there")


@pytest.mark.skipif(sys.platform == "darwin", reason="there everything is a desktop")
@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({}, False),
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True),
        ({"DISPLAY": ":10", "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, False),
        ({"DISPLAY": ":0", "CI": "true"}, False),
    ],
)
def test_a_page_is_opened_on_a_desktop_only(environment, shown):
    assert can_show(environment) is (
        shown or (sys.platform == "darwin" and "CI" not in environment)
    )


@pytest.mark.parametrize("watch", ["no", "yes"])
def test_a_run_goes_on_without_its_page(run, watch, monkeypatch, caplog):
    def fails(folder):
        raise NotStarted(f"no page of {folder.name}")

    monkeypatch.setattr(process, "start", fails)
    its = run.run
    its.settings = replace(its.settings, watch=watch)
    with caplog.at_level("WARNING", "chaostoolkit"):
        process.show(its)
    said = [record.getMessage() for record in caplog.records]
    assert said == ([f"no page of {run.folder.name}"] if watch == "yes" else [])
