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
    up,
    write,
)
from tests.support.forked_labs import new_lab
from tests.support.labs import FAST, mostly_soak, program, until

LONG = 600 * FAST
"""AWS seconds that no test waits for."""
SOON = 0.5
"""Seconds in which a session answers that does not hang, however busy the machine is."""


@pytest.fixture
def cluster(rds, kms):
    return new_writer(rds, kms)


@pytest.fixture
def with_reader(rds, cluster):
    up(rds, new_instance(rds, cluster, 2))
    return described(rds, cluster)


@pytest.fixture
def order(misbehaviours, cluster):
    def ordering(kind, **fields):
        return misbehaviours.order(kind=kind, cluster=name_of(cluster), **fields)

    return ordering


@pytest.fixture
def pool():
    with ThreadPoolExecutor(32) as threads:
        yield threads


def name_of(cluster):
    return cluster["DBClusterIdentifier"]


def truth(lab, cluster, what):
    lines = map(json.loads, lab.requests.with_name("truth.jsonl").read_text().splitlines())
    return [line for line in lines if (line["cluster"], line["what"]) == (name_of(cluster), what)]


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


def answered(futures, within=SOON):
    """Which of them have their answer."""
    time.sleep(within)
    return [future.done() for future in futures]


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
    """One session that asks all the time, and when its answers came (time.monotonic)."""

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
                self.session.execute("SELECT 1")
                self.answers.append(time.monotonic())

    def silences(self, longer_than):
        """(begin, end) of every time without an answer."""
        pairs = zip(self.answers, self.answers[1:], strict=False)
        return [(a, b) for a, b in pairs if b - a > longer_than]


# A share of the sessions


def test_half_of_the_sessions_hang_and_every_second_new_one_until_it_is_over(
    lab, order, cluster, pool
):
    sessions = [connect(cluster) for _ in range(8)]
    order("freeze-share", share=0.5, seconds=4 * FAST, when="now")
    until(lambda: len(stopped(cluster)) == 4)
    old = asked(pool, sessions)
    new = [pool.submit(connect_and_ask, cluster) for _ in range(6)]
    assert sum(answered(old)) == 4
    until(lambda: sum(future.done() for future in new) == 3)
    assert not truth(lab, cluster, "freeze-share ends")
    assert all(future.result(20) == (1,) for future in old)
    assert all(future.result(20) == (1,) for future in new)
    (begin,) = told(lab, cluster, "freeze-share begins")
    (end,) = told(lab, cluster, "freeze-share ends")
    assert (begin["sessions"], begin["hang"]) == (8, 4)
    assert (end["sessions"], end["hung"]) == (14, 7)
    hung = truth(lab, cluster, "freeze-share hangs a session")
    ours = {f"127.0.0.1({client_port(session)})" for session in sessions}
    assert len(hung) == 7
    assert sum(line["client"] in ours for line in hung) == 4
    assert 4 <= (end["at"] - begin["at"]) / 1e9 < 5
    assert stopped(cluster) == []
    for session in sessions:
        session.close()


def connect_and_ask(cluster):
    with psycopg.connect(
        host=cluster["Endpoint"],
        port=cluster["Port"],
        user=cluster["MasterUsername"],
        dbname="postgres",
        connect_timeout=60,
    ) as session:
        found = session.execute("SELECT 1").fetchone()
        time.sleep(0.05)  # the lab may not see one that ends at once
        return found


def client_port(session):
    with socket.socket(fileno=os.dup(session.fileno())) as own:
        return own.getsockname()[1]


def test_sessions_that_hang_go_on_with_what_they_were_doing(order, cluster, pool):
    write(cluster)
    with connect(cluster) as session:
        working = pool.submit(session.execute, "INSERT INTO kept (name) SELECT pg_sleep(1)::text")
        time.sleep(0.3)
        order("freeze-share", share=1, seconds=2 * FAST, when="now")
        until(lambda: len(stopped(cluster)) == 1)
        assert not working.done()
        assert working.result(20).rowcount == 1
    assert len(kept(cluster)) == 1


def test_when_the_key_is_lost_only_the_share_hangs_and_the_cluster_returns_as_ever(
    lab, rds, kms, misbehaviours, order, cluster, pool
):
    order("freeze-share", share=0.25, seconds=LONG)
    sessions = [connect(cluster) for _ in range(8)]
    assert not stopped(cluster)
    lose_the_key(rds, kms, cluster)
    until(lambda: len(stopped(cluster)) == 2)
    assert any("KMS" in message for message in messages(rds, cluster))
    answers = asked(pool, sessions)
    assert sum(answered(answers)) == 6
    assert not truth(lab, cluster, "frozen")
    assert len(misbehaviours.holding()) == 1
    bring_it_back(rds, kms, cluster)
    assert query(cluster, "SELECT 1") == [1]
    assert stopped(cluster) == []
    assert misbehaviours.holding() == []
    assert sum(future.exception(20) is not None for future in answers) == 2
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


def test_slow_answers_take_their_time_until_it_is_over(lab, order, cluster):
    with connect(cluster) as session:
        before = statistics.median(timed(session, 10))
        order("slow", milliseconds=200, seconds=4 * FAST, when="now")
        told(lab, cluster, "slow begins")
        time.sleep(0.05)
        took = timed(session, 8)
        assert not truth(lab, cluster, "slow ends")
        with connect(cluster) as new:
            took += timed(new, 3)
        assert statistics.median(took) >= 0.2
        assert sorted(took)[2] >= 0.19  # nearly all of them
        (begin,), (end,) = (truth(lab, cluster, "slow begins"), told(lab, cluster, "slow ends"))
        assert 4 <= (end["at"] - begin["at"]) / 1e9 < 5
        after = statistics.median(timed(session, 10))
        assert after < max(0.05, 10 * before)
    assert stopped(cluster) == []


def test_a_statement_that_is_slow_by_itself_is_so_once(order, cluster):
    with connect(cluster) as session:
        order("slow", milliseconds=300, seconds=LONG, when="now")
        time.sleep(0.1)
        began = time.monotonic()
        session.execute("SELECT pg_sleep(0.3)")
        assert time.monotonic() - began >= 0.6


# Flap


def test_flapping_servers_hang_as_often_as_ordered(lab, order, cluster):
    with Asking(cluster) as one:
        time.sleep(0.2)
        order("flap", times=3, down=FAST, up=FAST / 2, when="now")
        until(lambda: len(truth(lab, cluster, "flap ends")) == 3)
        time.sleep(0.3)
    begins, whole, ends = (
        truth(lab, cluster, f"flap {what}") for what in ("begins", "is complete", "ends")
    )
    assert [line["number"] for line in (*begins, *ends)] == [1, 2, 3] * 2
    silences = one.silences(0.9)
    assert len(silences) == 3
    for silence, begin, complete, end in zip(silences, begins, whole, ends, strict=True):
        last, first = silence
        assert 1 <= (end["at"] - complete["at"]) / 1e9 < 1.5
        assert last <= complete["at"] / 1e9 + 0.001
        assert first >= end["at"] / 1e9 - 0.001
        assert begin["at"] / 1e9 - last < SOON
        assert first - end["at"] / 1e9 < SOON
    assert begins[1]["at"] - ends[0]["at"] >= 0.5e9
    assert stopped(cluster) == []


# The readers


def test_a_lost_reader_hangs_while_the_writer_works_and_comes_back(lab, order, with_reader, pool):
    write(with_reader, "before")
    reader = with_reader["ReaderEndpoint"]
    with connect(with_reader, reader) as session:
        order("lose-reader", seconds=3 * FAST, when="now")
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
        assert old.result(20) == (1,)
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
    order("slow-recovery", seconds=2 * FAST)
    lose_the_key(rds, kms, cluster)
    told(lab, cluster, "frozen")
    kms.enable_key(KeyId=cluster["KmsKeyId"])
    rds.start_db_cluster(DBClusterIdentifier=name_of(cluster))
    told(lab, cluster, "drop-packets begins")
    assert [tried(cluster, 0.3) for _ in range(4)] == [TimeoutError] * 4
    assert not truth(lab, cluster, "drop-packets ends")
    assert tried(cluster, 20) is None  # asks until somebody listens
    becomes(rds, cluster, AVAILABLE)
    assert described(rds, cluster)["Port"] == cluster["Port"]
    assert kept(cluster) == ["a"]
    assert told(lab, cluster, "drop-packets ends")
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
    "slow": {"milliseconds": 5000, "seconds": LONG},
    "flap": {"times": 1, "down": LONG, "up": LONG},
    "lose-reader": {"seconds": LONG},
}
BEGINS = {
    "freeze-share": "hangs a session",
    "slow": "begins",
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
                time.sleep(0.05)
                yield asked(pool, [session])[0]
            else:
                yield None

    return beginning


@pytest.mark.parametrize("kind", SHAPES)
def test_what_is_cleared_ends_at_once(lab, misbehaviours, with_reader, begun, kind, pool):
    with begun(kind, pool, when="now") as held:
        assert answered([held]) == [False]
        assert bool(stopped(with_reader)) is (kind != "slow")
        misbehaviours.clear()
        assert held.result(SOON * 4) == (1,)
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
