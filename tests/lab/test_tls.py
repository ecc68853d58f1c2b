"""TLS before a real PostgreSQL: what clients see of it, while it runs, hangs and is gone."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import random
import resource
import shutil
import socket
import ssl
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import pq

from chaosaws_kms_lab.data_plane.binaries import Binaries
from chaosaws_kms_lab.data_plane.certificates import Certificates
from chaosaws_kms_lab.data_plane.ports import Ports
from chaosaws_kms_lab.data_plane.tls_proxy import TlsProxies
from chaosaws_kms_lab.processes import kill_everything_in
from tests.support.labs import scratch, until
from tests.support.postgres import Trusting

pytestmark = pytest.mark.thorough

PUBLIC, ALSO_PUBLIC, NOT_IN_THE_CERTIFICATE = "127.0.0.1", "127.0.0.2", "127.0.0.3"
PRIVATE = "127.255.0.1"

SSL_REQUEST = struct.pack("!II", 8, 80877103)
GSSENC_REQUEST = struct.pack("!II", 8, 80877104)

WAITS_OF = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = %s AND query LIKE"

HANGS = 0.5
"""Seconds after which what has not come is not coming; answers take some ms."""

LEAVES_IT_OPEN = """
import sys
import psycopg
from pathlib import Path
from chaosaws_kms_lab.data_plane.certificates import Certificates
from chaosaws_kms_lab.data_plane.tls_proxy import TlsProxies
folder, port, frozen = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "frozen"
certificates = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
proxies = TlsProxies(certificates.context())
proxy = proxies.new_proxy()
proxy.open(["127.0.0.1"], port, "127.255.0.1")
sessions = [psycopg.connect(f"host=127.0.0.1 port={port} user=postgres sslmode=require")
            for _ in range(3)]
if frozen:
    proxy.freeze()
print("done", flush=True)
"""


@pytest.fixture(scope="module")
def directory():
    made = Path(tempfile.mkdtemp(dir=scratch()))
    made.chmod(0o711)
    yield made
    kill_everything_in(made)
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def postgres(directory):
    """One server for all, at an address that no client knows."""
    server = Trusting(Binaries.find(directory), directory / "data", Ports().choose(), (PRIVATE,))
    server.initialise()
    server.start()
    server.wait_until_ready()
    server.trust()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def certificates(directory):
    return Certificates.make(directory / "tls", ["localhost", PUBLIC, ALSO_PUBLIC])


@pytest.fixture(scope="module")
def proxies(certificates):
    made = TlsProxies(certificates.context())
    yield made
    made.close()


@pytest.fixture
def proxy(proxies, postgres):
    made = proxies.new_proxy()
    made.open([PUBLIC, ALSO_PUBLIC, NOT_IN_THE_CERTIFICATE], postgres.port, PRIVATE)
    yield made
    made.close()


@pytest.fixture
def connect(proxy, postgres, certificates):
    """Connects as a careful client does; what it leaves open is closed at the end."""
    with contextlib.ExitStack() as opened:

        def connected(**params):
            given = {
                "host": PUBLIC, "port": postgres.port, "user": "postgres", "connect_timeout": 30,
                "sslmode": "verify-full", "sslrootcert": certificates.ca, "autocommit": True,
            }  # fmt: skip
            connection = psycopg.connect(**given | params)
            opened.callback(connection.close)
            return connection

        yield connected


@pytest.fixture
def bare(proxy, postgres):
    """A plain connection, before anything was said."""
    with contextlib.ExitStack() as opened:

        def connected(host=PUBLIC):
            made = socket.create_connection((host, postgres.port), timeout=30)
            return opened.enter_context(made)

        yield connected


@pytest.fixture
def spoken(bare, certificates):
    """A session made by hand: under TLS, and after its first ReadyForQuery."""
    strict = ssl.create_default_context(cafile=str(certificates.ca))
    strict.verify_flags |= ssl.VERIFY_X509_STRICT  # the default since Python 3.13

    def made(context=strict):
        client = bare()
        client.sendall(SSL_REQUEST)
        assert client.recv(1) == b"S"
        tls = context.wrap_socket(client, server_hostname=PUBLIC)
        tls.sendall(startup(user="postgres", database="postgres"))
        said = b""
        while not said.endswith(b"Z\0\0\0\5I"):
            said += tls.recv(65536)
        tls.secret = said[-14:-6]  # of BackendKeyData, the message before
        return tls

    return made


def startup(**parameters):
    pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items())
    return struct.pack("!II", 8 + len(pairs) + 1, 3 << 16) + pairs + b"\0"


def query(statement):
    text = statement.encode() + b"\0"
    return b"Q" + struct.pack("!I", 4 + len(text)) + text


def direct(postgres, statement, *params):
    """The first value that the server itself answers, asked past the proxy."""
    with psycopg.connect(postgres.conninfo, autocommit=True, connect_timeout=30) as connection:
        cursor = connection.execute(statement, params)
        return cursor.fetchone()[0] if cursor.description else None


def ends(client):
    """Waits for the end of a connection; what was said until then."""
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := client.recv(65536):
            said += chunk
    return said


def silent(client):
    client.settimeout(HANGS)
    with pytest.raises(TimeoutError):
        client.recv(1)


def below_tls(client):
    """The same connection; what is under TLS takes a reset for an end."""
    plain = socket.socket(fileno=os.dup(client.fileno()))
    plain.settimeout(30)
    return plain


def tls_psql():
    """PostgreSQL's own client, if there is one that was built with TLS."""
    for path in filter(None, [shutil.which("psql"), *map(str, SYSTEM_PSQLS)]):
        asked = subprocess.run(
            [path, "host=127.0.0.1 port=9 sslmode=require"], capture_output=True, text=True
        )
        if "not compiled in" not in asked.stderr:
            return path
    return None


SYSTEM_PSQLS = sorted(Path("/usr/lib/postgresql").glob("*/bin/psql"))


# What a client sees


def test_a_client_that_verifies_everything_connects_under_tls_1_3(connect, spoken):
    connection = connect()
    assert connection.pgconn.ssl_in_use
    assert connection.execute("SELECT 1 + 1").fetchone() == (2,)
    assert connect(host="localhost", hostaddr=PUBLIC).pgconn.ssl_in_use
    assert connect(host=ALSO_PUBLIC).pgconn.ssl_in_use
    assert spoken().version() == "TLSv1.3"


def test_psql_connects_under_tls_1_3(proxy, postgres, certificates):
    psql = tls_psql()
    if psql is None:
        pytest.skip("no psql here was built with TLS")
    said = subprocess.run(
        [
            psql, f"host={PUBLIC} port={postgres.port} user=postgres connect_timeout=5 "
            f"sslmode=verify-full sslrootcert={certificates.ca}",
            "-XAtc", r"\conninfo", "-c", "SELECT 6 * 7",
        ],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert said.stderr == ""
    assert "TLSv1.3" in said.stdout
    assert said.stdout.splitlines()[-1] == "42"


def test_a_client_refuses_another_authority(connect, tmp_path):
    other = Certificates.make(tmp_path / "other", [PUBLIC])
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        connect(sslrootcert=other.ca)


def test_a_client_refuses_an_address_that_the_certificate_does_not_have(connect):
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        connect(host=NOT_IN_THE_CERTIFICATE)
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        connect(host="elsewhere", hostaddr=PUBLIC)
    assert connect(host=NOT_IN_THE_CERTIFICATE, sslmode="verify-ca").pgconn.ssl_in_use


def test_a_client_without_tls_is_refused_as_by_rds_force_ssl(connect, bare):
    said = f'FATAL:  no pg_hba.conf entry for host "{PUBLIC}", user "app", database "shop", '
    with pytest.raises(psycopg.OperationalError, match=f"{said}no encryption"):
        connect(sslmode="disable", user="app", dbname="shop")
    client = bare()
    client.sendall(startup(user="app"))
    answer = ends(client)
    assert answer[:1] == b"E"
    assert struct.unpack("!I", answer[1:5])[0] == len(answer) - 1
    fields = {field[:1]: field[1:] for field in answer[5:-2].split(b"\0")}
    assert (fields[b"S"], fields[b"V"], fields[b"C"]) == (b"FATAL", b"FATAL", b"28000")
    assert b'database "app"' in fields[b"M"]


@pytest.mark.parametrize("mode", ["allow", "prefer", "require"])
def test_a_client_that_does_not_insist_gets_tls_all_the_same(connect, mode):
    assert connect(sslmode=mode).pgconn.ssl_in_use


@pytest.mark.skipif(pq.version() < 170000, reason="libpq learned it in version 17")
def test_a_client_that_begins_with_tls_need_not_ask(connect):
    connection = connect(sslnegotiation="direct")
    assert connection.execute("SELECT 2").fetchone() == (2,)


def test_tls_without_asking_has_to_name_the_protocol(bare, certificates):
    context = ssl.create_default_context(cafile=str(certificates.ca))
    tls = context.wrap_socket(bare(), server_hostname=PUBLIC)
    assert ends(tls) == b""


def test_an_older_tls_is_refused(bare, certificates):
    context = ssl.create_default_context(cafile=str(certificates.ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    client = bare()
    client.sendall(SSL_REQUEST)
    assert client.recv(1) == b"S"
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        context.wrap_socket(client, server_hostname=PUBLIC)


def test_gss_encryption_is_declined_and_tls_may_follow(bare):
    client = bare()
    client.sendall(GSSENC_REQUEST)
    assert client.recv(1) == b"N"
    client.sendall(SSL_REQUEST)
    assert client.recv(1) == b"S"


def test_a_running_query_can_be_cancelled(connect, postgres):
    connection = connect()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(connection.execute, "SELECT pg_sleep(60) AS halted")
        until(lambda: direct(postgres, f"{WAITS_OF} '%% AS halted%%'", "PgSleep") == 1)
        connection.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            running.result(60)
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_query_can_be_cancelled_in_the_clear_as_clients_before_version_17_do(
    spoken, bare, postgres
):
    session, canceller = spoken(), bare()
    session.sendall(query("SELECT pg_sleep(30) AS cancelled"))
    until(lambda: direct(postgres, f"{WAITS_OF} '%% AS cancelled%%'", "PgSleep") == 1)
    session.settimeout(20)
    canceller.sendall(struct.pack("!II", 16, 80877102) + session.secret)
    assert ends(canceller) == b""
    assert b"C57014\0" in session.recv(65536)


def test_errors_of_the_server_come_through(connect):
    with pytest.raises(psycopg.OperationalError, match='database "nowhere" does not exist'):
        connect(dbname="nowhere")
    with pytest.raises(psycopg.errors.DivisionByZero):
        connect().execute("SELECT 1 / 0")


# What is passed on


def test_20_mb_come_through_unchanged_both_ways(connect):
    lines = [random.randbytes(500).hex() for _ in range(20_000)]
    sent = "".join(f"{line}\n" for line in lines).encode()
    connection = connect()
    connection.execute("CREATE TEMPORARY TABLE much (line text)")
    with connection.cursor().copy("COPY much FROM STDIN") as copy:
        copy.write(sent)
    got = hashlib.sha256()
    with connection.cursor().copy("COPY much TO STDOUT") as copy:
        for chunk in copy:
            got.update(chunk)
    assert len(sent) == 20_020_000
    assert got.hexdigest() == hashlib.sha256(sent).hexdigest()


def test_a_client_that_does_not_read_holds_up_its_server_and_nobody_else(connect, spoken, postgres):
    memory = psutil.Process().memory_info().rss
    slow = spoken()
    slow.sendall(query("SELECT repeat('x', 10000) AS slow FROM generate_series(1, 20000)"))
    until(lambda: direct(postgres, f"{WAITS_OF} '%% AS slow%%'", "ClientWrite") == 1)
    assert connect().execute("SELECT 3").fetchone() == (3,)
    assert psutil.Process().memory_info().rss - memory < 50e6
    read = 0
    while read < 200_000_000:
        read += len(slow.recv(1 << 20))


def test_a_server_that_does_not_read_holds_up_its_client(spoken):
    memory = psutil.Process().memory_info().rss
    client = spoken()
    client.sendall(query("SELECT pg_sleep(30)"))
    client.settimeout(HANGS)
    sent, more = 0, query(f"SELECT '{'x' * 100_000}'")
    with pytest.raises(TimeoutError):
        while sent < 200_000_000:
            client.sendall(more)
            sent += len(more)
    assert psutil.Process().memory_info().rss - memory < 50e6


def test_a_client_that_has_said_all_still_gets_its_answer(spoken):
    client = spoken()
    client.sendall(query("SELECT 'late' || pg_sleep(0.3)"))
    with below_tls(client) as plain:
        plain.shutdown(socket.SHUT_WR)
    assert b"late" in ends(client)


def test_sessions_run_side_by_side(connect):
    def session(number):
        connection = connect()
        return [
            connection.execute("SELECT %s::int * 1000 + %s", (number, turn)).fetchone()[0]
            for turn in range(300)
        ]

    with ThreadPoolExecutor(8) as pool:
        for number, answers in enumerate(pool.map(session, range(8))):
            assert answers == [number * 1000 + turn for turn in range(300)]


# Its server's end


def test_a_session_that_the_server_ends_is_told_why(connect, postgres):
    connection = connect()
    pid = connection.execute("SELECT pg_backend_pid()").fetchone()[0]
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(connection.execute, "SELECT pg_sleep(60) AS ended")
        until(lambda: direct(postgres, f"{WAITS_OF} '%% AS ended%%'", "PgSleep") == 1)
        direct(postgres, "SELECT pg_terminate_backend(%s)", pid)
        with pytest.raises(psycopg.errors.AdminShutdown):
            running.result(60)


def test_a_front_that_is_closed_with_grace_lets_the_server_end_its_sessions(
    connect, proxy, postgres
):
    said = []

    def session(connection):
        try:
            connection.execute("SELECT pg_sleep(30) AS told")
        except psycopg.OperationalError as problem:
            said.append(type(problem))

    threads = [threading.Thread(target=session, args=(connect(),)) for _ in range(20)]
    for thread in threads:
        thread.start()
    until(lambda: direct(postgres, f"{WAITS_OF} '%% AS told%%'", "PgSleep") == 20)
    closing = threading.Thread(target=proxy.close, args=(20,))
    closing.start()
    closing.join(HANGS)
    assert closing.is_alive()
    assert said == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((PUBLIC, postgres.port), timeout=2)
    assert postgres.stop()
    for thread in (closing, *threads):
        thread.join(60)
        assert not thread.is_alive()
    postgres.start()
    postgres.wait_until_ready()
    assert said == [psycopg.errors.AdminShutdown] * 20


def test_grace_ends(connect, proxy):
    connection = connect()
    began = time.monotonic()
    proxy.close(grace=HANGS)
    assert HANGS <= time.monotonic() - began < HANGS + 20
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")


def test_without_its_server_a_connection_is_closed(proxies, connect, bare, certificates):
    port = Ports().choose()
    lonely = proxies.new_proxy()
    lonely.open([PUBLIC], port, PRIVATE)
    try:
        with pytest.raises(psycopg.OperationalError, match="closed the connection"):
            connect(port=port)
    finally:
        lonely.close()


# Freezing


def test_frozen_nothing_is_answered_or_passed_on_until_it_is_closed(
    connect, proxy, bare, spoken, postgres
):
    direct(postgres, "DROP TABLE IF EXISTS kept")
    direct(postgres, "CREATE TABLE kept (name text)")
    waiting, greeting, idle = spoken(), bare(), spoken()
    holding = psycopg.connect(postgres.conninfo, autocommit=True)
    holding.execute("SELECT pg_advisory_lock(1)")
    waiting.sendall(query("SELECT pg_advisory_lock(1) AS waiting"))
    until(lambda: direct(postgres, f"{WAITS_OF} '%% AS waiting%%'", "advisory") == 1)
    proxy.freeze()
    holding.close()  # so the server answers
    idle.sendall(query("INSERT INTO kept VALUES ('frozen')"))
    greeting.sendall(SSL_REQUEST)
    late = bare()  # the kernel takes it
    late.sendall(SSL_REQUEST)
    for client in (waiting, greeting, idle, late):
        silent(client)
    assert direct(postgres, "SELECT count(*) FROM kept") == 0
    began = time.monotonic()
    with pytest.raises(psycopg.OperationalError, match="timeout"):
        connect(connect_timeout=2)
    assert time.monotonic() - began >= 2
    proxy.close()
    for client in (waiting, greeting, idle, late):
        with below_tls(client) as plain, pytest.raises(ConnectionResetError):
            plain.recv(1)
    assert direct(postgres, "SELECT count(*) FROM kept") == 0


def test_a_hung_session_hears_of_the_end_at_once(connect, proxy):
    connection = connect()
    proxy.freeze()
    heard = []

    def hang():
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        heard.append(time.monotonic())

    hung = threading.Thread(target=hang)
    hung.start()
    hung.join(HANGS)
    assert hung.is_alive()
    closed = time.monotonic()
    proxy.close()
    hung.join(60)
    assert heard[0] >= closed
    with pytest.raises(psycopg.OperationalError, match="Connection refused"):
        connect()


def test_under_load_no_answer_comes_after_a_freeze(connect, proxy):
    """What the kernel already had may still be read: at most one answer a session."""
    answered, connections = [0] * 8, [connect() for _ in range(8)]

    def session(number):
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                connections[number].execute("SELECT 1")
                answered[number] += 1

    threads = [threading.Thread(target=session, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    until(lambda: min(answered) > 20)
    proxy.freeze()
    frozen = list(answered)
    time.sleep(HANGS)
    assert all(now - then <= 1 for now, then in zip(answered, frozen, strict=True))
    proxy.close()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


# Its own end, and others'


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
def test_a_hundred_connections_are_reset_at_once(connect, bare, proxy, postgres, frozen):
    connections = [connect() for _ in range(80)]
    others = [bare() for _ in range(20)]
    if frozen:
        proxy.freeze()
    began = time.monotonic()
    proxy.close()
    took = time.monotonic() - began
    for client in others:
        assert ends(client) == b""
    for connection in connections:
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    for address in (PUBLIC, ALSO_PUBLIC, NOT_IN_THE_CERTIFICATE):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, postgres.port), timeout=2)
    assert took < 10  # one after the other they would take HANGS each
    proxy.close()
    proxy.freeze()  # there is nothing to freeze


def test_an_address_that_is_taken_is_said_and_the_others_are_given_back(proxies):
    port = Ports().choose()
    proxy = proxies.new_proxy()
    with socket.create_server((ALSO_PUBLIC, port)):
        with pytest.raises(OSError, match="in use"):
            proxy.open([PUBLIC, ALSO_PUBLIC], port, PRIVATE)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((PUBLIC, port), timeout=2)
    proxy.open([PUBLIC, ALSO_PUBLIC], port, PRIVATE)
    proxy.close()


def test_thirty_lives_leave_no_descriptor_and_no_thread(postgres, certificates):
    def life(freeze):
        proxy.open([PUBLIC, ALSO_PUBLIC], postgres.port, PRIVATE)
        connections = [psycopg.connect(conninfo, autocommit=True) for _ in range(3)]
        assert connections[0].execute("SELECT 1").fetchone() == (1,)
        greeting = socket.create_connection((PUBLIC, postgres.port))
        if freeze:
            proxy.freeze()
        proxy.close()
        for connection in connections:
            connection.close()
        greeting.close()

    conninfo = f"host={PUBLIC} port={postgres.port} user=postgres sslmode=require"
    process = psutil.Process()
    before = process.num_fds(), threading.active_count()
    proxies = TlsProxies(certificates.context())
    proxy = proxies.new_proxy()
    life(freeze=False)
    inside = process.num_fds(), threading.active_count()
    for number in range(30):
        life(freeze=number % 2 == 0)
    # Fewer: what an earlier test has closed may still have been there.
    until(lambda: process.num_fds() <= inside[0])
    until(lambda: threading.active_count() <= inside[1])
    proxies.close()
    proxies.close()
    until(lambda: process.num_fds() <= before[0])
    until(lambda: threading.active_count() <= before[1])


def test_clients_that_misbehave_or_go_away_leave_nothing(
    connect, bare, proxy, caplog, capfd, certificates
):
    caplog.set_level(logging.INFO)
    context = ssl.create_default_context(cafile=str(certificates.ca))
    process = psutil.Process()
    before = process.num_fds()
    openings = [
        b"",
        b"\0",
        SSL_REQUEST[:5],
        SSL_REQUEST,
        GSSENC_REQUEST,
        b"GET / HTTP/1.1\r\n\r\n",
        SSL_REQUEST + b"\x16\x03\x01\x02",
        SSL_REQUEST + bytes(3000),
        bytes(20000),
        b"\xff" * 9,
        struct.pack("!II", 1 << 30, 3 << 16),
        struct.pack("!II", 100, 3 << 16),
        struct.pack("!II", 0, 3 << 16),
        struct.pack("!II", 16, 80877102),
        startup(),
        struct.pack("!IIII", 16, 80877102, 1, 1),
        struct.pack("!II", 8, 2 << 16),
    ]
    for reset in (False, True):
        for opening in openings:
            client = bare()
            with contextlib.suppress(OSError):
                client.sendall(opening)
            if reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        client = bare()
        client.sendall(SSL_REQUEST)
        client.recv(1)
        tls = context.wrap_socket(client, server_hostname=PUBLIC)
        tls.close()
    until(lambda: process.num_fds() <= before)
    assert connect().execute("SELECT 1").fetchone() == (1,)
    assert caplog.records == []
    assert capfd.readouterr().err == ""


def test_who_does_not_get_under_tls_in_time_is_let_go(postgres, certificates):
    proxies = TlsProxies(certificates.context(), authentication_timeout=HANGS)
    proxy = proxies.new_proxy()
    proxy.open([PUBLIC], postgres.port, PRIVATE)

    def in_time():
        with contextlib.suppress(psycopg.OperationalError):
            return psycopg.connect(
                f"host={PUBLIC} port={postgres.port} user=postgres sslmode=require"
            )

    try:
        for opening in (b"", SSL_REQUEST):
            began = time.monotonic()
            with socket.create_connection((PUBLIC, postgres.port), timeout=30) as client:
                client.sendall(opening)
                ends(client)
                assert time.monotonic() - began > HANGS
        with until(in_time) as connection:
            connection.execute("SELECT pg_sleep(%s)", (2 * HANGS,))
    finally:
        proxies.close()


def test_without_descriptors_clients_wait_and_it_does_not_spin(proxy, bare, caplog):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    spare = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, hard))
    try:
        for _ in range(10):  # threads of earlier tests may still be closing theirs
            with contextlib.suppress(OSError):
                while True:
                    spare.append(os.dup(0))
            time.sleep(0.03)
        os.close(spare.pop())
        client = bare()  # takes the last one
        client.sendall(SSL_REQUEST)
        silent(client)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in spare:
            os.close(descriptor)
    client.settimeout(60)
    assert client.recv(1) == b"S"
    assert 1 <= len(caplog.records) <= 20


@pytest.mark.parametrize("state", ["open", "frozen"])
def test_a_program_that_just_ends_says_nothing(certificates, postgres, state):
    folder = certificates.ca.parent
    ended = subprocess.run(
        [sys.executable, "-c", LEAVES_IT_OPEN, folder, str(postgres.port), state],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert ended.returncode == 0
    assert ended.stdout == "done\n"
    assert ended.stderr == ""


# The files


def test_the_key_is_for_its_owner_only_and_the_authority_for_everyone(tmp_path):
    umask = os.umask(0o077)
    try:
        made = Certificates.make(tmp_path / "tls", ["localhost"])
    finally:
        os.umask(umask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in made.ca.parent.iterdir()}
    assert modes == {"ca.pem": 0o644, "server.pem": 0o644, "server.key": 0o600}
    assert stat.S_IMODE(made.ca.parent.stat().st_mode) == 0o755
