"""MySQL connections: their deadlines, TLS, passwords; against a real MariaDB and against liars."""

from __future__ import annotations

import socket
import struct
import threading
import time

import pytest
from pymysql import err

from chaosaws_kms_ext.loadgen import engines
from chaosaws_kms_ext.loadgen.engines.base import Cause
from chaosaws_kms_ext.loadgen.engines.mysql_connection import DeadlinePassed, MySQLConnection
from chaosaws_kms_ext.loadgen.engines.passfile import Line, Passfile
from chaosaws_kms_lab.data_plane.certificates import Certificates
from tests.support.mariadb import SECRET, SHOP, needs_mariadb, soon

MYSQL = engines.named("mysql")


@pytest.fixture
def connection(mariadb):
    with MySQLConnection(mariadb.database, soon()) as found:
        yield found


# Deadlines


@needs_mariadb()
def test_a_query_and_all_after_it_ends_at_the_deadline(connection):
    hung = []
    connection.on_hang = lambda its: hung.append((its, its.fileno() >= 0))
    connection.until = time.monotonic() + 0.2
    with pytest.raises(DeadlinePassed):
        connection.execute("SELECT SLEEP(60)")
    assert hung == [(connection, True)]  # told before it was closed
    assert connection.closed
    with pytest.raises(err.InterfaceError):
        connection.execute("SELECT 1")
    connection.close()
    assert len(hung) == 1


@needs_mariadb()
def test_a_session_whose_query_was_not_sent_before_the_deadline_does_not_hang(connection):
    hung = []
    connection.on_hang = hung.append
    connection.begin()
    connection.until = time.monotonic()
    with pytest.raises(DeadlinePassed):
        connection.commit()
    assert hung == []


@needs_mariadb()
def test_an_answer_that_trickles_in_for_ever_ends_at_the_deadline(connection):
    connection.until = time.monotonic() + 0.5
    many = "SELECT SLEEP(0.005), REPEAT('x', 999) FROM shop.seq_1_to_99999"
    with pytest.raises(DeadlinePassed):
        connection.execute(many)
    assert connection.closed


@needs_mariadb()
def test_a_frozen_server_ends_a_transaction_at_the_deadline_and_not_at_its_rollback(
    mariadb, connection
):
    try:
        with pytest.raises(DeadlinePassed), connection.transaction():
            mariadb.freeze()
            connection.until = time.monotonic() + 0.3
            connection.execute("SELECT 1")
        assert connection.closed
        with pytest.raises(DeadlinePassed) as caught:
            MySQLConnection(mariadb.database, time.monotonic() + 0.3)
        assert MYSQL.failure(caught.value, None).cause == Cause.HANG
    finally:
        mariadb.thaw()


@needs_mariadb()
def test_a_transaction_is_whole_or_not_at_all(mariadb, connection):
    connection.execute("CREATE TABLE shop.kept (a int)")
    with connection.transaction():
        connection.execute("INSERT INTO shop.kept VALUES (1)")
    with pytest.raises(ZeroDivisionError), connection.transaction():
        connection.execute("INSERT INTO shop.kept VALUES (2)")
        raise ZeroDivisionError
    assert connection.clean
    assert mariadb.run("SELECT a FROM kept") == [(1,)]


@needs_mariadb()
@pytest.mark.parametrize("left", ["BEGIN", "SET autocommit = 0"])
def test_a_connection_with_a_transaction_is_not_clean(connection, left):
    assert connection.clean
    connection.execute(left)
    assert not connection.clean


@needs_mariadb()
def test_a_session_that_is_killed_is_lost(mariadb, connection):
    mariadb.run(f"KILL {connection.thread_id()}")
    with pytest.raises(err.MySQLError) as caught:
        connection.execute("SELECT 1")
    assert MYSQL.failure(caught.value, connection).outcome == "lost"


# TLS


@needs_mariadb()
@pytest.mark.parametrize("mode", ["REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"])
def test_a_connection_has_tls_and_its_deadline(mariadb, mode):
    url = mariadb.url(mode=mode, more=f"&ssl-ca={mariadb.certificates.ca}")
    with MySQLConnection(url, soon()) as connection:
        (_, cipher) = connection.execute("SHOW STATUS LIKE 'Ssl_cipher'").fetchone()
        assert cipher
        connection.until = time.monotonic() + 0.2
        with pytest.raises(DeadlinePassed):
            connection.execute("SELECT SLEEP(60)")


@needs_mariadb()
@pytest.mark.parametrize(
    ("mode", "more", "said"),
    [
        ("VERIFY_CA", "", "certificate verify failed"),
        ("VERIFY_IDENTITY", "&ssl-ca={ca}&hostaddr=127.0.0.1", "certificate verify failed"),
        ("VERIFY_CA", "&ssl-ca=/nowhere.pem", "No such file"),
    ],
)
def test_a_server_that_is_not_the_one_is_not_spoken_with(mariadb, mode, more, said):
    url = mariadb.url(mode=mode, more=more.format(ca=mariadb.certificates.ca))
    if "hostaddr" in more:
        url = url.replace("@127.0.0.1", "@other.example")
    with pytest.raises(err.OperationalError, match=said) as caught:
        MySQLConnection(url, soon())
    assert MYSQL.hopeless(caught.value)


# Passwords


@needs_mariadb()
def test_the_password_comes_from_the_passfile_the_environment_or_the_option_file(
    mariadb, monkeypatch, tmp_path
):
    url = mariadb.url(SHOP)

    def logs_in(url=url):
        try:
            MySQLConnection(url, soon()).close()
        except err.OperationalError as problem:
            assert MYSQL.failure(problem, None).cause == Cause.DENIED
            return False
        return True

    assert not logs_in()
    (tmp_path / ".my.cnf").write_text(f'[client]\npassword="{SECRET}"\n', encoding="utf-8")
    assert logs_in()
    monkeypatch.setenv("MYSQL_PWD", "wrong")
    assert not logs_in()
    file = Passfile()
    with_file = mariadb.url(SHOP, more=f"&passfile={file.path}")
    assert not logs_in(with_file)
    file.write([Line(SHOP, "other", host="elsewhere"), Line(SHOP, SECRET, port=str(mariadb.port))])
    assert logs_in(with_file)
    monkeypatch.setenv("MYSQL_PWD", SECRET)
    assert logs_in()
    file.close()


GREETING = (
    b"\x0a8.0.0\0" + struct.pack("<I", 1) + b"12345678\0" + struct.pack("<H", 0xFFFF)
    + b"\x2d\x02\0" + struct.pack("<H", 0x81FF) + b"\x15" + b"\0" * 10 + b"123456789012\0"
    + b"mysql_native_password\0"
)  # fmt: skip
"""Of a server with TLS (MySQL's documentation, "Protocol::HandshakeV10")."""
WITHOUT_TLS = GREETING.replace(struct.pack("<H", 0xFFFF), struct.pack("<H", 0xF7FF))


@pytest.mark.parametrize("plugin", [b"mysql_clear_password", b"dialog"])
def test_no_password_goes_over_the_wire_in_the_clear(monkeypatch, plugin):
    monkeypatch.setenv("MYSQL_PWD", "the-secret")
    got = []

    def lie(server):
        with server.accept()[0] as client:
            client.sendall(packet(0, GREETING))
            got.append(client.recv(4096))
            switch = b"\xfe" + plugin + b"\0\x02Password: "
            client.sendall(packet(2, switch))
            got.append(client.recv(4096))

    with socket.create_server(("127.0.0.1", 0)) as server:
        liar = threading.Thread(target=lie, args=(server,))
        liar.start()
        port = server.getsockname()[1]
        with pytest.raises(err.OperationalError, match="in the clear"):
            MySQLConnection(f"mysql://app@127.0.0.1:{port}/?ssl-mode=DISABLED", soon())
        liar.join(20)
    assert b"app" in got[0]
    assert b"the-secret" not in b"".join(got)


def packet(number, payload):
    return struct.pack("<I", len(payload))[:3] + bytes([number]) + payload


OK = b"\0\0\0\x02\0\0\0"


def test_a_token_of_iam_is_sent_as_it_is_over_tls(tmp_path):
    """RDS asks for it by mysql_clear_password (RDS User Guide, "IAM database authentication")."""
    tls = Certificates.make(tmp_path / "tls", ["127.0.0.1"])
    token = "orders.example:3306/?Action=connect&X-Amz-Signature=" + "a" * 1500
    file = Passfile()
    file.write([Line("app", token)])
    got = []

    def answer(server):
        with server.accept()[0] as plain:
            plain.sendall(packet(0, GREETING))
            got.append(plain.recv(36))
            with tls.context().wrap_socket(plain, server_side=True) as client:
                client.recv(4096)
                client.sendall(packet(3, b"\xfemysql_clear_password\0"))
                got.append(client.recv(4096))
                client.sendall(packet(5, OK))
                client.recv(4096)  # SET NAMES
                client.sendall(packet(1, OK))
                client.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as server:
        rds = threading.Thread(target=answer, args=(server,))
        rds.start()
        at = f"127.0.0.1:{server.getsockname()[1]}"
        more = f"ssl-mode=VERIFY_IDENTITY&ssl-ca={tls.ca}&passfile={file.path}"
        with MySQLConnection(f"mysql://app@{at}/?{more}", soon()) as connection:
            assert connection.clean
        rds.join(20)
    file.close()
    assert b"app" not in got[0]
    assert got[1] == packet(4, token.encode() + b"\0")


def test_a_server_without_tls_gets_no_user_and_no_password(monkeypatch):
    monkeypatch.setenv("MYSQL_PWD", "the-secret")
    got = []

    def lie(server):
        with server.accept()[0] as client:
            client.sendall(packet(0, WITHOUT_TLS))
            got.append(client.recv(4096))

    with socket.create_server(("127.0.0.1", 0)) as server:
        liar = threading.Thread(target=lie, args=(server,))
        liar.start()
        port = server.getsockname()[1]
        with pytest.raises(err.OperationalError, match=r"no TLS|SSL is required") as caught:
            MySQLConnection(f"mysql://app@127.0.0.1:{port}/", soon())
        liar.join(20)
    assert MYSQL.hopeless(caught.value)
    assert got == [b""]


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\0", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x01\0\0\0\x0a", bytes(range(64))],
)
def test_what_is_no_mysql_is_an_error_of_the_drivers(garbage):
    def lie(server):
        with server.accept()[0] as client:
            client.sendall(garbage)

    with socket.create_server(("127.0.0.1", 0)) as server:
        liar = threading.Thread(target=lie, args=(server,))
        liar.start()
        with pytest.raises(err.MySQLError) as caught:
            MySQLConnection(f"mysql://app@127.0.0.1:{server.getsockname()[1]}/", soon(5))
        liar.join(20)
    assert MYSQL.failure(caught.value, None).outcome in ("lost", "timeout")
    assert MYSQL.words(caught.value)


def test_a_second_answer_that_cannot_be_read_is_an_error_of_the_drivers():
    fine, more = (b"\0\0\0" + struct.pack("<HH", status, 0) for status in (2, 2 | 8))

    def lie(server):
        with server.accept()[0] as client:
            client.sendall(packet(0, WITHOUT_TLS))
            client.recv(4096)
            client.sendall(packet(2, fine))
            while b"START" not in client.recv(4096):
                client.sendall(packet(1, fine))
            client.sendall(packet(1, more) + packet(2, b"\x01") + packet(3, b"\x03def"))
            client.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as server:
        liar = threading.Thread(target=lie, args=(server,))
        liar.start()
        url = f"mysql://app@127.0.0.1:{server.getsockname()[1]}/?ssl-mode=DISABLED"
        connection = MySQLConnection(url, soon(5))
        with pytest.raises(err.MySQLError) as caught:
            MYSQL.write(connection, 1, 1, 1)
        liar.join(20)
    assert connection.closed
    assert MYSQL.failure(caught.value, connection).outcome == "lost"


# Who is there


def test_what_is_not_there_says_how(monkeypatch):
    def cause(port, host="127.0.0.1", seconds=5.0):
        with pytest.raises(err.MySQLError) as caught:
            MySQLConnection(f"mysql://a@{host}:{port}/", time.monotonic() + seconds)
        return MYSQL.failure(caught.value, None).cause

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert cause(port, seconds=0.2) == Cause.HANG
    assert cause(port) == Cause.REFUSED
    assert cause(1, "nowhere.invalid") == Cause.NO_ADDRESS
    with socket.create_server(("127.0.0.1", 0)) as server:
        hangs_up = threading.Thread(target=lambda: server.accept()[0].close())
        hangs_up.start()
        assert cause(server.getsockname()[1]) == Cause.RESET
        hangs_up.join(20)
