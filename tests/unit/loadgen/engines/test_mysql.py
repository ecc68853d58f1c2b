"""What MySQL's errors mean; what a load writes, and how an outage looks: on a real MariaDB."""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from pathlib import Path

import pytest
from pymysql import err

from chaosaws_kms_ext.aws.rds import cluster_of
from chaosaws_kms_ext.checkers import durability, fault_outage, integrity, outage_windows
from chaosaws_kms_ext.checkers import stale_reads as stale
from chaosaws_kms_ext.history import Outcome
from chaosaws_kms_ext.history.operations_file import HistoryDamaged
from chaosaws_kms_ext.history.payload import payload_of
from chaosaws_kms_ext.history.reader import read_history
from chaosaws_kms_ext.history.records import DAMAGED, NO_ROW
from chaosaws_kms_ext.history.writer import write_rows
from chaosaws_kms_ext.load import actions, probes
from chaosaws_kms_ext.loadgen import engines, loads, schema
from chaosaws_kms_ext.loadgen.client.registers import read_register, write
from chaosaws_kms_ext.loadgen.conninfo import conninfo_for
from chaosaws_kms_ext.loadgen.engines import base
from chaosaws_kms_ext.loadgen.engines.base import Cause, Failure
from chaosaws_kms_ext.loadgen.engines.mysql_connection import DeadlinePassed
from chaosaws_kms_ext.loadgen.process import FRESHEST
from chaosaws_kms_ext.loadgen.schema import Hopeless, LoadFailed, NotOurs
from chaosaws_kms_ext.settings import Settings
from chaosaws_kms_ext.waiting import Observer
from tests.support.labs import until
from tests.support.mariadb import needs_mariadb, soon
from tests.support.postgres import RATE
from tests.support.records import arrivals, recorded

MYSQL = engines.named("mysql")
DOCUMENT = Path(__file__).parents[4] / "docs" / "load.md"


class Link:
    def __init__(self, closed=False):
        self.closed = closed


def server_said(number, words="no", state="HY000", kind=err.OperationalError):
    problem = kind(number, words)
    problem.sqlstate = state
    return problem


def after(origin, number, words="x", kind=err.OperationalError):
    problem = kind(number, words)
    problem.__cause__ = origin
    return problem


# What errors mean


@pytest.mark.parametrize(
    ("problem", "link", "meaning"),
    [
        (DeadlinePassed("x"), None, Failure(Outcome.TIMEOUT, None, Cause.HANG)),
        (DeadlinePassed("x"), Link(), Failure(Outcome.TIMEOUT, None, Cause.HANG)),
        (server_said(1290), Link(), Failure(Outcome.ERROR, "1290 (HY000)", None)),
        (server_said(1290), Link(closed=True), Failure(Outcome.LOST, "1290 (HY000)", None)),
        (server_said(1064, state=None), Link(), Failure(Outcome.ERROR, "1064", None)),
        (server_said(1053, state="08S01"), Link(), Failure(Outcome.LOST, "1053 (08S01)", None)),
        (server_said(1927), Link(), Failure(Outcome.LOST, "1927 (HY000)", None)),
        (server_said(4031), Link(), Failure(Outcome.LOST, "4031 (HY000)", None)),
        (server_said(1040), None, Failure(Outcome.LOST, None, Cause.FULL)),
        (server_said(1045), None, Failure(Outcome.LOST, None, Cause.DENIED)),
        (server_said(1053), None, Failure(Outcome.LOST, None, Cause.NOT_READY)),
        (server_said(1129), None, Failure(Outcome.ERROR, "1129 (HY000)", None)),
        (after(None, 2013), Link(closed=True), Failure(Outcome.LOST, None, Cause.RESET)),
        (after(None, 2006), None, Failure(Outcome.LOST, None, Cause.RESET)),
        (after(ConnectionRefusedError(), 2003), None, Failure(Outcome.LOST, None, Cause.REFUSED)),
        (after(TimeoutError(), 2003), None, Failure(Outcome.LOST, None, Cause.HANG)),
        (after(OSError(113, "x"), 2003), None, Failure(Outcome.LOST, None, Cause.UNREACHABLE)),
        (err.InterfaceError(0, ""), Link(closed=True), Failure(Outcome.LOST, None, Cause.RESET)),
        (err.OperationalError("odd"), None, Failure(Outcome.LOST, None, Cause.OTHER)),
        (err.OperationalError(), Link(), Failure(Outcome.ERROR, None, Cause.OTHER)),
    ],
)
def test_an_error_says_how_an_operation_ended_and_what_the_client_saw(problem, link, meaning):
    assert MYSQL.failure(problem, link) == meaning


def test_the_log_has_the_words_but_no_value_that_they_quote():
    quoting = server_said(1062, "Duplicate entry 'anna@example.com' for key 'email'", "23000")
    assert MYSQL.words(quoting) == "Duplicate entry "
    # The values of a query are in its text.
    syntax = "You have an error; look for the right syntax to use near 'FRM x WHERE a = 'anna'' at"
    assert "anna" not in MYSQL.words(server_said(1064, syntax, "42000"))
    beyond = "BIGINT UNSIGNED value is out of range in '(1 - 4711)'"
    assert "4711" not in MYSQL.words(server_said(1690, beyond, "22003"))
    assert MYSQL.words(server_said(1146, "Table 'shop.x' doesn't exist")).startswith("Table 'shop")


@pytest.mark.parametrize("number", [1044, 1045, 1049, 1142, 2026])
def test_a_user_a_password_or_a_database_that_is_wrong_is_not_tried_again(number):
    assert MYSQL.hopeless(server_said(number))


@pytest.mark.parametrize("number", [1040, 1053, 1205, 1213, 2003, 2006, 2013])
def test_what_can_pass_is_tried_again(number):
    assert not MYSQL.hopeless(server_said(number))


def test_only_what_was_never_sent_is_a_mistake():
    assert MYSQL.mistaken(err.ProgrammingError("not all arguments converted"), Link())
    assert not MYSQL.mistaken(server_said(1146, kind=err.ProgrammingError), Link())
    assert not MYSQL.mistaken(err.OperationalError("odd"), Link())


# What a load writes


@pytest.fixture
def connection(mariadb):
    schema.make(mariadb.database, 20)
    with MYSQL.connect(mariadb.database, soon()) as found:
        yield found
    schema.drop(mariadb.database, 20)


def stored(found):
    pairs = zip(found.rows.writer.tolist(), found.rows.sequence.tolist(), strict=True)
    return sorted(pairs)


@needs_mariadb()
def test_a_write_is_a_row_and_a_register_that_never_goes_back(mariadb, connection):
    assert read_register(MYSQL, connection, 1) == NO_ROW
    for sequence in (1, 7, 40_000, 3):  # the last: carried out late
        write(MYSQL, connection, 1, sequence)
    write(MYSQL, connection, 2, 5)
    assert [read_register(MYSQL, connection, each) for each in (1, 2)] == [40_000, 5]
    assert MYSQL.newest_writers(connection, 1) == [2]
    found = schema.rows(mariadb.database, 20)
    assert stored(found.rows) == [(1, 1), (1, 3), (1, 7), (1, 40_000), (2, 5)]
    assert stored(found.registers) == [(1, 40_000), (2, 5)]
    for each in (found.rows, found.registers):
        pairs = zip(each.rows.writer.tolist(), each.rows.sequence.tolist(), strict=True)
        assert each.payload.tolist() == [payload_of(*pair) for pair in pairs]


@needs_mariadb()
@pytest.mark.parametrize("change", ["`value` = 8", "payload = 5", "`value` = -7"])
def test_a_register_whose_checksum_is_not_its_own_is_damaged(connection, change):
    write(MYSQL, connection, 1, 7)
    connection.execute(f"UPDATE chaos_kms.registers SET {change}")
    assert read_register(MYSQL, connection, 1) == DAMAGED


@needs_mariadb()
def test_a_write_that_fails_half_way_leaves_nothing_and_a_connection_that_is_not_used_again(
    mariadb, connection
):
    connection.execute("RENAME TABLE chaos_kms.registers TO chaos_kms.away")
    with pytest.raises(err.ProgrammingError, match="registers"):
        write(MYSQL, connection, 1, 1)
    assert not connection.clean
    connection.close()
    assert mariadb.run("SELECT count(*) FROM chaos_kms.writes") == [(0,)]


@needs_mariadb()
def test_many_rows_are_read_back_a_part_at_a_time(mariadb, connection, monkeypatch):
    rows = ", ".join(f"({i % 16}, {i}, {-i})" for i in range(1, 101))
    connection.execute(f"INSERT INTO chaos_kms.writes (writer, sequence, payload) VALUES {rows}")
    monkeypatch.setattr(base, "CHUNK", 7)
    found = schema.rows(mariadb.database, 20).rows
    assert sorted(found.rows.sequence.tolist()) == list(range(1, 101))
    assert (found.payload == -found.rows.sequence).all()


@needs_mariadb()
@pytest.mark.parametrize(
    "theirs",
    [
        "CREATE TABLE chaos_kms.orders (a int)",
        "CREATE VIEW chaos_kms.orders AS SELECT 1",
        "CREATE PROCEDURE chaos_kms.orders() SELECT 1",
        "CREATE EVENT chaos_kms.orders ON SCHEDULE EVERY 1 DAY DO SELECT 1",
    ],
)
def test_a_schema_in_which_anything_is_somebody_elses_is_not_touched(mariadb, theirs):
    mariadb.run("CREATE DATABASE chaos_kms", theirs)
    try:
        for touch in (schema.make, schema.drop):
            with pytest.raises(NotOurs, match="chaos_kms that is not ours"):
                touch(mariadb.database, 20)
        assert mariadb.run("SHOW DATABASES LIKE 'chaos_kms'")
    finally:
        mariadb.run("DROP DATABASE chaos_kms")


@needs_mariadb()
def test_what_a_run_left_that_was_killed_at_any_moment_is_made_anew(mariadb):
    mariadb.run("CREATE DATABASE chaos_kms")
    schema.make(mariadb.database, 20)
    mariadb.run("DROP TABLE chaos_kms.registers")
    schema.make(mariadb.database, 20)
    with MYSQL.connect(mariadb.database, soon()) as connection:
        assert MYSQL.has_registers(connection)
    schema.drop(mariadb.database, 20)
    schema.drop(mariadb.database, 20)
    with MYSQL.connect(mariadb.database, soon()) as connection:
        assert not MYSQL.has_registers(connection)
    assert mariadb.run("SHOW DATABASES LIKE 'chaos_kms'") == []


@needs_mariadb()
def test_a_user_with_the_documented_privileges_can_do_all_of_it(mariadb):
    (needed,) = re.findall(r"the user needs (.*?) on it", DOCUMENT.read_text(), re.DOTALL)
    privileges = ", ".join(re.findall("`([A-Z]+)`", needed))
    mariadb.run("CREATE USER small", f"GRANT {privileges} ON chaos_kms.* TO small")
    database = mariadb.url("small")
    schema.make(database, 20)
    with MYSQL.connect(database, soon()) as connection:
        write(MYSQL, connection, 1, 1)
        assert read_register(MYSQL, connection, 1) == 1
        assert MYSQL.has_registers(connection)
        assert MYSQL.started(connection)
    assert len(schema.rows(database, 20).rows.payload) == 1
    schema.drop(database, 20)
    assert mariadb.run("SHOW DATABASES LIKE 'chaos_kms'") == []


@needs_mariadb()
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://nobody@127.0.0.1:{port}/?ssl-mode=DISABLED", "Access denied for user 'nobody'"),
        ("mysql://root@127.0.0.1:{port}/nowhere?ssl-mode=DISABLED", "Unknown database 'nowhere'"),
    ],
)
def test_why_nothing_can_be_made_is_one_sentence_at_once(mariadb, url, said):
    with pytest.raises(Hopeless, match=f"the database cannot be used: {said}"):
        schema.make(url.format(port=mariadb.port), 300)


# A load


def recorded_so_far(load):
    """What a load has recorded that runs: what it just writes looks damaged."""
    with contextlib.suppress(HistoryDamaged):
        return recorded(load.config.folder, load.config.name)
    return []


def gave_up(load, since):
    """The kinds of operations that were given up after an instant."""
    found = recorded_so_far(load)
    return {o.kind for o in found if o.outcome == Outcome.TIMEOUT and o.done > since}


def judged(load):
    write_rows(load.config.folder, load.config.name, load.rows(20))
    history = read_history(load.config.folder)
    writes, reads, found = history.writes("main"), history.reads("main"), history.rows["main"]
    kept = durability.compare_writes(writes, found)
    return kept, integrity.compare(writes, reads, found), stale.find(reads, writes)


@needs_mariadb()
def test_a_frozen_server_is_measured_as_an_outage_and_a_restart_is_seen(mariadb, start_mysql_load):
    load = start_mysql_load()
    before = time.monotonic_ns()
    mariadb.freeze()
    frozen = time.monotonic_ns()
    witnesses = {"session", "connect", "attempt"}
    until(lambda: witnesses <= gave_up(load, frozen), 30)
    mariadb.kill()
    thawed = time.monotonic_ns()
    mariadb.restart()
    load.wait_until_steady(0.5, 0.99, 60, Observer())
    stopped = time.monotonic_ns()
    load.stop()

    found = arrivals(load.config.folder)
    answered = [o for o in found if o.outcome == Outcome.OK]
    assert not [o for o in answered if o.sent > frozen and o.done < thawed]
    hung = [o for o in found if o.outcome == Outcome.TIMEOUT]
    assert len(hung) >= 8
    assert {o.detail for o in hung} == {Cause.HANG}
    assert not [o for o in found if o.outcome == Outcome.ERROR]

    its = read_history(load.config.folder).arrivals("main")
    its = its.only(its.due < stopped - round(FRESHEST * 1e9))  # until then it was steady
    known = outage_windows.Load(RATE, 0.2, 0.5, fault_outage.usual_delay(its, before))
    windows = outage_windows.find_windows(its, known)
    outage = fault_outage.find_outage(
        its, known, windows, fault_at=before, reconnect_spacing=load.config.reconnect_spacing
    )
    assert outage.reason == "", windows
    assert outage.impact < thawed
    assert outage.recovery > thawed

    every = recorded(load.config.folder)
    attempts = [o for o in every if o.kind == "attempt"]
    assert {Cause.HANG, "127.0.0.1"} <= {o.detail for o in attempts}
    first, second = (float(o.detail) for o in every if o.kind == "server")
    assert first < second
    for kind in ("session", "connect"):
        assert Outcome.OK in {o.outcome for o in every if o.kind == kind}

    kept, whole, seen = judged(load)
    assert kept.acknowledged > 20
    assert (kept.lost, kept.unexpected, whole.made_up) == ((), (), 0)
    assert not any(map(len, (whole.changed, whole.duplicated, whole.reordered)))
    assert not (seen.in_session | seen.behind).any()
    assert len(seen.reads) > 20


@needs_mariadb()
def test_a_run_has_the_load_of_the_engine_that_rds_names(mariadb, begin_run):
    run = begin_run(Settings(load_rate=RATE, query_deadline=0.5, lab_speed=600))
    said = {
        "DBClusterIdentifier": "orders", "KmsKeyId": "arn:k", "Engine": "aurora-mysql",
        "Endpoint": "127.0.0.1", "Port": mariadb.port, "MasterUsername": "root",
    }  # fmt: skip
    cluster = cluster_of(said, ())
    load = loads.start(run, "main", cluster, conninfo_for(run, cluster))
    assert load.config.file == MYSQL.default_load
    assert probes.answered_share(0.5) > 0.9
    assert actions.stop_load() == {"load": "main"}
    found = run.loads.rows["main"]
    assert len(found.rows.payload) > 3
    load.drop(20)


@needs_mariadb()
@pytest.mark.soak
def test_a_load_that_only_reads_sees_what_another_writes(mariadb, start_mysql_load):
    load = start_mysql_load()
    reader = start_mysql_load(name="reader", writes=False, reads_registers=True, users=4)
    until(lambda: [o for o in recorded_so_far(reader) if o.value], 30)
    reader.stop()
    load.stop()
    read = [o for o in recorded(load.config.folder, "reader") if o.key is not None]
    assert {o.key for o in read} <= {o.writer for o in arrivals(load.config.folder)}
    assert all(o.value == NO_ROW or o.value > 0 for o in read)


@needs_mariadb()
@pytest.mark.soak
@pytest.mark.parametrize("workers", [1, 2])
def test_a_load_over_tls_goes_on_when_a_frozen_server_does(mariadb, start_mysql_load, workers):
    url = mariadb.url(mode="VERIFY_IDENTITY", more=f"&ssl-ca={mariadb.certificates.ca}")
    load = start_mysql_load(database=url, workers=workers)
    mariadb.freeze()
    frozen = time.monotonic_ns()
    try:
        until(lambda: {"session", "connect", "attempt", "read"} <= gave_up(load, frozen), 30)
    finally:
        mariadb.thaw()
    load.wait_until_steady(0.5, 0.99, 60, Observer())
    load.stop()
    assert {o.detail for o in recorded(load.config.folder) if o.kind == "server"} != set()
    assert len({o.detail for o in recorded(load.config.folder) if o.kind == "server"}) == 1
    kept, whole, _ = judged(load)
    assert (kept.lost, kept.unexpected, whole.made_up) == ((), (), 0)


@needs_mariadb()
@pytest.mark.soak
def test_rows_that_are_tampered_with_afterwards_are_found_and_no_others(mariadb, start_mysql_load):
    load = start_mysql_load()
    time.sleep(2)
    load.stop()
    acknowledged = sorted(
        (o.writer, o.sequence)
        for o in arrivals(load.config.folder)
        if o.kind == "write" and o.outcome == Outcome.OK
    )
    writer, made = Counter(writer for writer, _ in acknowledged).most_common(1)[0]
    assert made > 1
    gone, twice, other = [each for each in acknowledged if each[0] != writer][:15:5]
    where = "WHERE (writer, sequence) = ({}, {})"
    mariadb.run(
        f"DELETE FROM chaos_kms.writes {where.format(*gone)}",
        "INSERT INTO chaos_kms.writes (writer, sequence, payload) "
        f"SELECT writer, sequence, payload FROM chaos_kms.writes {where.format(*twice)}",
        f"UPDATE chaos_kms.writes SET payload = payload ^ 1 {where.format(*other)} ".replace(
            "payload ^ 1", "payload - 1"
        ),
        "UPDATE chaos_kms.registers r JOIN (SELECT * FROM chaos_kms.writes "
        f"WHERE writer = {writer} ORDER BY sequence LIMIT 1) w ON r.writer = w.writer "
        "SET r.`value` = w.sequence, r.payload = w.payload",
    )
    kept, whole, _ = judged(load)
    assert {tuple(each) for each in kept.lost} == {gone}
    assert len(whole.changed) == len(whole.duplicated) == len(whole.reordered) == 1


# A team's own queries


def example():
    """The Locust file for MySQL that the documentation has."""
    text = DOCUMENT.read_text().partition("### On MySQL and MariaDB")[2]
    (found,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return found


@needs_mariadb()
def test_the_queries_that_the_documentation_has_for_mysql_are_answered(
    mariadb, start_mysql_load, tmp_path
):
    mariadb.run(
        "CREATE TABLE orders (id int PRIMARY KEY, customer int, total decimal(8, 2))",
        "CREATE TABLE customers (id int PRIMARY KEY, name varchar(80))",
        "INSERT INTO customers VALUES (1, 'Anna')",
        "INSERT INTO orders VALUES (1, 1, 9.50), (2, 1, 1.00)",
    )
    file = tmp_path / "shop.py"
    file.write_text(example())
    load = start_mysql_load(file=file, database=mariadb.url(name="shop"))
    load.stop()
    found = arrivals(load.config.folder)
    assert {o.sqlstate for o in found} == {None}
    assert sum(o.outcome == Outcome.OK for o in found) > 20


@needs_mariadb()
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("connection.execute('SELECT %s, %s', (1,))", "not enough arguments"),
        ("connection.execute('SELECT 1', prepare=True)", "prepare"),
    ],
)
def test_a_mistake_in_a_teams_query_ends_the_load_and_is_named(
    start_mysql_load, tmp_path, query, said
):
    file = tmp_path / "team.py"
    file.write_text(
        "from chaosaws_kms_ext.loadgen.client.user import QueryUser, read\n"
        "class Shop(QueryUser):\n    @read()\n    def query(self, connection):\n"
        f"        {query}\n"
    )
    with pytest.raises(LoadFailed, match=said):
        start_mysql_load(steady=False, file=file).wait_until_steady(0.5, 0.99, 30, Observer())


@needs_mariadb()
@pytest.mark.soak
def test_no_write_counts_as_lost_because_a_query_left_a_transaction_open(
    mariadb, start_mysql_load, tmp_path
):
    file = tmp_path / "team.py"
    file.write_text(
        "from chaosaws_kms_ext.loadgen.client.user import QueryUser, read\n"
        "class Shop(QueryUser):\n    @read()\n    def query(self, connection):\n"
        "        connection.execute('BEGIN')\n    @read()\n    def other(self, connection):\n"
        "        connection.execute('SET autocommit = 0')\n"
    )
    load = start_mysql_load(steady=False, file=file)
    time.sleep(3)
    load.stop()
    kept, _, _ = judged(load)
    assert kept.acknowledged > 5
    assert (kept.lost, kept.unexpected) == ((), ())
