"""Outages of other shapes than the whole freeze: as they were ordered, and nothing stays frozen."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import statistics
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours, NotALab
from chaosaws_kms_lab.data_plane.client_sessions import TITLE, HeldRequests
from chaosaws_kms_lab.data_plane.outage_shapes import Slow
from chaosaws_kms_lab.world import DataMisbehaviour
from tests.support.clusters import (
    AVAILABLE,
    RECOVERABLE,
    becomes,
    connect,
    described,
    kept,
    new_instance,
    new_writer,
    query,
    shared_writer,
    up,
    write,
)
from tests.support.forked_labs import new_lab
from tests.support.labs import FAST, mostly_soak, program, until

pytestmark = pytest.mark.thorough

LONG = 600 * FAST
"""AWS seconds that no test waits for."""


@pytest.fixture(scope="module")
def made():
    """The newest cluster that the tests share."""
    return []


@pytest.fixture
def cluster(rds, kms, made):
    """The cluster that the tests share; since when it is whole."""
    found = shared_writer(rds, kms, made)
    until(lambda: not stopped(found))
    return found


@pytest.fixture
def with_reader(rds, cluster):
    if len(cluster["DBClusterMembers"]) == 1:
        up(rds, new_instance(rds, cluster, 2))
    found = described(rds, cluster) | {"since": cluster["since"]}
    until(lambda: query(found, "SELECT 1", found["ReaderEndpoint"]) == [1])
    return found


@pytest.fixture
def order(misbehaviours, cluster):
    def ordering(kind, **fields):
        return misbehaviours.order(kind=kind, cluster=name_of(cluster), **fields)

    return ordering


@pytest.fixture
def pool():
    threads = ThreadPoolExecutor(32)
    yield threads
    threads.shutdown(wait=False)  # what a broken lab holds up ends with the lab


def name_of(cluster):
    return cluster["DBClusterIdentifier"]


def truth(lab, cluster, what):
    """What the lab recorded about it since the test began."""
    lines = map(json.loads, lab.requests.with_name("truth.jsonl").read_text().splitlines())
    mine = [line for line in lines if (line["cluster"], line["what"]) == (name_of(cluster), what)]
    return [line for line in mine if line["at"] >= cluster["since"]]


def told(lab, cluster, what):
    return until(lambda: truth(lab, cluster, what))


def stopped(cluster):
    """Processes of the cluster's servers that are frozen."""
    postmasters = [p for p in psutil.process_iter() if listens(p, cluster["Port"])]
    assert postmasters
    found = [p for top in postmasters for p in (top, *top.children(recursive=True))]
    return [p for p in found if status(p) == psutil.STATUS_STOPPED]


def listens(process, port):
    with contextlib.suppress(psutil.Error):
        line = process.cmdline()
        return f"port={port}" in line and line[0].endswith("postgres")


def status(process):
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status()


def asked(pool, sessions):
    """Futures of an answer of each session."""
    return [pool.submit(lambda s=s: s.execute("SELECT 1").fetchone()) for s in sessions]


def client_of(session):
    """A session as the truth names it."""
    with socket.socket(fileno=os.dup(session.fileno())) as own:
        return "{}({})".format(*own.getsockname())


def clients(lab, cluster, what="freeze-share hangs a session"):
    """Whose sessions the lab has frozen."""
    return {line["client"] for line in truth(lab, cluster, what)}


def holds(lab, cluster, session):
    """Waits until the lab holds what this session asks."""
    until(lambda: client_of(session) in clients(lab, cluster, "slow holds a session"))


def lose_the_key(rds, kms, cluster):
    kms.disable_key(KeyId=cluster["KmsKeyId"])
    becomes(rds, cluster, RECOVERABLE)


def bring_it_back(rds, kms, cluster):
    kms.enable_key(KeyId=cluster["KmsKeyId"])
    rds.start_db_cluster(DBClusterIdentifier=name_of(cluster))
    becomes(rds, cluster, AVAILABLE)


def messages(rds, cluster):
    """What RDS' events say about the writer."""
    writer = f"{name_of(cluster)}-1"
    found = rds.describe_events(SourceIdentifier=writer, SourceType="db-instance")
    return [event["Message"] for event in found["Events"]]


class Asking:
    """One session that asks all the time: when it asked, and when the answer came (monotonic)."""

    def __init__(self, cluster, host=None, pause=0.005):
        self.session = connect(cluster, host)
        self.answers = []
        self._pause = pause
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(30)
        self.session.close()

    def _run(self):
        with contextlib.suppress(psycopg.OperationalError):
            while not self._over.wait(self._pause):
                began = time.monotonic()
                self.session.execute("SELECT 1")
                self.answers.append((began, time.monotonic()))

    def between(self, begin, end):
        """How often it asked and had its answer between two instants."""
        return sum(begin < began and came < end for began, came in self.answers)


# A share of the sessions


def test_half_of_the_sessions_hang_and_every_second_new_one_until_it_is_over(
    lab, order, misbehaviours, cluster, pool
):
    sessions = [connect(cluster) for _ in range(8)]
    order("freeze-share", share=0.5, seconds=LONG, when="now")
    until(lambda: len(clients(lab, cluster)) == 4)
    hang = clients(lab, cluster)
    old = dict(zip(map(client_of, sessions), asked(pool, sessions), strict=True))
    assert hang < set(old)
    assert all(old[client].result(60) == (1,) for client in old.keys() - hang)
    last_question = threading.Event()
    new = [pool.submit(ask_until, last_question, cluster) for _ in range(6)]
    until(lambda: len(clients(lab, cluster)) == 7)
    last_question.set()
    until(lambda: sum(future.done() for future in new) >= 3)
    assert len(stopped(cluster)) == 7
    assert not any(old[client].done() for client in hang)
    assert sum(future.done() for future in new) == 3
    misbehaviours.clear()
    assert all(future.result(60) == (1,) for future in (*old.values(), *new))
    (begin,) = told(lab, cluster, "freeze-share begins")
    (end,) = told(lab, cluster, "freeze-share ends")
    assert (begin["sessions"], begin["hang"]) == (8, 4)
    assert (end["sessions"], end["hung"]) == (14, 7)
    assert len(clients(lab, cluster)) == 7
    assert stopped(cluster) == []
    for session in sessions:
        session.close()


def ask_until(last_question, cluster):
    """The answer to what one session asks last of all."""
    with psycopg.connect(
        host=cluster["Endpoint"],
        port=cluster["Port"],
        user=cluster["MasterUsername"],
        dbname="postgres",
        connect_timeout=60,
    ) as session:
        over = False
        while not over:
            over = last_question.wait(0.01)
            found = session.execute("SELECT 1").fetchone()
        return found


@pytest.mark.parametrize(
    ("kind", "fields"), [("freeze-share", {"share": 1}), ("slow", {"milliseconds": 1})]
)
def test_it_is_over_after_the_seconds_that_were_ordered(lab, order, cluster, kind, fields):
    order(kind, seconds=FAST, when="now", **fields)
    (end,) = told(lab, cluster, f"{kind} ends")
    (begin,) = truth(lab, cluster, f"{kind} begins")
    assert 1 <= (end["at"] - begin["at"]) / 1e9 < 10


def test_sessions_that_hang_go_on_with_what_they_were_doing(order, misbehaviours, cluster, pool):
    write(cluster)
    waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with connect(cluster) as holding, connect(cluster) as session:
        holding.execute("SELECT pg_advisory_lock(1)")
        insert = "INSERT INTO kept (name) SELECT pg_advisory_xact_lock(1)::text"
        working = pool.submit(session.execute, insert)
        until(lambda: query(cluster, waits) == [1])
        order("freeze-share", share=1, seconds=LONG, when="now")
        until(lambda: len(stopped(cluster)) == 2)
        misbehaviours.clear()
        assert query(cluster, waits) == [1]
        holding.execute("SELECT pg_advisory_unlock(1)")
        assert working.result(60).rowcount == 1
    assert len(kept(cluster)) == 1


def test_when_the_key_is_lost_only_the_share_hangs_and_the_cluster_returns_as_ever(
    lab, rds, kms, misbehaviours, order, cluster, pool
):
    order("freeze-share", share=0.25, seconds=LONG)
    sessions = [connect(cluster) for _ in range(8)]
    assert not stopped(cluster)
    before = len(messages(rds, cluster))
    lose_the_key(rds, kms, cluster)
    until(lambda: len(clients(lab, cluster)) == 2)
    hang = clients(lab, cluster)
    assert any("KMS" in message for message in messages(rds, cluster)[before:])
    answers = dict(zip(map(client_of, sessions), asked(pool, sessions), strict=True))
    assert hang < set(answers)
    assert all(answers[client].result(60) == (1,) for client in answers.keys() - hang)
    assert len(stopped(cluster)) == 2
    assert not any(answers[client].done() for client in hang)
    assert not truth(lab, cluster, "frozen")
    assert len(misbehaviours.holding()) == 1
    bring_it_back(rds, kms, cluster)
    assert query(cluster, "SELECT 1") == [1]
    assert stopped(cluster) == []
    assert misbehaviours.holding() == []
    assert {c for c, future in answers.items() if future.exception(60) is not None} == hang
    lose_the_key(rds, kms, cluster)  # it was used up
    told(lab, cluster, "frozen")
    bring_it_back(rds, kms, cluster)


@pytest.mark.parametrize(
    ("title", "client"),
    [
        ("postgres: app shop 127.0.0.1(41082) idle", "127.0.0.1(41082)"),
        ("postgres: app shop 127.128.0.1(9) idle in transaction", "127.128.0.1(9)"),
        ("postgres: a user my db (1) 127.0.0.1(41082) SELECT waiting", "127.0.0.1(41082)"),
        ("postgres: app shop 127.0.0.1(41082)", "127.0.0.1(41082)"),
        ("postgres: rdsadmin template1 [local] idle", None),
        ("postgres: walsender rdsadmin [local] streaming 0/1C000148", None),
        ("postgres: checkpointer", None),
        ("postgres: archiver last was 00000001000000000000000C", None),
    ],
)
def test_sessions_of_clients_are_known_by_the_titles_of_their_processes(title, client):
    found = TITLE.fullmatch(title)
    assert (found and found[1]) == client


# Slow


def timed(session, count):
    took = []
    for _ in range(count):
        began = time.monotonic()
        session.execute("SELECT 1")
        took.append(time.monotonic() - began)
        time.sleep(0.02)
    return took


def test_slow_answers_take_their_time_until_it_is_over(lab, order, misbehaviours, cluster):
    with connect(cluster) as session:
        assert min(timed(session, 10)) < 0.2
        order("slow", milliseconds=200, seconds=LONG, when="now")
        holds(lab, cluster, session)
        took = timed(session, 8)
        assert statistics.median(took) >= 0.2
        assert sorted(took)[1] >= 0.19  # nearly all of them
        with connect(cluster) as new:
            holds(lab, cluster, new)
            assert statistics.median(timed(new, 3)) >= 0.2
        misbehaviours.clear()
        told(lab, cluster, "slow ends")
        assert min(timed(session, 10)) < 0.2
    assert stopped(cluster) == []


def test_a_statement_that_is_slow_by_itself_is_so_once(lab, order, cluster):
    with connect(cluster) as session:
        order("slow", milliseconds=300, seconds=LONG, when="now")
        holds(lab, cluster, session)
        began = time.monotonic()
        session.execute("SELECT pg_sleep(0.3)")
        assert time.monotonic() - began >= 0.6


# Flap


def test_flapping_servers_hang_as_often_as_ordered(lab, order, cluster):
    with Asking(cluster) as one:
        until(lambda: one.answers)
        order("flap", times=3, down=FAST, up=2 * FAST, when="now")
        until(lambda: len(truth(lab, cluster, "flap ends")) == 3)
        over = time.monotonic()
        until(lambda: one.between(over, float("inf")))
    begins, whole, ends = (
        [line["at"] / 1e9 for line in truth(lab, cluster, f"flap {what}")]
        for what in ("begins", "is complete", "ends")
    )
    numbers = [line["number"] for line in truth(lab, cluster, "flap begins")]
    assert numbers == [line["number"] for line in truth(lab, cluster, "flap ends")] == [1, 2, 3]
    for complete, end in zip(whole, ends, strict=True):
        assert 1 <= end - complete < 10
        assert one.between(complete, end) == 0
    for end, begin in zip(ends, [*begins[1:], over], strict=False):
        assert begin - end >= 2 or begin == over
    for working, hangs in zip([0, *ends], [*begins, float("inf")], strict=True):
        assert one.between(working, hangs) > 0
    assert stopped(cluster) == []


# The readers


def test_a_lost_reader_hangs_while_the_writer_works_and_comes_back(
    lab, order, misbehaviours, with_reader, pool
):
    write(with_reader, "before")
    reader = with_reader["ReaderEndpoint"]
    with connect(with_reader, reader) as session:
        order("lose-reader", seconds=LONG, when="now")
        told(lab, with_reader, "lose-reader is complete")
        old = pool.submit(lambda: session.execute("SELECT 1").fetchone())
        write(with_reader, "meanwhile")
        assert kept(with_reader) == ["before", "meanwhile"]
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(
                host=reader,
                port=with_reader["Port"],
                user=with_reader["MasterUsername"],
                dbname="postgres",
                connect_timeout=1,
            )
        assert not old.done()
        misbehaviours.clear()
        assert old.result(60) == (1,)
    until(lambda: kept(with_reader, reader) == ["before", "meanwhile"])
    (begin,) = truth(lab, with_reader, "lose-reader begins")
    assert begin["servers"] == 1
    assert told(lab, with_reader, "lose-reader ends")
    assert stopped(with_reader) == []


def test_a_cluster_loses_only_its_readers_when_the_key_is_lost(rds, kms, order, with_reader):
    order("lose-reader", seconds=LONG)
    lose_the_key(rds, kms, with_reader)
    assert query(with_reader, "SELECT 1") == [1]
    assert stopped(with_reader)
    bring_it_back(rds, kms, with_reader)
    until(lambda: query(with_reader, "SELECT 1", with_reader["ReaderEndpoint"]) == [1])
    assert stopped(with_reader) == []


# Dropped packets


def tried(cluster, within):
    with socket.socket() as trying:
        trying.settimeout(within)
        try:
            trying.connect((cluster["Endpoint"], cluster["Port"]))
        except OSError as problem:
            return type(problem)
        return None


def test_while_packets_are_dropped_connections_are_neither_refused_nor_taken(
    lab, rds, kms, order, misbehaviours, cluster
):
    write(cluster, "a")
    order("drop-packets")
    order("slow-recovery", seconds=4 * FAST)
    lose_the_key(rds, kms, cluster)
    told(lab, cluster, "frozen")
    kms.enable_key(KeyId=cluster["KmsKeyId"])
    rds.start_db_cluster(DBClusterIdentifier=name_of(cluster))
    told(lab, cluster, "drop-packets begins")
    tries = [(tried(cluster, 0.3), time.monotonic_ns()) for _ in range(4)]
    assert tried(cluster, 60) is None  # asks until somebody listens
    becomes(rds, cluster, AVAILABLE)
    assert described(rds, cluster)["Port"] == cluster["Port"]
    assert kept(cluster) == ["a"]
    (end,) = told(lab, cluster, "drop-packets ends")
    assert {found for found, at in tries if at < end["at"]} == {TimeoutError}
    assert misbehaviours.holding() == []


def test_a_port_that_drops_packets_refuses_when_it_is_cleared(
    lab, rds, kms, order, misbehaviours, cluster
):
    order("drop-packets")
    order("no-recovery")
    lose_the_key(rds, kms, cluster)
    kms.enable_key(KeyId=cluster["KmsKeyId"])
    rds.start_db_cluster(DBClusterIdentifier=name_of(cluster))
    told(lab, cluster, "drop-packets begins")
    assert tried(cluster, 0.3) is TimeoutError
    misbehaviours.clear()
    becomes(rds, cluster, AVAILABLE)
    assert query(cluster, "SELECT 1") == [1]


# Nothing stays frozen

SHAPES = {
    "freeze-share": {"share": 1, "seconds": LONG},
    "slow": {"milliseconds": 60_000, "seconds": LONG},
    "flap": {"times": 1, "down": LONG, "up": LONG},
    "lose-reader": {"seconds": LONG},
}
BEGINS = {
    "freeze-share": "hangs a session",
    "slow": "holds a session",
    "flap": "is complete",
    "lose-reader": "is complete",
}


@pytest.fixture
def begun(lab, order, with_reader):
    """Begins an outage of a kind; yields a future of the answer that it holds up."""

    @contextlib.contextmanager
    def beginning(kind, pool, **when):
        host = with_reader["ReaderEndpoint"]
        with connect(with_reader, host) as session:
            order(kind, **SHAPES[kind], **when)
            if when:
                told(lab, with_reader, f"{kind} {BEGINS[kind]}")
                yield asked(pool, [session])[0]
            else:
                yield None

    return beginning


@pytest.mark.parametrize("kind", SHAPES)
def test_what_is_cleared_ends_at_once(lab, misbehaviours, with_reader, begun, kind, pool):
    with begun(kind, pool, when="now") as held:
        time.sleep(0.2)  # in which whoever does not hang answers
        assert not held.done()
        assert bool(stopped(with_reader)) is (kind != "slow")
        misbehaviours.clear()
        assert held.result(30) == (1,)
        assert stopped(with_reader) == []
    assert told(lab, with_reader, f"{kind} ends")
    assert query(with_reader, "SELECT 1") == [1]
    assert misbehaviours.holding() == []


@pytest.mark.parametrize("kind", SHAPES)
def test_a_key_that_comes_back_in_the_middle_leaves_nothing_frozen(
    lab, rds, kms, misbehaviours, with_reader, begun, kind, pool
):
    with begun(kind, pool):
        lose_the_key(rds, kms, with_reader)
        told(lab, with_reader, f"{kind} {BEGINS[kind]}")
        bring_it_back(rds, kms, with_reader)
    assert stopped(with_reader) == []
    assert misbehaviours.holding() == []
    assert len(told(lab, with_reader, f"{kind} ends")) == 1
    assert query(with_reader, "SELECT 1") == [1]
    until(lambda: query(with_reader, "SELECT 1", with_reader["ReaderEndpoint"]) == [1])


def reboot(rds, cluster):
    rds.reboot_db_instance(DBInstanceIdentifier=f"{name_of(cluster)}-1")
    up(rds, f"{name_of(cluster)}-1")


def fail_over(rds, cluster):
    rds.failover_db_cluster(DBClusterIdentifier=name_of(cluster))
    becomes(rds, cluster, AVAILABLE)


def stop_and_start(rds, cluster):
    rds.stop_db_cluster(DBClusterIdentifier=name_of(cluster))
    becomes(rds, cluster, "stopped")
    rds.start_db_cluster(DBClusterIdentifier=name_of(cluster))
    becomes(rds, cluster, AVAILABLE)


def delete_the_reader(rds, cluster):
    rds.delete_db_instance(DBInstanceIdentifier=f"{name_of(cluster)}-2")


@pytest.mark.parametrize(
    ("kind", "act"),
    mostly_soak(
        list(itertools.product(SHAPES, [reboot, fail_over, stop_and_start, delete_the_reader])),
        lambda case: case[0] == "freeze-share" or case == ("flap", reboot),
    ),
)
def test_whoever_stops_a_server_ends_the_outage(
    lab, rds, misbehaviours, with_reader, begun, kind, act, pool
):
    with begun(kind, pool, when="now") as held:
        act(rds, with_reader)
        assert told(lab, with_reader, f"{kind} ends")
        held.exception(20)
    until(lambda: query(with_reader, "SELECT 1") == [1])
    assert stopped(with_reader) == []
    assert misbehaviours.holding() == []


def test_a_key_that_is_lost_in_the_middle_freezes_all(lab, rds, kms, with_reader, begun, pool):
    with begun("freeze-share", pool, when="now") as held:
        lose_the_key(rds, kms, with_reader)
        told(lab, with_reader, "frozen")
        bring_it_back(rds, kms, with_reader)
        held.exception(20)
    assert stopped(with_reader) == []


def test_a_cluster_that_is_deleted_takes_its_outage_with_it(rds, misbehaviours):
    cluster = new_writer(rds)
    session = connect(cluster)
    misbehaviours.order(
        kind="freeze-share", cluster=name_of(cluster), share=1, seconds=LONG, when="now"
    )
    (frozen,) = until(lambda: stopped(cluster))
    rds.delete_db_instance(DBInstanceIdentifier=f"{name_of(cluster)}-1")
    rds.delete_db_cluster(DBClusterIdentifier=name_of(cluster), SkipFinalSnapshot=True)
    until(lambda: not frozen.is_running() or frozen.status() == psutil.STATUS_ZOMBIE)
    assert misbehaviours.holding() == []
    session.close()


def test_nothing_is_left_of_a_lab_that_is_killed_in_the_middle(monkeypatch):
    lab = new_lab(FAST, "observed")
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)
    port = int(conninfo_to_dict(lab.clusters[0]["database"])["port"])
    session = psycopg.connect(lab.clusters[0]["database"])
    shape = {"share": 1, "seconds": LONG}
    Misbehaviours.of(lab).order(kind="freeze-share", cluster="orders", when="now", **shape)
    (frozen,) = until(lambda: stopped({"Port": port}))
    os.kill(lab._child.process.pid, signal.SIGKILL)
    until(lambda: status(frozen) in (None, psutil.STATUS_ZOMBIE))
    until(lambda: not lab.requests.parent.exists())
    session.close()


def test_where_requests_cannot_be_held_slow_servers_stand_still_again_and_again(monkeypatch):
    monkeypatch.setattr(HeldRequests, "possible", lambda pid: False)
    told = []
    with subprocess.Popen(["sleep", "60"]) as server:
        ordered = DataMisbehaviour(kind="slow", milliseconds=50, seconds=1)
        running = SimpleNamespace(running=True, postmaster=server)
        lock = threading.RLock()
        slow = Slow(ordered, [running], lock, lambda what, **more: told.append((what, more)), float)
        slow.thread.start()
        process, seen = psutil.Process(server.pid), []
        while slow.thread.is_alive():
            seen.append(process.status())
            time.sleep(0.005)
        assert process.status() == psutil.STATUS_SLEEPING
        assert seen.count(psutil.STATUS_STOPPED) > len(seen) / 2
        server.kill()
    assert [what for what, _ in told] == ["slow begins", "slow ends"]
    assert told[0][1]["by"] == "standstills"


# Changed writes


def test_a_crash_changes_the_acknowledged_writes_that_the_truth_names(
    lab, rds, kms, order, cluster
):
    rows = [f"row {number}" for number in range(60)]
    write(cluster, *rows)
    order("change-writes", writes=5, seed=3)
    lose_the_key(rds, kms, cluster)
    bring_it_back(rds, kms, cluster)
    (change,) = told(lab, cluster, "changed writes")
    now = query(cluster, "SELECT name FROM kept ORDER BY id")
    different = {(a, b) for a, b in zip(rows, now, strict=True) if a != b}
    assert different == {(row["before"], row["after"]) for row in change["rows"]}
    assert len(different) == 5
    assert {a for a, _ in different} <= set(rows[-50:])


# Orders

OUTAGE = {"kind": "freeze-share", "share": 0.5, "seconds": 60}


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (OUTAGE | {"share": 0}, "^share is a share of the sessions, more than 0 and at most 1$"),
        (OUTAGE | {"share": 1.1}, "^share is a share of the sessions, more than 0 and at most 1$"),
        (OUTAGE | {"share": "nan"}, "^share is a share of the sessions, more than 0"),
        (OUTAGE | {"share": "half"}, "^share is a number: "),
        (OUTAGE | {"when": "later"}, "^when is key-lost or now, not 'later'$"),
        (OUTAGE | {"times": 2}, "^times is for flap, not for freeze-share$"),
        ({"kind": "freeze-share", "share": 0.5}, "^freeze-share needs seconds: AWS seconds, more"),
        (
            {"kind": "slow", "seconds": 60},
            "^slow needs milliseconds: milliseconds from 1 to 60000$",
        ),
        (
            {"kind": "slow", "seconds": -1, "milliseconds": 9},
            "^seconds is AWS seconds, more than 0",
        ),
        ({"kind": "flap", "times": 0, "down": 1, "up": 1}, "^times is a number of outages from 1"),
        ({"kind": "flap", "times": 2, "down": 1}, "^flap needs up: "),
        (
            {"kind": "drop-packets", "seconds": 1},
            "^seconds is for slow-recovery, detection-lag, freeze-share",
        ),
        ({"kind": "lose-reader", "seconds": 60}, "^orders has no reader that could be lost$"),
    ],
)
def test_an_order_that_makes_no_sense_is_one_sentence(misbehaviours, wanted, said):
    with pytest.raises(NotALab, match=said):
        misbehaviours.order(cluster="orders", **wanted)
    assert misbehaviours.holding() == []


def test_there_is_one_outage_at_a_time_and_none_of_what_is_down(
    rds, kms, misbehaviours, order, cluster
):
    order("slow", milliseconds=1, seconds=LONG, when="now")
    with pytest.raises(NotALab, match=r"^c[0-9]+ has an outage already: clear it first$"):
        order("freeze-share", share=1, seconds=60, when="now")
    misbehaviours.clear()
    lose_the_key(rds, kms, cluster)
    with pytest.raises(NotALab, match=r"^c[0-9]+ is not up: an outage can begin now only"):
        order("freeze-share", share=1, seconds=60, when="now")


@pytest.mark.soak
def test_they_are_ordered_from_a_shell(lab, misbehaviours):
    command = [program("chaos"), "--no-version-check", "kms", "lab", "fault", "data"]
    fields = ["--times", "3", "--down", "30", "--up", "10", "--when", "key-lost"]
    ran = subprocess.run(
        [*command, "flap", "orders", *fields], env=lab.environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    ordered = {"kind": "flap", "cluster": "orders", "times": 3, "down": 30, "up": 10}
    assert json.loads(ran.stdout) == ordered | {"when": "key-lost"}
    assert misbehaviours.holding() == [ordered | {"when": "key-lost"}]
