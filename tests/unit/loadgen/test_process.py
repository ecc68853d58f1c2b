"""The load against a real PostgreSQL whose fate is known to the nanosecond."""

from __future__ import annotations

import itertools
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from chaosaws_kms_ext.checkers import durability, fault_outage, hang, operations, outage_windows
from chaosaws_kms_ext.history import WrittenRow
from chaosaws_kms_ext.history.reader import read_history
from chaosaws_kms_ext.history.stream_end import is_whole
from chaosaws_kms_ext.history.writer import write_rows
from chaosaws_kms_ext.loadgen import schema
from chaosaws_kms_ext.loadgen.locust_processes import DEFAULT_LOAD
from chaosaws_kms_ext.loadgen.process import Load, LoadConfig
from chaosaws_kms_ext.loadgen.schema import LoadFailed
from chaosaws_kms_ext.waiting import Observer
from tests.support.labs import until
from tests.support.postgres import RATE, freeze
from tests.support.records import arrivals, recorded

SECOND = 1_000_000_000


@pytest.mark.alone
def test_outage_begin_end_and_width_are_those_of_the_database(postgres, start_load):
    load = start_load(rate=2 * RATE)
    truth = []
    for _ in range(3):
        time.sleep(1)
        frozen = time.monotonic_ns()
        freeze(postgres)
        time.sleep(1.2)
        postgres.kill()
        time.sleep(0.3)
        postgres.start()
        postgres.wait_until_ready()
        truth.append((frozen, time.monotonic_ns()))
    time.sleep(1.5)
    load.stop()
    its = read_history(load.config.folder).arrivals("main")
    begin, end, width = [], [], []
    nexts = [*(frozen for frozen, _ in truth[1:]), time.monotonic_ns()]
    for (frozen, ready), until_ in zip(truth, nexts, strict=True):
        usual = fault_outage.usual_delay(its, frozen)
        known = outage_windows.Load(2 * RATE, 0.2, load.config.deadline, usual)
        found = fault_outage.find_outage(
            its.only(its.due < until_),
            known,
            outage_windows.find_windows(its.only(its.due < until_), known),
            fault_at=frozen,
            reconnect_spacing=load.config.reconnect_spacing,
        )
        assert found.reason == ""
        begin.append(abs(found.impact - frozen) / SECOND)
        end.append(abs(found.recovery - ready) / SECOND)
        width.append(abs(found.seconds - (ready - frozen) / SECOND))
    assert statistics.median(begin) < 0.1
    assert statistics.median(end) < 0.1
    assert statistics.median(width) < 0.1


def test_every_acknowledged_row_that_disappears_is_reported_and_no_other(postgres, start_load):
    load = start_load()
    until(lambda: len(acknowledged_by(load)) > 20)
    load.stop()
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        gone = connection.execute(
            "DELETE FROM chaos_kms.writes WHERE (writer + sequence) % 3 = 0 "
            "RETURNING writer, sequence"
        ).fetchall()
    write_rows(load.config.folder, load.config.name, load.rows(5))
    history, acknowledged = read_history(load.config.folder), acknowledged_by(load)
    found = durability.compare_writes(history.writes("main"), history.rows["main"])
    assert len(found.lost) > 3
    assert set(found.lost) == {WrittenRow(*row) for row in gone if row in acknowledged}


def acknowledged_by(load):
    its = arrivals(load.config.folder)
    return {(o.writer, o.sequence) for o in its if o.kind == "write" and o.outcome == "ok"}


def test_every_arrival_until_the_stop_has_exactly_one_record(postgres, start_load):
    load = start_load()
    freeze(postgres)
    time.sleep(1)
    postgres.kill()
    postgres.start()
    time.sleep(0.5)
    stopped = time.monotonic_ns()
    load.stop()
    assert all(is_whole(path) for path in load.config.folder.glob("operations-*.arrows"))
    due = [o.due for o in arrivals(load.config.folder) if o.due < stopped]
    assert len(due) == len(set(due))
    assert {later - earlier for earlier, later in itertools.pairwise(due)} == {SECOND / RATE}
    assert due[-1] > stopped - 2 * SECOND / RATE
    write_rows(load.config.folder, load.config.name, load.rows(5))
    history = read_history(load.config.folder)
    found = durability.compare_writes(history.writes("main"), history.rows["main"])
    assert (found.lost, found.unexpected) == ((), ())
    assert operations.count(history.arrivals("main"))["unsent"] > 0


@pytest.mark.alone
def test_records_are_on_disk_within_half_a_second(start_load):
    load = start_load()
    time.sleep(0.3)
    newest = max(o.done for o in recorded(load.config.folder))
    assert time.monotonic_ns() - newest < 0.5 * SECOND


def test_both_witnesses_see_the_hang(postgres, start_load):
    load = start_load()
    impact = time.monotonic_ns()
    freeze(postgres)
    slack = time.monotonic_ns() - impact + SECOND // 2
    time.sleep(2)
    until_ = time.monotonic_ns()
    postgres.kill()
    postgres.start()
    until(lambda: all(last_of(load, kind).outcome == "ok" for kind in ("session", "connect")))
    load.stop()
    history = read_history(load.config.folder)
    for kind in ("session", "connect"):
        seen = history.witness("main", kind)
        assert hang.hung(seen, impact=impact, slack=slack, until=until_) is True


def last_of(load, kind):
    """The newest record of a witness."""
    its = [o for o in recorded(load.config.folder) if o.kind == kind]
    return max(its, key=lambda operation: operation.done)


def test_a_refused_connection_is_no_hang(postgres, start_load):
    load = start_load()
    impact = time.monotonic_ns()
    postgres.kill()
    until(lambda: last_of(load, "connect").sent > impact)
    load.stop()
    seen = read_history(load.config.folder).witness("main", "connect")
    now = time.monotonic_ns()
    assert hang.hung(seen, impact=impact, slack=30_000_000, until=now) is False


def test_a_frozen_database_answers_nothing_in_a_live_window(postgres, start_load):
    load = start_load()
    until(lambda: load.window(0.5).share >= 0.99)
    freeze(postgres)
    until(lambda: load.window(0.5).share == 0)
    until(lambda: load.window(0.5).failing == pytest.approx(RATE, abs=3))


def test_the_load_says_no_when_the_server_does(postgres, start_load, tmp_path):
    mistaken = tmp_path / "mistaken.py"
    mistaken.write_text(
        "from chaosaws_kms_ext.loadgen.client.user import QueryUser, read\n"
        "class Shop(QueryUser):\n"
        "    @read()\n"
        "    def wrong(self, connection):\n"
        "        connection.execute('SELECT * FROM nowhere')\n"
    )
    load = started(postgres, tmp_path, mistaken)
    with pytest.raises(LoadFailed, match=r"0% of the.*not 99%; the database said: 42P01: "):
        load.wait_until_steady(0.5, 0.99, 5, Observer())
    load.stop()


def started(postgres, tmp_path, file):
    (tmp_path / "h").mkdir()
    load = Load(
        LoadConfig(
            database=postgres.conninfo,
            rate=50,
            users=4,
            writes=False,
            deadline=0.5,
            folder=tmp_path / "h",
            log=tmp_path / "log",
            file=file,
        )
    )
    load.start()
    return load


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("def (", "SyntaxError", marks=pytest.mark.soak),
        ("import nothing_of_that_name", "nothing_of_that_name"),
        (
            "from chaosaws_kms_ext.loadgen.client.user import QueryUser, read\n"
            "class Shop(QueryUser):\n"
            "    @read()\n"
            "    def wrong(self, connection):\n"
            "        return 1 / 0\n",
            "Shop failed in Python: ZeroDivisionError",
        ),
        (
            "from chaosaws_kms_ext.loadgen.client.user import QueryUser\n"
            "class Shop(QueryUser): pass\n",
            "Shop has no method marked with @read",
        ),
    ],
)
def test_a_mistake_in_the_load_file_is_one_sentence(postgres, tmp_path, text, said):
    file = tmp_path / "mistaken.py"
    file.write_text(text)
    load = started(postgres, tmp_path, file)
    with pytest.raises(LoadFailed, match=f"the load ended: .*{said}"):
        load.wait_until_steady(0.5, 0.99, 20, Observer())


def test_a_schema_of_somebody_else_is_never_touched(postgres):
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA chaos_kms CREATE TABLE theirs (id int)")
        for touch in (schema.make, schema.drop):
            with pytest.raises(LoadFailed, match="not ours"):
                touch(postgres.conninfo, 5)
        assert connection.execute("SELECT count(*) FROM chaos_kms.theirs").fetchone() == (0,)


def test_what_a_killed_run_left_is_made_anew_and_dropped_in_the_end(postgres):
    schema.make(postgres.conninfo, 5)
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute("INSERT INTO chaos_kms.writes VALUES (1, 1, 1)")
        schema.make(postgres.conninfo, 5)
        assert len(schema.rows(postgres.conninfo, 5).rows) == 0
        schema.drop(postgres.conninfo, 5)
        found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'chaos_kms'")
        assert found.fetchone() is None


def test_a_database_that_hangs_or_is_not_there_ends_in_one_sentence_in_time(postgres):
    freeze(postgres)
    began = time.monotonic()
    with pytest.raises(LoadFailed, match="the database cannot be used"):
        schema.make(postgres.conninfo, 2)
    assert time.monotonic() - began < 60
    postgres.kill()
    with pytest.raises(LoadFailed, match="the database cannot be used"):
        schema.make(postgres.conninfo, 0.5)


PARENT = """
import sys, time
from pathlib import Path
from chaosaws_kms_ext.loadgen.process import Load, LoadConfig
from tests.support.records import arrivals, recorded
from chaosaws_kms_ext.waiting import Observer
folder = Path(sys.argv[2])
load = Load(LoadConfig(database=sys.argv[1], rate=50, users=4, writes=True, deadline=0.5,
                       folder=folder, log=folder / "log"))
load.start()
load.wait_until_steady(0.5, 0.9, 20, Observer())
print(load._processes.children[-1].process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    "frozen", [pytest.param(False, marks=pytest.mark.soak), True], ids=["answering", "frozen"]
)
def test_no_load_outlives_a_parent_that_is_killed(postgres, tmp_path, frozen):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, postgres.conninfo, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    load = psutil.Process(int(parent.stdout.readline()))
    if frozen:
        freeze(postgres)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until(lambda: not load.is_running() or load.status() == psutil.STATUS_ZOMBIE)


def test_a_load_started_by_hand_says_what_it_needs(tmp_path):
    for file in (DEFAULT_LOAD, Path("probes/query_load.py")):
        ran = subprocess.run(
            [sys.executable, "-m", "locust", "-f", str(file), "--headless", "-u", "1"],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode != 0
        assert "chaos run experiments/kms-disable.json" in ran.stderr
        assert "Traceback" not in ran.stderr
