"""The endpoint of an RDS Proxy before a real server: who gets in, and what clients see while the
database is away (Aurora User Guide, rds-proxy.howitworks and rds-proxy.troubleshooting)."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from chaosaws_kms_lab.data_plane import proxy_endpoint as endpoint
from chaosaws_kms_lab.data_plane.proxy_endpoint import RdsProxies, RdsProxy
from chaosaws_kms_lab.processes import freeze_trees, thaw_trees
from tests.support.labs import until
from tests.support.postgres import a_postgres
from tests.support.token_gate import asks

SECRET = "s€cret: of all"
NUMBERS = itertools.count(101)
LONG = 60.0
"""Seconds that no test waits for."""
TIMED_OUT = "Timed-out waiting to acquire database connection."


@pytest.fixture(scope="module")
def server():
    with a_postgres() as server:
        asks(server.data, "app")
        with server.connected("postgres") as connection:
            connection.execute(f"CREATE ROLE app LOGIN PASSWORD {psycopg.sql.quote(SECRET)}")
            connection.execute("CREATE TABLE public.rows (a text)")
            connection.execute("GRANT ALL ON public.rows TO app")
            connection.execute("SELECT pg_reload_conf()")
        yield server


@pytest.fixture(scope="module")
def proxies():
    its = RdsProxies(None)
    yield its
    its.close()


class Front:
    """A proxy before the server, on an address of its own."""

    def __init__(self, proxies, server, borrow_timeout=LONG):
        self.server = server
        self.host = f"127.0.2.{next(NUMBERS)}"
        self.proxy = RdsProxy(proxies, borrow_timeout)
        self.proxy.admit({"app": SECRET})
        self.proxy.open(self.host, server.port)
        self.up()

    def up(self):
        self.proxy.aim((self.server.listens[0], self.server.port))

    def away(self):
        self.proxy.aim(None)
        until(lambda: self.proxy._writer is None and not self.borrowed)

    @property
    def borrowed(self):
        return [each for each in self.proxy._sessions.values() if each.borrowed]

    def conninfo(self, **options):
        asked = {"user": "app", "password": SECRET, "dbname": "postgres", **options}
        return make_conninfo(host=self.host, port=self.server.port, connect_timeout=30, **asked)

    def connect(self, **options):
        return psycopg.connect(self.conninfo(**options), autocommit=True)

    def refusal(self, **options):
        with pytest.raises(psycopg.OperationalError) as caught:
            self.connect(**options)
        return str(caught.value).rpartition("FATAL:  ")[2].strip()


@pytest.fixture
def front(proxies, server):
    its = Front(proxies, server)
    yield its
    its.proxy.close()


@pytest.fixture
def impatient(proxies, server):
    its = Front(proxies, server, borrow_timeout=0.3)
    yield its
    its.proxy.close()


def one(connection):
    return connection.execute("SELECT 1").fetchone() == (1,)


def processes(server):
    """How many sessions of clients the server has."""
    with server.connected("postgres") as connection:
        found = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'")
        return found.fetchone()[0]


# Who gets in


def test_a_client_logs_in_by_the_password_of_the_secret(front):
    with front.connect(application_name="shop") as connection:
        assert one(connection)
        assert connection.info.parameter_status("server_version").startswith("18")
        said = connection.execute("SELECT current_user, current_setting('application_name')")
        assert said.fetchone() == ("app", "shop")


def test_whoever_has_no_or_another_password_is_told_so(front):
    assert front.refusal(password="x") == (
        "The password that was provided for the role app is wrong."
    )
    why = "This RDS proxy has no credentials for the role other. Check the credentials"
    assert front.refusal(user="other").startswith(why)
    front.proxy.admit({})
    assert "has no credentials for the role app" in front.refusal()


def test_what_the_database_refuses_is_passed_on(front):
    why = front.refusal(dbname="none")
    assert why == 'Request returned an error: database "none" does not exist'
    front.proxy.admit({"app": "rotated meanwhile"})
    assert front.refusal(password="rotated meanwhile").startswith("Request returned an error: pass")


def test_replication_and_old_protocols_are_refused(front):
    assert "streaming replication mode" in front.refusal(replication="database")
    with socket.create_connection((front.host, front.server.port), 30) as client:
        client.sendall(struct.pack("!II", 8, 2 << 16))
        assert b"supports only version 3.0" in client.recv(1000)
        assert client.recv(1000) == b""


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\1\0\0\0\0",
        struct.pack("!II", 8, 80877102),
        struct.pack("!II", 16, 80877102) + b"unknown!",
        struct.pack("!II", 9, 3 << 16) + b"\0",
        b"\x16\x03\x01\x00\xa5" + b"x" * 40,
    ],
)
def test_what_is_no_beginning_ends_that_connection_alone(front, said):
    with socket.create_connection((front.host, front.server.port), 30) as client:
        client.sendall(said)
        with contextlib.suppress(ConnectionResetError):
            while client.recv(1000):
                pass
    with front.connect() as connection:
        assert one(connection)


def test_a_client_that_says_nonsense_after_the_login_is_disconnected(front):
    with front.connect() as connection, front.connect() as other:
        with socket.socket(fileno=connection.pgconn.socket) as end:
            end.sendall(b"Q\0\0\0\0")
            end.detach()
        with pytest.raises(psycopg.OperationalError):
            one(connection)
        assert one(other)


def test_there_are_so_many_clients_at_most(front, monkeypatch):
    monkeypatch.setattr(endpoint, "MOST", 2)
    with front.connect(), front.connect():
        assert "maximum number of client connections" in front.refusal(sslmode="disable")
    until(lambda: not front.proxy._sessions)
    with front.connect() as connection:
        assert one(connection)


def test_when_a_client_leaves_its_database_connection_goes_too(front):
    until(lambda: processes(front.server) == 0)  # those of other tests
    with front.connect():
        assert processes(front.server) == 1
    until(lambda: processes(front.server) == 0)


# What is passed on


def test_everything_passes_in_both_directions(front):
    with front.connect() as connection:
        rows = connection.execute("SELECT n, repeat('x', 300) FROM generate_series(1, 5000) n")
        assert sum(len(text) for _, text in rows.fetchall()) == 1_500_000
        (text,) = connection.execute("SELECT repeat('y', 3000000)").fetchone()
        assert len(text) == 3_000_000
        assert connection.execute("SELECT length(%s)", ["z" * 300_000]).fetchone() == (300_000,)
        with connection.cursor().copy("COPY rows FROM STDIN") as copy:
            for _ in range(500):
                copy.write_row(["c" * 100])
        assert connection.execute("SELECT count(*) FROM rows").fetchone() == (500,)
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1/0")
        assert one(connection)


def test_a_statement_is_not_cancelled_by_its_client(front):
    with front.connect() as connection, ThreadPoolExecutor(1) as beside:
        slow = beside.submit(connection.execute, "SELECT pg_sleep(0.5)")
        with front.server.connected() as superuser:
            asked = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(0.5)'"
            until(lambda: superuser.execute(asked).fetchone()[0] == 1)
        connection.cancel_safe(timeout=30)  # `cancel` would keep this process from answering
        slow.result(30)
        assert one(connection)


# While the database is away


def test_an_idle_client_stays_connected_and_goes_on_with_its_prepared_statements(front):
    with front.connect() as connection:
        process = connection.execute("SELECT pg_backend_pid()").fetchone()
        for number in (1, 2):
            asked = connection.execute("SELECT %s::int", [number], prepare=True)
            assert asked.fetchone() == (number,)
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1/%s::int", [0], prepare=True)
        front.away()
        until(lambda: processes(front.server) == 0)
        front.up()
        assert connection.execute("SELECT %s::int", [3], prepare=True).fetchone() == (3,)
        assert connection.execute("SELECT pg_backend_pid()").fetchone() != process


def test_who_is_in_a_transaction_or_has_a_state_of_its_own_is_disconnected(front):
    transaction, pinned, listening = front.connect(), front.connect(), front.connect()
    transaction.execute("BEGIN")
    pinned.execute("SET work_mem = '8MB'")
    listening.execute("LISTEN news")
    front.away()
    for each in (transaction, pinned, listening):
        with pytest.raises(psycopg.OperationalError, match="closed the connection unexpectedly"):
            one(each)
    front.up()
    with front.connect() as again:
        assert one(again)


def test_a_request_waits_until_the_database_is_back(front):
    connection = front.connect()
    front.away()
    with ThreadPoolExecutor(2) as beside:
        old, new = beside.submit(one, connection), beside.submit(front.connect)
        until(lambda: len(front.proxy._sessions) == 2)
        assert not old.done()
        front.up()
        assert old.result(30)
        with new.result(30) as made:
            assert one(made)


def test_it_fails_when_it_has_waited_for_the_borrow_timeout(impatient):
    connection = impatient.connect()
    impatient.away()
    began = time.monotonic()
    with pytest.raises(psycopg.errors.ConnectionException, match=TIMED_OUT) as caught:
        one(connection)
    assert caught.value.sqlstate == "08000"
    assert time.monotonic() - began >= 0.3
    assert impatient.refusal() == TIMED_OUT
    assert impatient.refusal(password="x").startswith("The password")  # that needs no database


def test_a_restart_of_the_server_is_not_seen_by_who_asks_nothing(front):
    """It says goodbye to the sessions, which the client must not read as an answer."""
    with front.connect() as connection:
        assert one(connection)
        front.server.stop()
        until(lambda: not front.borrowed)
        with ThreadPoolExecutor(1) as beside:
            answer = beside.submit(one, connection)
            front.server.start()
            front.server.wait_until_ready()
            assert answer.result(30)


def test_a_statement_that_hangs_with_the_server_ends_when_the_proxy_sees_it(front):
    connection, waiting = front.connect(), front.connect()
    assert one(waiting)
    with frozen(front.server), ThreadPoolExecutor(1) as beside:
        hangs = beside.submit(one, connection)
        until(lambda: any(each._requests.busy for each in front.proxy._sessions.values()))
        front.away()
        with pytest.raises(psycopg.OperationalError):
            hangs.result(30)
    with ThreadPoolExecutor(1) as beside:
        again = beside.submit(one, waiting)
        front.up()
        assert again.result(30)


@contextlib.contextmanager
def frozen(server):
    """As without the key of its storage, and back."""
    process = [server.postmaster.pid]
    freeze_trees(process)
    try:
        yield
    finally:
        thaw_trees(process)


def test_closing_it_ends_every_session_whatever_it_waits_for(proxies, server):
    its = Front(proxies, server)
    open_one = its.connect()
    silent = socket.create_connection((its.host, server.port), 30)
    its.away()
    with ThreadPoolExecutor(1) as beside:
        waits = beside.submit(its.connect)
        until(lambda: len(its.proxy._sessions) == 3)
        its.proxy.close()
        its.proxy.close()
        with pytest.raises(psycopg.OperationalError):
            waits.result(30)
    with pytest.raises(psycopg.OperationalError):
        one(open_one)
    with contextlib.suppress(ConnectionResetError):
        assert silent.recv(10) == b""
    silent.close()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        its.connect()
