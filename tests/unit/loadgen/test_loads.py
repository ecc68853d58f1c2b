"""The loads of a run by their names, on a PostgreSQL of the tests' own."""

from __future__ import annotations

import signal
import time
from dataclasses import replace

import pytest
from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext.aws.rds import cluster_of
from chaosaws_kms_ext.history import SECOND, Conditions, EventName
from chaosaws_kms_ext.history.reader import read_history
from chaosaws_kms_ext.load import actions, probes
from chaosaws_kms_ext.loadgen import loads
from chaosaws_kms_ext.loadgen.client.config import WRITERS
from chaosaws_kms_ext.loadgen.restarts import Restarts
from chaosaws_kms_ext.loadgen.schema import LoadFailed
from chaosaws_kms_ext.report.summary import measure
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.settings import Settings
from tests.support.labs import until
from tests.support.postgres import RATE, freeze
from tests.support.records import arrivals

ORDERS = cluster_of({"DBClusterIdentifier": "orders", "KmsKeyId": "arn:k"}, ())
SETTINGS = Settings(load_rate=RATE, query_deadline=0.5, lab_speed=600)


@pytest.fixture
def run(begin_run):
    return begin_run(SETTINGS)


def happened(run, name):
    return [event.details["load"] for event in run.events if event.name == name]


def figures(run):
    """As the control would have them."""
    conditions = Conditions(run=run.id, experiment="x", started="", settings=run.settings)
    run.event(EventName.READY, caller="arn:me")
    recorded = replace(read_history(run.folder / "history"), events=run.events)
    return measure(recorded, conditions)


def test_on_which_cluster_a_load_is_and_under_which_key_is_recorded(run, postgres):
    carts = cluster_of({"DBClusterIdentifier": "carts", "KmsKeyId": "arn:k"}, ())
    main = loads.start(run, "main", ORDERS, postgres.conninfo)
    second = loads.start(run, "second", carts, postgres.conninfo)
    told = {
        each.details["load"]: (each.details["cluster"], each.details["key"])
        for each in run.events
        if each.name == EventName.LOAD_STARTED
    }
    assert told == {"main": ("orders", "arn:k"), "second": ("carts", "arn:k")}
    assert (loads.of_target(run), loads.beside(run, "carts")) == ([main], [second])
    assert loads.beside(run, "invoices") == []
    assert loads.are_answered(run, [main, second])
    freeze(postgres)
    until(lambda: not loads.are_answered(run, [second]), 10)
    loads.end(run, second)
    assert loads.are_answered(run, [second])  # one that has ended asks nothing


def test_two_loads_run_beside_each_other_and_end_one_by_one(run, postgres):
    loads.start(run, "main", ORDERS, postgres.conninfo)
    # One database, one schema: only the first may write.
    run.settings = Settings(load_rate=RATE, query_deadline=0.5, lab_speed=600, load_writes="none")
    loads.start(run, "copy", ORDERS, postgres.conninfo)
    assert [load.config.name for load in run.loads] == ["main", "copy"]
    assert happened(run, EventName.LOAD_STEADY) == ["main", "copy"]
    assert actions.run_on() == {"seconds": 1.0}
    for name in ("main", "copy"):
        assert probes.answered_share(0.5, name) == pytest.approx(1, abs=0.02)
        assert probes.latency_p99("0.5", name) < 500

    assert actions.stop_load("copy") == {"load": "copy"}
    assert run.loads.stopped == {"copy"}
    with pytest.raises(ActivityFailed, match="the load copy has ended by itself"):
        probes.answered_share(0.5, "copy")
    assert actions.run_on() == {"seconds": 1.0}
    assert actions.stop_load() == {"load": "main"}
    assert happened(run, EventName.LOAD_STOPPED) == ["copy", "main"]
    with pytest.raises(ActivityFailed, match="no load runs"):
        actions.run_on()

    measured = figures(run)
    assert measured.measured["missed_arrivals"] == 0
    assert measured.loads["copy"]["missed_arrivals"] == 0
    assert measured.figures["writes"]["lost"] == 0


def test_a_name_is_given_once(run, postgres):
    loads.start(run, "main", ORDERS, postgres.conninfo)
    with pytest.raises(Refused, match="a load called main was started before"):
        loads.start(run, "main", ORDERS, postgres.conninfo)
    assert run.loads.get("main").running


def test_without_a_folder_no_load_starts(run, postgres):
    run.folder = None
    with pytest.raises(Refused, match=r"the folder of the control chaosaws_kms_ext\.controls\.run"):
        loads.start(run, "main", ORDERS, postgres.conninfo)
    assert list(run.loads) == []


def test_a_load_that_hangs_is_stopped_all_the_same_and_said(run, postgres, monkeypatch):
    load = loads.start(run, "main", ORDERS, postgres.conninfo)
    freeze(postgres)
    until(lambda: load.window(0.5).share < 0.5)
    monkeypatch.setattr(loads, "STEADY_TIMEOUT", 1.0)
    with pytest.raises(ActivityFailed, match="the load main: the load was not steady within 1 s"):
        actions.stop_load()
    assert not load.running
    assert happened(run, EventName.LOAD_STOPPED) == ["main"]
    measured = figures(run)
    assert measured.measured["missed_arrivals"] > RATE / 2
    assert measured.measured["lost_writes"] is None


def test_a_load_that_is_killed_misses_everything_until_it_is_stopped(run, postgres):
    load = loads.start(run, "main", ORDERS, postgres.conninfo)
    load._processes.children[-1].process.send_signal(signal.SIGKILL)
    until(lambda: not load.running)
    killed = time.monotonic()
    with pytest.raises(ActivityFailed, match="a load has ended by itself"):
        actions.run_on()
    with pytest.raises(ActivityFailed, match="the load main: the load ended"):
        actions.stop_load()
    stopped = run.last(EventName.LOAD_STOPPED).at / 1e9
    assert figures(run).measured["missed_arrivals"] >= RATE * (stopped - killed) - 2


def test_a_load_that_dies_is_started_again_once_and_loses_nothing(run, postgres):
    """Its writers have other numbers, so that no row of the second start is one of the first."""
    load = loads.start(run, "main", ORDERS, postgres.conninfo)
    restarts = Restarts(run)
    restarts.start()
    load._processes.children[-1].process.send_signal(signal.SIGKILL)
    until(lambda: run.last(EventName.LOAD_STARTED_AGAIN))
    assert not load.ended
    again = run.last(EventName.LOAD_STARTED_AGAIN).at
    until(lambda: max(o.done for o in arrivals(load.config.folder)) > again + SECOND)
    until(lambda: load.window(1.0).share > 0.9)
    assert actions.stop_load() == {"load": "main"}
    measured = figures(run)
    assert measured.measured["missed_arrivals"] == 0
    assert measured.measured["lost_writes"] == 0
    assert measured.figures["writes"]["unknown"] <= measured.figures["writes"]["present"]
    (cause,) = measured.causes
    assert "was started again, so for " in cause
    assert not [why for why in measured.doubts if "no client can have written" in why]
    assert set((run.loads.rows["main"].rows.rows.writer > WRITERS).tolist()) == {True, False}
    restarts.stop()


def test_a_load_that_dies_again_stays_so(run, postgres):
    load = loads.start(run, "main", ORDERS, postgres.conninfo)
    load.may_start_again = True
    for again in (True, False):
        load._processes.children[-1].process.send_signal(signal.SIGKILL)
        until(lambda: not load.running)
        assert load.ended != again
        assert load.start_again() == again
    assert load.ended


def test_a_load_that_was_stopped_is_not_started_again(run, postgres):
    load = loads.start(run, "main", ORDERS, postgres.conninfo)
    load.may_start_again = True
    load.stop()
    assert load.ended
    assert not load.start_again()


def test_a_load_that_was_killed_before_is_not_passed_over_while_another_runs(run, postgres):
    killed = loads.start(run, "main", ORDERS, postgres.conninfo)
    run.settings = Settings(load_rate=RATE, query_deadline=0.5, lab_speed=600, load_writes="none")
    loads.start(run, "copy", ORDERS, postgres.conninfo)
    killed._processes.children[-1].process.send_signal(signal.SIGKILL)
    until(lambda: not killed.running)
    with pytest.raises(ActivityFailed, match="a load has ended by itself"):
        actions.run_on()


def test_a_load_that_could_not_start_is_not_one_that_missed_nothing(run, postgres):
    with pytest.raises(LoadFailed, match="nowhere"):
        loads.start(run, "copy", ORDERS, f"{postgres.conninfo} dbname=nowhere")
    assert happened(run, EventName.LOAD_STEADY) == []
    run.event(EventName.LOAD_STOPPED, load="copy")
    assert figures(run).measured["missed_arrivals"] is None


def test_a_locust_file_of_ones_own_is_used(run, postgres, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("raise RuntimeError('not this one')")
    with pytest.raises(LoadFailed, match="RuntimeError: not this one"):
        loads.start(run, "copy", ORDERS, postgres.conninfo, str(broken))
