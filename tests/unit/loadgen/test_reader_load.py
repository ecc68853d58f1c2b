"""The load over the reader endpoint, on a PostgreSQL of the tests' own that plays both ends."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import psycopg
import pytest
from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext.aws.rds import Cluster
from chaosaws_kms_ext.history import READER, Conditions, EventName
from chaosaws_kms_ext.history.payload import payload_of
from chaosaws_kms_ext.history.reader import read_history
from chaosaws_kms_ext.load import actions
from chaosaws_kms_ext.loadgen import loads, reader_load
from chaosaws_kms_ext.loadgen.reader_load import start_where_readers_are
from chaosaws_kms_ext.report.summary import measure
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.settings import Settings
from tests.support.postgres import RATE

SETTINGS = Settings(
    target="aws", cluster_id="orders", load_rate=RATE, reader_rate=RATE / 2, query_deadline=0.5
)
WRITER_ONLY, BOTH = ["orders-1"], ["orders-1", "orders-2"]


@pytest.fixture
def run(begin_run, monkeypatch):
    monkeypatch.setattr(reader_load, "SEEN_WITHIN", 1.0)
    return begin_run(SETTINGS)


def cluster(postgres, members=BOTH, status="available", **said):
    host, port = postgres.listens[0], postgres.port
    return Cluster(
        id="orders",
        arn="arn:aws:rds:eu-west-1:123456789012:cluster:orders",
        status="available",
        instances={name: status if number else "available" for number, name in enumerate(members)},
        encrypted=True,
        key="arn:k",
        encryption_type="",
        raw={
            "Endpoint": host,
            "ReaderEndpoint": host,
            "Port": port,
            "MasterUsername": "postgres",
            "DBClusterMembers": [
                {"DBInstanceIdentifier": name, "IsClusterWriter": not number}
                for number, name in enumerate(members)
            ],
            **said,
        },
    )


def started(run):
    return [each.details for each in run.events if each.name == EventName.LOAD_STARTED]


def of_readers(run):
    """Whatever a load over the reader endpoint leaves."""
    files = [path.name for path in (run.folder / "history").glob(f"*-{READER}-*")]
    return [*files, *(each for each in started(run) if each["load"] == READER), *run.loads]


def test_it_reads_what_main_writes_and_has_figures_of_its_own(run, postgres):
    run.settings = replace(SETTINGS, target="lab")  # on AWS its schema stands in the ledger
    loads.start(run, "main", cluster(postgres), postgres.conninfo)
    start_where_readers_are(run, cluster(postgres))
    main, reader = started(run)
    assert "endpoint" not in main
    assert (reader["load"], reader["endpoint"], reader["registers_of"]) == (
        "reader",
        "reader",
        "main",
    )
    config = run.loads.get("reader").config
    assert (config.rate, config.users, config.writes) == (RATE / 2, 8, False)
    time.sleep(2)
    assert actions.stop_load("reader") == {"load": "reader"}
    assert actions.stop_load() == {"load": "main"}

    conditions = Conditions(run=run.id, experiment="x", started="", settings=run.settings)
    recorded = replace(read_history(run.folder / "history"), events=run.events, rows=run.loads.rows)
    its = measure(recorded, conditions)
    assert its.measured["lost_writes"] == its.measured["changed_writes"] == 0
    assert its.measured["missed_arrivals"] == its.measured["stale_reads"] == 0
    assert its.doubts == ()
    figures = its.loads["reader"]
    assert figures["register_reads"]["endpoint"] == "reader"
    assert figures["register_reads"]["seen"] > 10
    assert figures["windows"] == []
    assert figures["availability"] == 1
    assert figures["writes"] is None
    writers = set(recorded.writes("main").rows.writer.tolist())
    assert set(recorded.reads("reader").key.tolist()) <= writers
    assert len(set(recorded.reads("reader").key.tolist())) > 4


def test_a_register_that_is_set_back_is_seen_over_the_reader_endpoint_alone(run, postgres):
    """Where `main` has ended, only the other load can see it."""
    run.settings = replace(SETTINGS, target="lab")
    main = loads.start(run, "main", cluster(postgres), postgres.conninfo)
    start_where_readers_are(run, cluster(postgres))
    time.sleep(1)
    loads.end(run, main)
    time.sleep(0.5)
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        firsts = "SELECT writer, min(sequence) FROM chaos_kms.writes GROUP BY writer"
        for writer, first in connection.execute(firsts).fetchall():
            connection.execute(
                "UPDATE chaos_kms.registers SET value = %s, payload = %s WHERE writer = %s",
                (first, payload_of(writer, first), writer),
            )
    time.sleep(1.5)
    loads.end(run, run.loads.get("reader"))
    conditions = Conditions(run=run.id, experiment="x", started="", settings=run.settings)
    recorded = replace(read_history(run.folder / "history"), events=run.events)
    its = measure(recorded, conditions)
    assert its.loads["reader"]["register_reads"]["in_session"] > 0
    assert its.measured["stale_reads"].sum > 0
    assert its.figures["register_reads"]["in_session"] == 0


@pytest.mark.parametrize("wanted", ["auto", "no"])
def test_without_a_reader_nothing_is_started_nor_said(run, postgres, caplog, wanted):
    run.settings = replace(SETTINGS, reader_load=wanted)
    start_where_readers_are(run, cluster(postgres, WRITER_ONLY))
    assert of_readers(run) == []
    assert caplog.messages == []


def test_it_can_be_left_out(run, postgres):
    run.settings = replace(SETTINGS, reader_load="no")
    start_where_readers_are(run, cluster(postgres))
    assert of_readers(run) == []


BROKEN = "raise RuntimeError('not this one')"


def cannot(postgres, why, tmp_path):
    """A cluster and settings with which no load over the reader endpoint can run."""
    settings, its = SETTINGS, cluster(postgres)
    if why == "is available":
        its = cluster(postgres, status="rebooting")
    elif why == "names an address of its own":
        settings = replace(SETTINGS, database="hostaddr=127.0.0.1 port=1")
    elif why == "cannot be used":
        its = cluster(postgres, ReaderEndpoint="127.0.0.9", Port=1)
        its = replace(its, raw={**its.raw, "Endpoint": "127.0.0.9"})
    elif why == "not within 1 s":  # nobody has made the schema
        pass
    else:
        (tmp_path / "broken.py").write_text(BROKEN)
        settings = replace(SETTINGS, load_writes="none", load_file=str(tmp_path / "broken.py"))
    return settings, its


@pytest.mark.parametrize(
    "why",
    [
        "is available",
        "names an address of its own",
        "cannot be used",
        "not within 1 s",
        "RuntimeError: not this one",
    ],
)
def test_readers_that_cannot_be_reached_are_told_and_leave_nothing(
    run, postgres, tmp_path, caplog, monkeypatch, why
):
    monkeypatch.setattr(reader_load, "LOOK_TIMEOUT", 0.5)
    settings, its = cannot(postgres, why, tmp_path)
    run.settings = settings
    with caplog.at_level(logging.WARNING):
        start_where_readers_are(run, its)
    (said,) = [m for m in caplog.messages if m.startswith("No load runs over the reader endpoint")]
    assert why in said
    assert of_readers(run) == []
    run.settings = replace(settings, reader_load="yes")
    with pytest.raises(Refused, match="CHAOS_READER_LOAD is yes, and it cannot run: ") as caught:
        start_where_readers_are(run, its)
    assert why in str(caught.value)
    assert of_readers(run) == []


def test_where_it_has_to_be_a_cluster_without_readers_is_refused(run, postgres):
    run.settings = replace(SETTINGS, reader_load="yes")
    with pytest.raises(Refused, match="the cluster orders has no reader"):
        start_where_readers_are(run, cluster(postgres, WRITER_ONLY))


def test_an_experiment_cannot_take_its_name(run):
    with pytest.raises(ActivityFailed, match="reader is the load that a run has over the reader"):
        actions.start_load(name="reader")
