"""The lab's data plane: real servers behind clusters that nobody but these tests made."""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import os
import secrets
import shutil
import socket
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psutil
import psycopg
import pytest

from chaosaws_kms_lab.aurora import AVAILABLE, Effect, State
from chaosaws_kms_lab.data_plane import Servers
from chaosaws_kms_lab.processes import alive, kill_everything_in
from chaosaws_kms_lab.world import Cluster, Instance
from tests.support.labs import mostly_soak, scratch, until

pytestmark = pytest.mark.thorough

NUMBERS = itertools.count()
WRITER, READER = "127.0.0.1", "127.0.0.2"
KEY, OTHER_KEY = secrets.token_bytes(32), secrets.token_bytes(32)
CONTEXT, OTHER_CONTEXT = {"aws:rds:dbc-id": "A"}, {"aws:rds:dbc-id": "B"}


class Data(Servers):
    """The data plane, with what these tests do all the time."""

    def __init__(self, directory):
        super().__init__(directory)
        self.directory = directory
        self.made = []

    def cluster(self, instances=0):
        name = f"c{next(NUMBERS)}"
        cluster = Cluster(
            id=name,
            arn=f"arn:aws:rds:eu-west-1:123456789012:cluster:{name}",
            resource_id=f"cluster-{name}",
            engine_version="15.15",
            master_username="app",
            master_password=self.password,
            database="shop",
            port=self.choose_port(),
            state=State(AVAILABLE, since=0),
            created=datetime.now(UTC),
            encryption=None,
        )
        self.made.append(cluster)
        for _ in range(instances):
            self.instance(cluster)
        return cluster

    def instance(self, cluster):
        """One more instance, up."""
        instance = self.new_instance(cluster)
        until(lambda: self.ready(instance) or self.failure(instance))
        assert self.failure(instance) is None
        self.settle(cluster)
        return instance

    def new_instance(self, cluster):
        name = f"i{next(NUMBERS)}"
        instance = Instance(
            id=name,
            arn=f"arn:aws:rds:eu-west-1:123456789012:db:{name}",
            resource_id=f"db-{name}",
            cluster=cluster,
            instance_class="db.r6g.large",
            available_at=0,
            created=datetime.now(UTC),
        )
        cluster.instances.append(instance)
        self.add(instance)
        return instance

    def settle(self, cluster):
        until(lambda: not self.busy(cluster))

    def crash(self, cluster):
        """A lost key and its recovery, without the time between."""
        for effect in (Effect.FREEZE, Effect.KILL, Effect.BOOT):
            self.perform(cluster, effect)
        self.settle(cluster)

    def done(self, job):
        """Why a job failed, if it did."""
        assert job.wait(30)
        return job.error

    def restored(self, source, key=KEY, context=CONTEXT):
        cluster = self.cluster()
        assert self.done(self.restore(cluster, source, key, context)) is None
        self.instance(cluster)
        return cluster

    def restored_to(self, source, when=None):
        cluster = self.cluster()
        assert self.done(self.restore_to(cluster, source, when)) is None
        self.instance(cluster)
        return cluster

    def snapshots(self):
        return self.directory / "snapshots"

    def truth(self, cluster):
        told = map(json.loads, (self.directory / "truth.jsonl").read_text().splitlines())
        return [line["what"] for line in told if line["cluster"] == cluster.id]


@contextlib.contextmanager
def a_data_plane():
    directory = Path(tempfile.mkdtemp(dir=scratch()))
    directory.chmod(0o711)
    try:
        made = Data(directory)
        yield made
        made.close()
    finally:
        kill_everything_in(directory)
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def shared():
    with a_data_plane() as made:
        yield made


@pytest.fixture
def data(shared):
    yield shared
    for cluster in shared.made:
        shared.delete(cluster)
    shared.made.clear()


@pytest.fixture
def own_data():
    with a_data_plane() as made:
        yield made


def connect(cluster, host=WRITER):
    return psycopg.connect(
        host=host,
        port=cluster.port,
        user="app",
        password=cluster.master_password,
        dbname="shop",
        autocommit=True,
        connect_timeout=5,
    )


def run(cluster, query, *params, host=WRITER):
    with connect(cluster, host) as connection:
        cursor = connection.execute(query, params)
        return [row[0] for row in cursor] if cursor.description else []


def write(cluster, *words):
    run(cluster, "CREATE TABLE IF NOT EXISTS words (word text)")
    for word in words:
        run(cluster, "INSERT INTO words VALUES (%s)", word)


def checkpoint(data, cluster):
    """By the lab's superuser, which no client is."""
    server = data._volumes[cluster.resource_id].writer.server
    with server.connected("shop") as connection:
        connection.execute("CHECKPOINT")


def words(cluster, host=WRITER):
    return run(cluster, "SELECT word FROM words ORDER BY word", host=host)


def is_reader(cluster, instance, data):
    return run(cluster, "SELECT pg_is_in_recovery()", host=data.address(instance)) == [True]


@contextlib.contextmanager
def writing(cluster):
    """A client that writes one number after another; what it has acknowledged."""
    acknowledged, stop = [], threading.Event()

    def client():
        numbers = itertools.count()
        while not stop.is_set():
            with contextlib.suppress(psycopg.Error), connect(cluster) as connection:
                for number in numbers:
                    connection.execute("INSERT INTO numbers VALUES (%s)", (number,))
                    acknowledged.append(number)
                    if stop.wait(0.001):
                        return

    run(cluster, "CREATE TABLE numbers (number int)")
    thread = threading.Thread(target=client)
    thread.start()
    try:
        until(lambda: acknowledged)
        yield acknowledged
    finally:
        stop.set()
        thread.join()


def hangs(cluster, host):
    try:
        psycopg.connect(host=host, port=cluster.port, user="app", connect_timeout=2).close()
    except psycopg.errors.ConnectionTimeout:
        return True
    return False


def numbers(cluster, host=WRITER):
    return set(run(cluster, "SELECT number FROM numbers", host=host))


@contextlib.contextmanager
def slow_snapshot(data, cluster, name):
    """A snapshot that gets no further than a pipe's length before the end of the block."""
    data.snapshots().mkdir(mode=0o700, exist_ok=True)
    partial = data.snapshots() / f".{name}.partial"
    os.mkfifo(partial)
    job = data.snapshot(cluster, data.snapshots() / name, KEY, CONTEXT)
    with partial.open("rb") as pipe:
        until(lambda: backing_up(data))
        yield job
        pipe.read()
    data.done(job)
    (data.snapshots() / name).unlink(missing_ok=True)  # a pipe, which others would wait for


def backing_up(data):
    found = []
    for process in processes_of(data.directory):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name() == "pg_basebackup":
                found.append(process)
    return found


def processes_of(directory):
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd().startswith(str(directory)) and alive(process):
                found.append(process)
    return found


# Instances


def test_a_cluster_without_an_instance_costs_nothing(own_data):
    def costs():
        myself = psutil.Process()
        return myself.num_fds(), myself.num_threads(), sorted(os.listdir(own_data.directory))

    gc.collect()  # what tests before this one have left open
    before = costs()
    clusters = [own_data.cluster() for _ in range(1000)]
    assert len({cluster.port for cluster in clusters}) == 1000
    for cluster in clusters:
        assert own_data.endpoints(cluster) == (WRITER, WRITER)
        assert own_data.writer(cluster) is None
        assert not own_data.busy(cluster)
        own_data.perform(cluster, Effect.FREEZE)
    assert costs() == before
    assert processes_of(own_data.directory) == []


def test_the_first_instance_is_an_empty_writer_for_the_master_user(data):
    cluster = data.cluster(1)
    (instance,) = cluster.instances
    assert data.writer(cluster) is instance
    assert data.endpoints(cluster) == (WRITER, WRITER)
    for host in (WRITER, data.address(instance)):
        assert run(cluster, "SELECT current_user::text", host=host) == ["app"]
    assert run(cluster, "SELECT relname FROM pg_stat_user_tables") == []
    assert data.truth(cluster) == ["ready"]


def test_data_stay_with_the_cluster_when_its_last_instance_goes(data):
    cluster = data.cluster(1)
    write(cluster, "kept")
    port = cluster.port
    data.remove(cluster.instances.pop())
    data.settle(cluster)
    assert data.writer(cluster) is None
    with pytest.raises(psycopg.OperationalError):
        words(cluster)
    data.instance(cluster)
    assert words(cluster) == ["kept"]
    assert cluster.port == port


def test_a_port_that_is_taken_by_the_time_a_server_needs_it_is_replaced(data):
    cluster = data.cluster()
    with socket.create_server((WRITER, cluster.port)) as taken:
        data.instance(cluster)
        assert cluster.port != taken.getsockname()[1]
    assert run(cluster, "SELECT 1") == [1]


def test_nobody_else_gets_the_port_of_a_cluster_that_is_stopped(data):
    cluster = data.cluster(1)
    data.perform(cluster, Effect.SHUT_DOWN)
    data.settle(cluster)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((WRITER, cluster.port))


def test_a_reader_follows_its_writer_and_refuses_writes(data):
    cluster = data.cluster(2)
    _, reader = cluster.instances
    write(cluster, "x")
    assert data.endpoints(cluster) == (WRITER, READER)
    for host in (READER, data.address(reader)):
        assert until(lambda host=host: words(cluster, host) == ["x"])
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            run(cluster, "INSERT INTO words VALUES ('y')", host=host)


def test_another_reader_takes_the_reader_endpoint_over(data):
    cluster = data.cluster(3)
    write(cluster, "x")
    first = cluster.instances.pop(1)
    data.remove(first)
    data.settle(cluster)
    assert data.endpoints(cluster) == (WRITER, READER)
    assert until(lambda: words(cluster, READER) == ["x"])
    assert not data.ready(first)
    with pytest.raises(psycopg.OperationalError):
        connect(cluster, data.address(first))


def test_when_the_writer_is_deleted_a_reader_takes_its_volume_over(data):
    cluster = data.cluster(2)
    with writing(cluster) as acknowledged:
        data.remove(cluster.instances.pop(0))
        data.settle(cluster)
        assert data.writer(cluster) is cluster.instances[0]
    assert set(acknowledged) <= numbers(cluster)
    assert data.endpoints(cluster) == (WRITER, WRITER)


def test_a_reboot_ends_sessions_and_nothing_else(data):
    cluster = data.cluster(1)
    write(cluster, "kept")
    with connect(cluster) as session:
        data.restart(cluster.instances[0])
        assert not data.ready(cluster.instances[0])
        data.settle(cluster)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert data.ready(cluster.instances[0])
    assert words(cluster) == ["kept"]


def test_a_server_that_cannot_start_says_why_and_another_start_tries_again(data):
    cluster = data.cluster(1)
    conf = data.directory / cluster.resource_id / "data" / "postgresql.conf"
    was = conf.read_text()
    conf.write_text(was + "shared_buffers = nonsense\n")
    data.restart(cluster.instances[0])
    assert "contains errors" in until(lambda: data.failure(cluster.instances[0]))
    data.settle(cluster)
    conf.write_text(was)
    data.restart(cluster.instances[0])
    until(lambda: data.ready(cluster.instances[0]))
    assert data.failure(cluster.instances[0]) is None


# Failover


def test_a_failover_loses_no_acknowledged_write_and_the_old_writer_follows(data):
    cluster = data.cluster(3)
    old, target, other = cluster.instances
    with writing(cluster) as acknowledged:
        data.fail_over(cluster, target)
        data.settle(cluster)
        assert data.writer(cluster) is target
        after = len(acknowledged)
        until(lambda: len(acknowledged) > after + 10)
    assert not is_reader(cluster, target, data)
    for instance in cluster.instances:
        assert data.ready(instance)
        host = data.address(instance)
        assert until(lambda host=host: set(acknowledged) <= numbers(cluster, host))
    assert is_reader(cluster, old, data)
    assert is_reader(cluster, other, data)
    assert data.endpoints(cluster) == (WRITER, READER)
    assert data.truth(cluster) == ["ready", "failing over", "failed over"]


@pytest.mark.soak
def test_a_failover_away_from_a_crashed_writer_loses_nothing_either(data):
    cluster = data.cluster(2)
    _, target = cluster.instances
    with writing(cluster) as acknowledged:
        with connect(cluster) as session:
            (backend,) = session.execute("SELECT pg_backend_pid()").fetchone()
            psutil.Process(backend).parent().kill()
        data.fail_over(cluster, target)
        data.settle(cluster)
    assert data.writer(cluster) is target
    assert set(acknowledged) <= numbers(cluster)


def test_an_open_transaction_delays_no_failover(data):
    cluster = data.cluster(2)
    write(cluster)
    with contextlib.suppress(psycopg.OperationalError), connect(cluster) as session:
        session.execute("BEGIN")
        session.execute("INSERT INTO words VALUES ('never committed')")
        data.fail_over(cluster, cluster.instances[1])
        data.settle(cluster)
    assert data.writer(cluster) is cluster.instances[1]
    assert words(cluster) == []


# A lost key


def test_frozen_instances_hang_together_and_come_back_with_every_acknowledged_write(data):
    cluster = data.cluster(2)
    writer, reader = cluster.instances
    with writing(cluster) as acknowledged:
        data.perform(cluster, Effect.FREEZE)
        hosts = (WRITER, READER, data.address(writer), data.address(reader))
        with ThreadPoolExecutor() as pool:
            assert list(pool.map(lambda host: hangs(cluster, host), hosts)) == [True] * 4
        seen = len(acknowledged)
        data.perform(cluster, Effect.KILL)
        data.perform(cluster, Effect.BOOT)
        assert data.busy(cluster)
        data.settle(cluster)
        assert data.ready(writer)
        assert data.ready(reader)
        until(lambda: len(acknowledged) > seen)
    for host in (WRITER, READER):
        assert until(lambda host=host: set(acknowledged) <= numbers(cluster, host))
    assert data.truth(cluster) == ["ready", "freezing", "frozen", "killed", "started", "ready"]


def test_a_reader_whose_making_was_cut_short_is_made_after_the_next_start(data):
    cluster = data.cluster(1)
    write(cluster, "x")
    reader = data.new_instance(cluster)
    until(lambda: backing_up(data) or data.ready(reader))
    data.crash(cluster)
    assert data.ready(reader)
    assert words(cluster, READER) == ["x"]


@pytest.mark.parametrize("pauses", mostly_soak([[0.01], [0, 0.01, 0.03]], lambda p: len(p) == 1))
def test_a_failover_that_a_freeze_cuts_short_leaves_one_writer_with_everything(data, pauses):
    cluster = data.cluster(2)
    with writing(cluster) as acknowledged:
        for pause in pauses:
            data.fail_over(cluster, cluster.instances[1])
            time.sleep(pause)
            data.crash(cluster)
    assert sorted(is_reader(cluster, i, data) for i in cluster.instances) == [False, True]
    assert not is_reader(cluster, data.writer(cluster), data)
    assert set(acknowledged) <= numbers(cluster)


def test_a_stopped_cluster_refuses_connections_until_it_is_started(data):
    cluster = data.cluster(2)
    write(cluster, "kept")
    data.perform(cluster, Effect.SHUT_DOWN)
    with pytest.raises(psycopg.OperationalError):
        words(cluster)
    data.settle(cluster)
    assert not any(data.ready(instance) for instance in cluster.instances)
    data.perform(cluster, Effect.BOOT)
    data.settle(cluster)
    assert all(data.ready(instance) for instance in cluster.instances)
    assert words(cluster) == ["kept"]
    assert data.truth(cluster) == ["ready", "stopped", "started", "ready"]


# Snapshots


def test_a_snapshot_holds_what_was_acknowledged_before_and_never_in_the_clear(data):
    cluster = data.cluster(1)
    marker = secrets.token_hex(16)
    write(cluster, *[f"{marker} {number}" for number in range(9)])
    run(
        cluster,
        "CREATE TABLE filling AS SELECT repeat(md5(n::text), 9) FROM generate_series(1, 60000) n",
    )
    with writing(cluster) as acknowledged:
        before = set(acknowledged)
        job = data.snapshot(cluster, data.snapshots() / "s1", KEY, CONTEXT)
        looked = 0
        while not job.done or not looked:
            looked += 1
            for path in data.snapshots().rglob("*"):
                with contextlib.suppress(FileNotFoundError):
                    assert marker.encode() not in path.read_bytes()
                    assert path.stat().st_mode & 0o077 == 0
        assert data.done(job) is None
    restored = data.restored(data.snapshots() / "s1")
    assert before <= numbers(restored)
    assert len(words(restored)) == 9
    write(restored, "its own")
    assert "its own" not in words(cluster)
    assert [path.name for path in data.snapshots().glob(".*")] == []


def test_a_copy_under_another_key_opens_with_that_key_alone(data):
    cluster = data.cluster(1)
    write(cluster, "x")
    ours, theirs = data.snapshots() / "ours", data.snapshots() / "theirs"
    assert data.done(data.snapshot(cluster, ours, KEY, CONTEXT)) is None
    assert "another key" in data.done(
        data.copy(ours, theirs, (OTHER_KEY, CONTEXT), (OTHER_KEY, OTHER_CONTEXT))
    )
    assert not theirs.exists()
    assert data.done(data.copy(ours, theirs, (KEY, CONTEXT), (OTHER_KEY, OTHER_CONTEXT))) is None
    assert words(data.restored(theirs, OTHER_KEY, OTHER_CONTEXT)) == ["x"]
    for key, context in ((KEY, CONTEXT), (OTHER_KEY, CONTEXT), (KEY, OTHER_CONTEXT)):
        assert "another key" in data.done(data.restore(data.cluster(), theirs, key, context))


def test_a_broken_snapshot_fills_nothing_and_its_cluster_says_so(data):
    cluster, path = data.cluster(1), data.snapshots() / "broken"
    assert data.done(data.snapshot(cluster, path, KEY, CONTEXT)) is None
    path.write_bytes(path.read_bytes()[:-1])
    new = data.cluster()
    job = data.restore(new, path, KEY, CONTEXT)
    instance = data.new_instance(new)
    assert "ends in the middle" in data.done(job)
    assert "ends in the middle" in until(lambda: data.failure(instance))
    assert not (data.directory / new.resource_id).exists()
    assert "No such file" in data.done(
        data.restore(data.cluster(), data.snapshots() / "none", KEY, CONTEXT)
    )


def test_clusters_without_a_running_server_have_snapshots_too(data):
    stopped, never, unencrypted = data.cluster(1), data.cluster(), data.cluster(1)
    write(stopped, "x")
    data.perform(stopped, Effect.SHUT_DOWN)
    path = data.snapshots() / "cold"
    job = data.snapshot(stopped, path, KEY, CONTEXT)
    data.perform(stopped, Effect.BOOT)  # waits for it, or it for this
    assert data.done(job) is None
    data.settle(stopped)
    assert words(stopped) == words(data.restored(path)) == ["x"]
    assert data.done(data.snapshot(never, path, KEY, CONTEXT)) is None
    assert run(data.restored(path), "SELECT 1") == [1]
    write(unencrypted, "y")
    assert data.done(data.snapshot(unencrypted, path, None, {})) is None
    assert words(data.restored(path, None, {})) == ["y"]


def test_a_snapshot_of_a_cluster_that_is_frozen_fails_and_leaves_nothing(data):
    cluster = data.cluster(1)
    with slow_snapshot(data, cluster, "early") as early:
        data.perform(cluster, Effect.FREEZE)
        late = data.snapshot(cluster, data.snapshots() / "late", KEY, CONTEXT)
    assert data.done(early) == "the cluster's servers were stopped in the meantime"
    assert data.done(late) == "the cluster's storage cannot be read"
    assert not list(data.snapshots().glob("*early*")) + list(data.snapshots().glob("*late*"))


def test_a_failover_waits_for_the_snapshot_that_is_being_taken(data):
    cluster = data.cluster(2)
    write(cluster, "x")
    with slow_snapshot(data, cluster, "slow"):
        job = data.snapshot(cluster, data.snapshots() / "during", KEY, CONTEXT)
        data.fail_over(cluster, cluster.instances[1])
        time.sleep(0.1)
        assert data.writer(cluster) is cluster.instances[0]
    assert data.done(job) is None
    data.settle(cluster)
    assert data.writer(cluster) is cluster.instances[1]
    assert words(data.restored(data.snapshots() / "during")) == ["x"]


# Points in time


def moment():
    """An instant with some time on both sides."""
    time.sleep(0.01)
    instant = datetime.now(UTC)
    time.sleep(0.01)
    return instant


def test_a_cluster_comes_back_as_it_was_at_a_point_in_time(data):
    cluster = data.cluster(2)
    write(cluster, "1 before")
    first = moment()
    write(cluster, "2 between")
    data.fail_over(cluster, cluster.instances[1])
    data.settle(cluster)
    write(cluster, "3 after the failover")
    second = moment()
    data.crash(cluster)
    write(cluster, "4 after the crash")
    everything = words(cluster)
    assert len(everything) == 4
    assert words(data.restored_to(cluster, first)) == everything[:1]
    again = data.restored_to(cluster, second)
    assert words(again) == everything[:3]
    assert words(data.restored_to(cluster)) == everything
    assert words(data.restored_to(cluster, moment())) == everything

    # What was restored has a history of its own.
    third = moment()
    write(again, "4 elsewhere")
    assert words(data.restored_to(again, third)) == everything[:3]
    assert words(data.restored_to(again)) == [*everything[:3], "4 elsewhere"]


@pytest.mark.soak
def test_a_stopped_cluster_comes_back_as_it_was_too(data):
    cluster = data.cluster(1)
    write(cluster, "1")
    between = moment()
    write(cluster, "2")
    data.perform(cluster, Effect.SHUT_DOWN)
    assert words(data.restored_to(cluster, between)) == ["1"]
    assert words(data.restored_to(cluster, moment())) == ["1", "2"]
    assert words(data.restored_to(cluster)) == ["1", "2"]


@pytest.mark.soak
def test_a_frozen_cluster_comes_back_with_everything_that_was_acknowledged(data):
    cluster = data.cluster(2)
    with writing(cluster) as acknowledged:
        data.perform(cluster, Effect.FREEZE)
        restored = data.restored_to(cluster)
        data.perform(cluster, Effect.KILL)
    assert set(acknowledged) <= numbers(restored)


@pytest.mark.soak
def test_a_point_in_time_of_what_was_restored_from_a_snapshot(data):
    cluster = data.cluster(1)
    write(cluster, "1")
    assert data.done(data.snapshot(cluster, data.snapshots() / "pit", KEY, CONTEXT)) is None
    restored = data.restored(data.snapshots() / "pit")
    between = moment()
    write(restored, "2")
    assert words(data.restored_to(restored, between)) == ["1"]
    assert words(data.restored_to(restored)) == ["1", "2"]


def test_more_log_than_a_server_keeps_is_recovered_from_the_archive(data):
    cluster = data.cluster(1)
    run(cluster, "CREATE TABLE filling (word text)")
    for _ in range(3):
        run(
            cluster,
            "INSERT INTO filling SELECT repeat(md5(n::text), 9) FROM generate_series(1, 60000) n",
        )
        checkpoint(data, cluster)
    write(cluster, "last")
    folder = data.directory / cluster.resource_id
    assert len(list((folder / "wal").iterdir())) > len(list((folder / "data/pg_wal").iterdir()))
    restored = data.restored_to(cluster)
    assert run(restored, "SELECT count(*) FROM filling") == [180000]
    assert words(restored) == ["last"]


# The end


def test_nothing_is_left_of_a_cluster_that_is_deleted(own_data):
    cluster = own_data.cluster(2)
    address = own_data.address(cluster.instances[0])
    own_data.perform(cluster, Effect.FREEZE)
    own_data.delete(cluster)
    until(lambda: not processes_of(own_data.directory))
    until(lambda: not (own_data.directory / cluster.resource_id).exists())
    for host in (WRITER, READER, address):
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind((host, cluster.port))
            other.listen()


def ends_of(process):
    """The two addresses of each of its sockets."""
    return {(each.laddr, each.raddr) for each in process.net_connections()}


def test_nothing_is_left_of_a_data_plane_that_is_closed(own_data):
    myself = psutil.Process()
    sockets, segments = ends_of(myself), Path("/proc/sysvipc/shm").read_text()
    clusters = [own_data.cluster(1) for _ in range(2)]
    own_data.crash(clusters[0])
    own_data.perform(clusters[1], Effect.KILL)
    own_data.snapshot(clusters[0], own_data.snapshots() / "unfinished", KEY, CONTEXT)
    own_data.new_instance(clusters[0])
    own_data.close()
    assert processes_of(own_data.directory) == []
    until(lambda: ends_of(myself) <= sockets)
    until(
        lambda: (
            {p.name for p in own_data.directory.iterdir()}
            <= {
                "pgpass",
                "run",
                "template",
                "truth.jsonl",
                "snapshots",
            }
        )
    )
    assert list((own_data.directory / "run").iterdir()) == []
    ids = {line.split()[1] for line in segments.splitlines()}
    left = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()]
    assert [line for line in left if line[1] not in ids and line[6] == "0"] == []


def test_the_reaper_finds_every_process_that_was_started(own_data):
    before = set(psutil.Process().children(recursive=True))
    cluster = own_data.cluster(2)
    with writing(cluster), slow_snapshot(own_data, cluster, "one"):
        started = set(psutil.Process().children(recursive=True)) - before
        missed = started

        def all_are_found():
            nonlocal missed
            missed = [p for p in started.difference(processes_of(own_data.directory)) if alive(p)]
            return not missed

        # One that was just forked is known as its parent's until it runs its program.
        with contextlib.suppress(AssertionError):
            until(all_are_found, timeout=20)
        assert missed == []
    kill_everything_in(own_data.directory)
    assert processes_of(own_data.directory) == []
