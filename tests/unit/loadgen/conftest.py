"""A PostgreSQL of the tests' own, to be frozen and killed directly."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.loadgen import loads, locust_processes
from chaosaws_kms_ext.loadgen.process import Load, LoadConfig
from chaosaws_kms_ext.waiting import Observer
from tests.support.forked_child import ForkedChild
from tests.support.postgres import RATE, a_postgres


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
    loads = []

    def start(steady=True, **more):
        (tmp_path / "history").mkdir(exist_ok=True)
        config = {
            "database": postgres.conninfo,
            "rate": RATE,
            "users": 16,
            "writes": True,
            "deadline": 0.5,
            "folder": tmp_path / "history",
            "log": tmp_path / "load.log",
        }
        load = Load(LoadConfig(**{**config, **more}))
        loads.append(load)
        load.start()
        if steady:
            load.wait_until_steady(0.5, 0.99, 60, Observer())
        return load

    yield start
    for load in loads:
        load.stop()
