"""The checksum of a table, on a real PostgreSQL: it is the rows, and nothing else."""

from __future__ import annotations

import itertools
import time

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.conninfo import make_conninfo

from chaosaws_kms_ext.loadgen.checksum import checksum
from chaosaws_kms_ext.loadgen.schema import LoadFailed
from tests.support.examples import examples
from tests.support.postgres import a_postgres, freeze

TIMEOUT = 20.0
NUMBERS = itertools.count()

ROW = st.tuples(
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=6),
    st.none() | st.floats(),
    st.none() | st.binary(max_size=4),
    st.none() | st.datetimes(),
)
ROWS = st.lists(ROW, max_size=8)
SOME = settings(
    deadline=None,
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


KEPT = "CREATE TABLE kept (a integer, b text, c double precision, d bytea, e timestamp)"


@pytest.fixture(scope="module")
def server():
    with a_postgres() as running:
        yield running


@pytest.fixture
def database(server):
    """A new database of the server's, with a table."""
    name = f"shop{next(NUMBERS)}"
    run(server.conninfo, f"CREATE DATABASE {name}")
    conninfo = make_conninfo(server.conninfo, dbname=name)
    run(conninfo, KEPT)
    return conninfo


def holding(database, rows, table="kept"):
    """The checksum of the table with these rows, in this order, and nothing else."""
    named = sql.Identifier(table)
    with psycopg.connect(database, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("TRUNCATE {}").format(named))
        put = sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, %s, %s)").format(named)
        cursor.executemany(put, rows)
    return checksum(database, table, TIMEOUT)


def run(database, *statements):
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


@SOME
@given(rows=ROWS, random=st.randoms())
def test_rows_in_another_order_or_written_again_have_the_same_checksum(database, rows, random):
    before = holding(database, rows)
    mixed = list(rows)
    random.shuffle(mixed)
    assert holding(database, mixed) == before
    assert before.rows == len(rows)


@SOME
@given(rows=st.lists(ROW, min_size=1, max_size=8), other=ROW, data=st.data())
def test_a_row_that_is_changed_lost_or_there_twice_shows(database, rows, other, data):
    before = holding(database, rows)
    at = data.draw(st.integers(0, len(rows) - 1))
    assert holding(database, [*rows[:at], *rows[at + 1 :]]) != before
    assert holding(database, [*rows, rows[at]]) != before
    if repr(other) != repr(rows[at]) and other != rows[at]:
        assert holding(database, [*rows[:at], other, *rows[at + 1 :]]) != before


def test_rows_that_only_sum_up_alike_do_not(database):
    one, two = (1, "a", None, None, None), (2, "b", None, None, None)
    seen = {holding(database, rows).checksum for rows in ([one, one], [two, two], [one, two])}
    assert len(seen) == 3


def test_null_and_an_empty_text_and_neighbours_are_told_apart(database):
    run(database, "CREATE TABLE pairs (a text, b text)")
    seen = set()
    for values in (
        "(NULL, '')",
        "('', NULL)",
        "('', '')",
        "(NULL, NULL)",
        "('a,b', 'c')",
        "('a', 'b,c')",
        "('a', 'b\",\"c')",
    ):
        run(database, "TRUNCATE pairs", f"INSERT INTO pairs VALUES {values}")
        seen.add(checksum(database, "pairs", TIMEOUT).checksum)
    assert len(seen) == 7


def test_an_empty_table_has_a_checksum_too(database):
    assert checksum(database, "kept", TIMEOUT) == (0, "0" * 32)


def test_how_a_session_writes_values_makes_no_difference(database):
    run(
        database,
        "CREATE TABLE written (at timestamptz, day date, lasts interval, share float, raw bytea,"
        " price money, xs float[])",
        "INSERT INTO written VALUES ('2026-01-31 10:00+09', '2026-01-31', '1 day 2 hours',"
        " 0.1::float4, '\\x00ff', 12.5, '{0.1,0.2}')",
    )
    before = checksum(database, "written", TIMEOUT)
    options = (
        "-c DateStyle=German -c TimeZone=Asia/Tokyo -c IntervalStyle=postgres_verbose "
        "-c extra_float_digits=-3 -c bytea_output=escape -c search_path=public"
    )
    otherwise = make_conninfo(database, options=options)
    assert checksum(otherwise, "written", TIMEOUT) == before


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("plain", "plain"),
        ("plain", "PLAIN"),
        ("plain", "public.plain"),
        ('"Users"', '"Users"'),
        ('"My ""Shop"', 'public."My ""Shop"'),
        ('"a.b"', '"a.b"'),
        ('"; DROP TABLE kept; --"', '"; DROP TABLE kept; --"'),
        ('"select"', '"select"'),
        ('"t"', "t"),
    ],
)
def test_a_table_is_named_as_in_sql(database, made, named):
    run(database, f"CREATE TABLE {made} (t text)", f"INSERT INTO {made} VALUES ('x'), (NULL)")
    assert checksum(database, named, TIMEOUT).rows == 2


def test_a_table_of_another_schema_a_part_and_a_view_are_read(database):
    run(
        database,
        'CREATE SCHEMA "My Shop"',
        'CREATE TABLE "My Shop".users (id integer, "Name" text) PARTITION BY RANGE (id)',
        'CREATE TABLE "My Shop".first PARTITION OF "My Shop".users FOR VALUES FROM (0) TO (10)',
        "INSERT INTO \"My Shop\".users VALUES (1, 'Alice'), (2, 'Bob')",
        'CREATE VIEW alices AS SELECT * FROM "My Shop".users WHERE "Name" = \'Alice\'',
    )
    whole = checksum(database, '"My Shop".users', TIMEOUT)
    assert whole.rows == 2
    assert checksum(database, '"My Shop".first', TIMEOUT) == whole
    assert checksum(database, "alices", TIMEOUT).rows == 1


@pytest.mark.parametrize(
    "wrong",
    [
        "nobody",
        "public.nobody",
        "elsewhere.kept",
        'kept"',
        "kept; DROP TABLE kept",
        "",
        ".",
        "kept WHERE false",
        "(SELECT 1)",
        "pg_class_oid_index",
        "x" * 5000,
        "ke\x00pt",
    ],
)
def test_what_names_no_table_is_refused_and_does_nothing(database, wrong):
    with pytest.raises(LoadFailed):
        checksum(database, wrong, TIMEOUT)
    assert checksum(database, "kept", TIMEOUT).rows == 0


def test_rows_that_the_user_may_not_see_are_an_error_and_not_fewer_rows(database):
    run(
        database,
        "CREATE ROLE guest LOGIN",
        "GRANT SELECT ON kept TO guest",
        "ALTER TABLE kept ENABLE ROW LEVEL SECURITY",
    )
    as_guest = make_conninfo(database, user="guest")
    with pytest.raises(LoadFailed, match="row-level security"):
        checksum(as_guest, "kept", TIMEOUT)


def test_a_server_that_hangs_is_given_up_at_the_deadline(postgres):
    freeze(postgres)
    began = time.monotonic()
    with pytest.raises(LoadFailed):
        checksum(postgres.conninfo, "kept", 2.0)
    assert time.monotonic() - began < 50


def test_a_table_that_takes_too_long_is_given_up_and_the_server_stops_too(database):
    run(database, "CREATE VIEW slow AS SELECT pg_sleep(60)::text AS slept")
    began = time.monotonic()
    with pytest.raises(LoadFailed):
        checksum(database, "slow", 1.0)
    assert time.monotonic() - began < 50
    with psycopg.connect(database, autocommit=True) as connection:
        busy = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%slow%%' AND pid <> %s"
        for _ in range(100):
            (count,) = connection.execute(busy, (connection.info.backend_pid,)).fetchone()
            if not count:
                return
            time.sleep(0.1)
    raise AssertionError("the server goes on")
