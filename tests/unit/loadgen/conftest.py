"""A PostgreSQL of the tests' own, to be frozen and killed directly."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.loadgen import loads, locust_processes
from tests.support.forked_child import ForkedChild
from tests.support.postgres import a_postgres
from tests.support.started_loads import starting_loads


@pytest.fixture(autouse=True)
def _forked_locust(monkeypatch):
    """But for tests of the program itself, which start it themselves."""
    monkeypatch.setattr(locust_processes, "Child", ForkedChild)


@pytest.fixture
def begin_run(tmp_path, monkeypatch):
    """Begins a run with a folder, in this process; its loads need not be steady for long."""
    monkeypatch.setattr(loads, "STEADY_FOR", 0.5)
    monkeypatch.setattr(loads, "STEADY_TIMEOUT", 60.0)
    monkeypatch.setattr(loads, "ROWS_TIMEOUT", 5.0)
    begun = []

    def begin(settings):
        runs.end()
        run = runs.begin(settings, "x")
        run.folder = tmp_path
        (tmp_path / "history").mkdir()
        begun.append(run)
        return run

    yield begin
    for run in begun:
        for load in run.loads:
            load.stop()
    runs.end()


@pytest.fixture
def postgres():
    with a_postgres() as server:
        yield server


@pytest.fixture
def start_load(postgres, tmp_path):
    with starting_loads(postgres.conninfo, tmp_path, 60) as start:
        yield start
