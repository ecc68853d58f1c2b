"""Queries that are given as SQL text: asked by libpq's own functions, on a real PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time

import pytest

from tests.support.postgres import freeze
from tests.support.records import arrivals

ASKING = """
from gevent import monkey
monkey.patch_all()
import gevent, psycopg, sys, time
from chaosaws_kms_ext.loadgen.engines.postgresql_connection import DeadlinePassed
from chaosaws_kms_ext.loadgen.client.load_connection import LoadConnection
from chaosaws_kms_ext.loadgen.client.sql import Sql
connection = LoadConnection.connect(sys.argv[1], autocommit=True)
connection.until = time.monotonic() + 60
def row(text, *values):
    query = Sql(text, lambda: values)
    query(None, connection)
def failing(text, *values):
    try:
        row(text, *values)
    except psycopg.Error as problem:
        return type(problem).__name__, problem.sqlstate, str(problem)
"""


@pytest.fixture
def ask(postgres):
    """Runs lines of Python that ask a database, under gevent as the load does."""

    def run(lines):
        program = ASKING + textwrap.dedent(lines)
        done = subprocess.run(
            [sys.executable, "-c", program, postgres.conninfo],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_values_of_every_type_arrive_as_they_are(ask):
    said = ask("""
        import datetime, decimal, uuid
        connection.execute("CREATE TABLE got (a text)")
        values = [7, -1, "it's", 1.5, None, True, datetime.date(2026, 1, 2),
                  decimal.Decimal("1.10"), uuid.UUID(int=5), b"\\\\x00", [1, 2]]
        types = ["int", "int", "text", "float", "int", "bool", "date", "numeric", "uuid", "bytea",
                 "int[]"]
        for value, type_ in zip(values, types):
            row(f"INSERT INTO got SELECT coalesce(($1::{type_})::text, 'null')", value)
        print([each for each, in connection.execute("SELECT a FROM got").fetchall()])
    """)
    assert said.strip() == str(
        ["7", "-1", "it's", "1.5", "null", "true", "2026-01-02", "1.10",
         "00000000-0000-0000-0000-000000000005", "\\x5c783030", "{1,2}"]
    )  # fmt: skip


def test_what_the_server_rejects_has_its_sql_state_and_the_connection_goes_on(ask):
    said = ask("""
        print(failing("SELECT 1/$1::int", 0))
        print(failing("SELECT nothing"))
        print(failing("SELECT $1::int, $2::int", 1)[1])
        row("SELECT 1")
        print(connection.closed)
    """).splitlines()
    assert said[0] == "('DivisionByZero', '22012', 'division by zero')"
    assert said[1].startswith("('UndefinedColumn', '42703', 'column \"nothing\" does not exist'")
    assert said[2:] == ["08P01", "False"]


def test_answers_of_any_size_are_taken_whole(ask):
    said = ask("""
        row("SELECT repeat('x', 20000000)")
        row("SELECT length($1)", "y" * 20_000_000)
        row("SELECT g FROM generate_series(1, 100000) g")
        print(connection.execute("SELECT 1").fetchone())
    """)
    assert said.strip() == "(1,)"


def test_it_gives_up_at_the_deadline_and_others_go_on_meanwhile(ask):
    said = ask("""
        ticks = []
        def tick():
            while True:
                gevent.sleep(0.01)
                ticks.append(time.monotonic())
        def expire():
            while True:
                gevent.sleep(0.05)
                connection.expire(time.monotonic())
        gevent.spawn(tick), gevent.spawn(expire)
        begun = time.monotonic()
        connection.until = begun + 0.5
        try:
            row("SELECT pg_sleep(40)")
        except DeadlinePassed:
            took = time.monotonic() - begun
        print(0.5 <= took < 30, connection.closed, len(ticks) > 3)
    """)
    assert said.strip() == "True True True"


def test_a_connection_that_the_server_ends_is_lost_at_once(ask):
    said = ask("""
        other = psycopg.connect(sys.argv[1], autocommit=True)
        pid = connection.info.backend_pid
        row("SELECT 1")
        gevent.spawn_later(0.2, other.execute, f"SELECT pg_terminate_backend({pid})")
        print(failing("SELECT pg_sleep(4)")[:2], connection.closed)
    """)
    assert said.strip().endswith("True")


LOAD = """
import random
from chaosaws_kms_ext.loadgen.client.sql import Sql
from chaosaws_kms_ext.loadgen.client.user import QueryUser
class Numbers(QueryUser):
    often = Sql("SELECT $1::int", lambda: (random.randint(1, 4),), weight=3)
    seldom = Sql("SELECT 1/0")
"""


def test_a_mix_is_asked_by_weight_and_a_freeze_is_a_time_out(postgres, start_load, tmp_path):
    file = tmp_path / "load.py"
    file.write_text(LOAD)
    load = start_load(steady=False, file=file, writes=False)
    time.sleep(3)
    freeze(postgres)
    time.sleep(1.5)
    load.stop()
    its = arrivals(load.config.folder)
    before = [each for each in its if each.outcome in ("ok", "error")]
    rejected = [each for each in before if each.outcome == "error"]
    assert {each.sqlstate for each in rejected} == {"22012"}
    assert 0.15 < len(rejected) / len(before) < 0.35
    assert sum(each.outcome == "timeout" for each in its) >= 16
