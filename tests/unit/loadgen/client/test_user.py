"""What a team's queries, the environment and a stop at a bad moment must not do to a load."""

from __future__ import annotations

import time

import psycopg
import pytest

from chaosaws_kms_ext.checkers import durability
from chaosaws_kms_ext.history import Outcome
from chaosaws_kms_ext.history.reader import read_history
from chaosaws_kms_ext.history.writer import write_rows
from chaosaws_kms_ext.loadgen import schema
from chaosaws_kms_ext.loadgen.locust_processes import DEFAULT_LOAD
from chaosaws_kms_ext.loadgen.schema import LoadFailed
from chaosaws_kms_ext.waiting import Observer
from tests.support.labs import mostly_soak
from tests.support.postgres import RATE, freeze
from tests.support.records import arrivals

SECOND = 1_000_000_000


@pytest.fixture
def team(tmp_path):
    """A load file with one query."""

    def write(query):
        path = tmp_path / "team.py"
        path.write_text(
            "from chaosaws_kms_ext.loadgen.client.user import QueryUser, read\n"
            "class Shop(QueryUser):\n"
            "    @read()\n"
            "    def query(self, connection):\n"
            f"        {query}\n"
        )
        return path

    return write


def failure(start_load, **config):
    with pytest.raises(LoadFailed) as failed:
        start_load(steady=False, **config).wait_until_steady(0.5, 0.99, 4, Observer())
    assert "\n" not in str(failed.value)
    return str(failed.value)


def test_arrivals_that_nobody_could_take_when_the_load_stops_have_a_record(postgres, start_load):
    load = start_load()
    freeze(postgres)
    time.sleep(1.2)
    stopped = time.monotonic_ns()
    load.stop()
    dues = [o.due for o in arrivals(load.config.folder)]
    numbers = [round((due - dues[0]) * RATE / SECOND) for due in dues]
    assert numbers == list(range(len(dues)))
    assert dues[-1] > stopped - 2 * SECOND / RATE


def test_what_the_witnesses_waited_for_at_the_stop_has_a_record(postgres, start_load):
    load = start_load(deadline=5.0)
    freeze(postgres)
    time.sleep(0.8)
    load.stop()
    history = read_history(load.config.folder)
    for kind in ("session", "connect"):
        assert history.witness("main", kind)[-1].outcome == Outcome.ABORTED


@pytest.mark.alone
@pytest.mark.parametrize(
    "query",
    [
        "connection.execute('BEGIN')",
        pytest.param("connection.autocommit = False", marks=pytest.mark.soak),
    ],
)
def test_no_write_counts_as_lost_because_a_query_left_a_transaction_open(
    postgres, start_load, team, query
):
    load = start_load(steady=False, file=team(query))
    time.sleep(2.5)
    load.stop()
    write_rows(load.config.folder, load.config.name, load.rows(5))
    history = read_history(load.config.folder)
    found = durability.compare_writes(history.writes("main"), history.rows["main"])
    assert found.acknowledged > 5
    assert (found.lost, found.unexpected) == ((), ())


@pytest.mark.alone
def test_a_query_that_fails_in_a_transaction_does_not_fail_those_after_it(
    postgres, start_load, team
):
    load = start_load(
        steady=False, file=team("connection.execute('BEGIN'); connection.execute('SELECT nothing')")
    )
    time.sleep(2)
    load.stop()
    writes = [o.outcome for o in arrivals(load.config.folder) if o.kind == "write"]
    assert Outcome.OK in writes
    assert Outcome.ERROR not in writes


@pytest.mark.soak
def test_an_answer_that_trickles_in_for_ever_is_a_timeout(start_load, team):
    trickle = "SELECT pg_sleep(0.005), repeat(md5(i::text), 99) FROM generate_series(1, 9999) i"
    load = start_load(
        steady=False, users=2, writes=False, file=team(f"connection.execute('{trickle}')")
    )
    time.sleep(2.5)
    load.stop()
    recorded = arrivals(load.config.folder)
    timeouts = [o for o in recorded if o.outcome == Outcome.TIMEOUT]
    assert timeouts
    assert max(o.done - o.due for o in timeouts) < 0.7 * SECOND


def test_a_query_with_too_few_parameters_ends_the_load_and_is_named(start_load, team):
    said = failure(start_load, file=team("connection.execute('SELECT %s, %s', (1,))"))
    assert "placeholder" in said


@pytest.mark.parametrize("writes", mostly_soak([True, False], lambda writes: not writes))
def test_a_database_that_is_not_there_is_named(postgres, start_load, writes):
    said = failure(start_load, database=f"{postgres.conninfo} dbname=nowhere", writes=writes)
    assert '"nowhere" does not exist' in said


def test_locusts_own_environment_variables_do_not_change_a_load(start_load, monkeypatch):
    monkeypatch.setenv("LOCUST_RUN_TIME", "1")
    monkeypatch.setenv("LOCUST_LOCUSTFILE", "/nowhere.py")
    load = start_load(file=DEFAULT_LOAD)
    time.sleep(1.5)
    assert load.running


def test_a_load_can_be_stopped_before_it_has_begun(start_load):
    load = start_load(steady=False)
    load.stop()
    load.stop()
    assert not load.running


def test_the_schema_is_marked_as_ours_in_the_step_that_makes_it(postgres):
    schema.make(postgres.conninfo, timeout=5)
    with psycopg.connect(postgres.conninfo) as connection:
        row = connection.execute(
            "SELECT n.xmin = d.xmin FROM pg_namespace n JOIN pg_description d ON d.objoid = n.oid "
            "WHERE n.nspname = 'chaos_kms'"
        ).fetchone()
    assert row == (True,)
