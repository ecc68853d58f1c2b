"""`chaos kms run`: the exit status says how the run ended."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from chaosaws_kms_ext.cli.run import STATUSES, _status
from chaosaws_kms_ext.shipped import QUERY_LOAD, experiment
from tests.support.labs import program


def attempt(folder, name="kms-disable", **environment):
    environment = {"CHAOS_LOAD_FILE": str(QUERY_LOAD), **environment}
    return subprocess.run(
        [program("chaos"), "--no-version-check", "kms", "run", str(experiment(name))],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(("verdict", "status"), STATUSES.items())
def test_each_verdict_has_a_status_of_its_own(verdict, status):
    assert _status({"status": "failed", "kms": {"verdict": verdict}}) == status
    assert len(set(STATUSES.values())) == len(STATUSES)


@pytest.mark.parametrize(
    ("journal", "status"),
    [
        ({"status": "completed", "deviated": False}, 0),
        ({"status": "completed", "deviated": True}, 1),
        ({"status": "aborted"}, 1),
        ({"status": "completed", "kms": {"verdict": "another"}}, 1),
    ],
)
def test_another_experiment_exits_as_chaos_run_does(journal, status):
    assert _status(journal) == status


def test_a_run_that_is_refused_exits_with_2_and_says_so_in_the_journal(tmp_path):
    done = attempt(tmp_path, CHAOS_NOT_DURING="always", AWS_PROFILE="production")
    assert done.returncode == 2, done.stderr
    assert "verdict: refused: CHAOS_NOT_DURING must be periods" in done.stderr.splitlines()[-1]
    journal = json.loads((tmp_path / "reports" / "journal.json").read_text())
    assert journal["kms"]["verdict"] == "refused"


@pytest.mark.soak
def test_an_experiment_that_there_is_not_exits_with_2(tmp_path):
    assert attempt(tmp_path, "none").returncode == 2


@pytest.mark.soak
@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({}, 0),
        ({"CHAOS_RTO": "1"}, 1),
        ({"CHAOS_NOT_DURING": "mon:00:00-sun:00:00,sun:00:00-mon:00:00"}, 2),
        ({"CHAOS_LAB_FAULTS": '[{"kind": "ignore-key"}]', "CHAOS_IMPACT_TIMEOUT": "600"}, 3),
    ],
)
def test_a_run_exits_as_it_ended(tmp_path, settings, status):
    done = attempt(tmp_path, CHAOS_LAB_SPEED="300", **settings)
    assert done.returncode == status, done.stdout + done.stderr
