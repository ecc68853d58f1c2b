"""Whole runs whose load is on remote workers: judged as others are, and a lost one is named."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from datetime import datetime

import pytest

from tests.support.chaos import aws
from tests.support.chaos_runs import MOMENTS
from tests.support.labs import program
from tests.support.postgres import free_port

__all__ = ["aws"]

pytestmark = pytest.mark.soak

WORKERS, SPEED = 3, 100
HELD = 8
"""Seconds for which the key stays away after the impact."""


@pytest.fixture
def remote(aws, tmp_path):
    """A run that has its workers; and these."""
    with contextlib.ExitStack() as stack:

        def start(**settings):
            master = f"127.0.0.1:{free_port()}"
            its = aws(
                speed=SPEED,
                CHAOS_LOAD_WORKERS="remote",
                CHAOS_LOAD_PROCESSES=str(WORKERS),
                CHAOS_LOAD_MASTER=master,
                **settings,
            )
            password = {"PGPASSWORD": its.lab.clusters[0]["password"]}
            running = its.chaos.start_run(**password)
            stack.callback(running.signal, signal.SIGKILL)
            command = f"chaos kms load-worker {master}"
            running.until_said(command)
            found = []
            for number in range(WORKERS):
                log = stack.enter_context((tmp_path / f"worker-{number}").open("wb"))
                worker = subprocess.Popen(
                    [program("chaos"), *command.split()[1:]],
                    env={**os.environ, **password},
                    stdout=log,
                    stderr=log,
                )
                stack.callback(worker.wait, 30)
                stack.callback(worker.kill)
                found.append(worker)
            return running, found

        yield start


def utc(text):
    return datetime.fromisoformat(text)


def test_a_run_on_remote_workers_passes_and_they_end_with_it(remote):
    running, workers = remote()
    ran = running.wait(240)
    assert ran.status == 0, ran.output
    assert [worker.wait(30) for worker in workers] == [0] * WORKERS
    summary = ran.summary
    assert summary["verdict"] == "passed"
    assert (summary["workers"]["started"], summary["workers"]["absences"]) == (WORKERS, [])
    assert summary["workers"]["unrecorded"] == 0
    assert summary["writes"]["lost"] == 0
    assert summary["writes"]["acknowledged"] > 0
    (window,) = summary["windows"]
    assert window["depth"] > 0.95
    assert window["end"] > summary["timeline"]["put_back"]


def test_a_worker_that_is_killed_in_the_outage_is_named_and_the_verdict_is_of_the_others(remote):
    running, workers = remote(CHAOS_HOLD=str(HELD))
    running.until_said(MOMENTS["hold"], 120)
    workers[0].send_signal(signal.SIGKILL)
    ran = running.wait(240)
    summary = ran.summary
    assert summary["verdict"] == "passed", ran.output
    assert ran.status == 0, ran.output
    (absence,) = summary["workers"]["absences"]
    assert absence["why"] == "recorded nothing"
    (window,) = summary["windows"]
    # What it had asked when the database fell silent was still unanswered, so not recorded.
    since = utc(absence["begin"]) - utc(window["begin"])
    assert abs(since.total_seconds()) < HELD
    assert summary["workers"]["unrecorded"] > 0
    assert summary["writes"]["lost"] == 0
