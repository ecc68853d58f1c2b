"""`chaos kms watch`: which run is shown, and what is said where there is none."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner

from chaosaws_kms_ext.cli import kms
from tests.support.live_page import Viewer
from tests.support.live_runs import LiveRun


def watch(*arguments, **env):
    return CliRunner().invoke(kms, ["watch", *map(str, arguments)], env=env)


@pytest.mark.parametrize("there", ["nothing", "folder", "file"])
def test_what_is_no_folder_of_a_run_is_said(tmp_path, there):
    where = tmp_path / "x\x1b[31m"
    if there == "folder":
        where.mkdir()
    elif there == "file":
        where.write_text("")
    ran = watch(where)
    assert ran.exit_code == 2
    assert ran.output.endswith("is no folder of a run: it has no history/\n")
    assert "\x1b" not in ran.output


def test_a_port_that_is_taken_is_said(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = watch("--port", port, LiveRun(tmp_path, ago=1).folder)
    assert ran.exit_code == 2
    assert f"port {port} of 127.0.0.1 cannot be used" in ran.output


@pytest.fixture
def program(tmp_path):
    """Starts the program itself, which has signals of its own; the address that it prints."""
    started = []

    def start(*arguments):
        code = "from chaosaws_kms_ext.cli import kms; kms(prog_name='kms')"
        environment = {**os.environ, "CHAOS_REPORTS_DIR": str(tmp_path)}
        its = subprocess.Popen(
            [sys.executable, "-c", code, "watch", *map(str, arguments)], env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        started.append(its)
        return its, its.stdout.readline().split(" ")[0]

    yield start
    for its in started:
        its.kill()
        its.wait()
        its.stdout.close()


def test_started_before_the_run_it_shows_the_run_that_begins(program, tmp_path):
    its, address = program()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\S+/", address)
    with Viewer(address) as viewer:
        assert viewer.view["state"] == "waiting"
        run = LiveRun(tmp_path, ago=1)
        run.load(0, 30)
        viewer.until_state("going-on", 20)
        viewer.until(lambda: viewer.axis is not None)
    its.send_signal(signal.SIGINT)
    assert its.wait(10) == 0


def test_it_waits_for_a_run_as_long_as_it_is_told(program, tmp_path):
    its, address = program("--wait", "0.2")
    assert address
    assert its.wait(20) == 2
    assert its.stdout.read() == f"Error: no run began in {tmp_path} within 0.2 s\n"
