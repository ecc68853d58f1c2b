"""A MariaDB of the tests' own, to be frozen and killed directly: Debian's `mariadb-server-core`."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pymysql
import pytest

from chaosaws_kms_lab.data_plane.certificates import Certificates
from chaosaws_kms_lab.processes import kill_everything_in
from tests.support.labs import scratch, until
from tests.support.postgres import free_port

NEEDED = "needs mariadbd, as of Debian's package mariadb-server-core"

SHARES = (Path("/usr/share/mysql"), Path("/usr/share/mariadb"))

SMALL = (
    "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M", "--innodb-undo-tablespaces=0",
    "--performance-schema=OFF", "--skip-log-bin", "--aria-pagecache-buffer-size=1M",
    "--key-buffer-size=1M",
)  # fmt: skip

ROOT, SHOP, SECRET = "root", "shop", "first: of \\ all é"
"""A user without a password, one with it, and that."""


def _program() -> str | None:
    return shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin")


def _scripts() -> list[Path]:
    """What makes the tables of the server itself, in order; MariaDB 11 has renamed them."""
    for share in SHARES:
        for name in ("mysql", "mariadb"):
            found = [
                share / f"{name}_system_tables.sql",
                share / f"{name}_system_tables_data.sql",
            ]
            if all(path.exists() for path in found):
                return found
    return []


class MariaDB:
    """A server on the loopback interface, which ends with the tests at the latest."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.data, self.port = folder, folder / "data", port
        self.process: subprocess.Popen[bytes] | None = None
        self.certificates = Certificates.make(folder / "tls", ["localhost", "127.0.0.1"])

    def url(self, user: str = ROOT, name: str = "", mode: str = "DISABLED", more: str = "") -> str:
        return f"mysql://{user}@127.0.0.1:{self.port}/{name}?ssl-mode={mode}{more}"

    @property
    def database(self) -> str:
        return self.url()

    def initialise(self) -> None:
        """As mariadb-install-db does it, which Debian has in another package."""
        self.data.mkdir()
        words = ["create database mysql;", "use mysql;", "SET @auth_root_socket=NULL;"]
        tables, data = (path.read_text() for path in _scripts())
        skip = "SET @skip_auth_anonymous=1;"
        users = [
            "FLUSH PRIVILEGES;",
            f"CREATE USER {SHOP} IDENTIFIED BY '{pymysql.converters.escape_string(SECRET)}';",
            f"GRANT ALL ON *.* TO {SHOP};",
            "CREATE DATABASE shop;",
        ]
        text = "\n".join([*words, tables, skip, data, *users, ""])
        subprocess.run(
            [*self._command(), "--bootstrap", "--skip-networking"],
            input=text.encode(), capture_output=True, check=True, timeout=60,
        )  # fmt: skip

    def _command(self) -> list[str]:
        program = _program()
        assert program
        return [
            program, "--no-defaults", f"--datadir={self.data}", "--user=root", *SMALL,
            "--character-set-server=utf8mb4",
        ]  # fmt: skip

    def start(self) -> None:
        tls = self.certificates
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *self._command(), f"--port={self.port}", "--bind-address=127.0.0.1",
                    f"--socket={self.folder / 'socket'}", f"--pid-file={self.folder / 'pid'}",
                    f"--ssl-ca={tls.ca}", f"--ssl-cert={tls.server}", f"--ssl-key={tls.key}",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def wait_until_ready(self) -> None:
        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            with contextlib.suppress(pymysql.MySQLError):
                self.connected().close()
                return True
            return False

        until(ready, 30)

    def connected(self, name: str = "") -> pymysql.Connection:
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user=ROOT, database=name or None, autocommit=True,
            ssl_disabled=True, connect_timeout=5, read_timeout=20,
        )  # fmt: skip

    def run(self, *statements: str, name: str = "shop") -> list[tuple]:
        """What the last one answers."""
        with contextlib.closing(self.connected(name)) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        until(lambda: _state(self.process.pid) == "T")

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    def restart(self) -> None:
        self.start()
        self.wait_until_ready()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def needs_mariadb() -> pytest.MarkDecorator:
    """Skips a test where there is no server."""
    return pytest.mark.skipif(_program() is None or not _scripts(), reason=NEEDED)


@contextlib.contextmanager
def a_mariadb():
    """A server that is gone afterwards; the reaper of the tests' folder ends it in any case."""
    folder = Path(tempfile.mkdtemp(dir=scratch()))
    server = MariaDB(folder, free_port())
    try:
        server.initialise()
        server.start()
        server.wait_until_ready()
        yield server
    finally:
        if server.process is not None:
            server.kill()
        kill_everything_in(folder)
        shutil.rmtree(folder, ignore_errors=True)
    assert not os.path.exists(folder)


def soon(seconds: float = 20.0) -> float:
    """An instant until which a test waits for a server that answers."""
    return time.monotonic() + seconds
