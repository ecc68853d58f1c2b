"""One PostgreSQL server: its data directory, its addresses, its processes."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from chaosaws_kms_lab.data_plane.binaries import Binaries
from chaosaws_kms_lab.data_plane.tls_proxy import TlsProxy
from chaosaws_kms_lab.private_files import make_passable, open_private
from chaosaws_kms_lab.processes import free_shared_memory, kill_trees

__all__ = ["OWN_DATABASE", "SUPERUSER", "Postgres", "ServerFailed", "proxied_address"]

SUPERUSER = "rdsadmin"
"""As on RDS only the service uses it; it connects by a socket that only the lab can reach."""

OWN_DATABASE = "template1"
"""The database of the lab's own sessions: every cluster has it, and no user can drop it."""

CLOSE_GRACE = 1.0
"""Seconds for clients to receive the last messages of a server that has ended."""

SOCKET = 103
"""Bytes that the path of a socket may have (unix(7) of macOS; 107 on Linux)."""

CONNECT_WITHIN = 10
"""Seconds for one connection of the lab's own."""

CONF = """\
shared_buffers = 16MB
max_connections = 100
# A killed process loses nothing that it has written; only a crash of the machine would.
fsync = off
full_page_writes = on
synchronous_commit = on
wal_level = replica
# As many readers as a cluster can have (15), one that is being made, and snapshots.
max_wal_senders = 24
min_wal_size = 32MB
max_wal_size = 128MB
wal_keep_size = 32MB
# A finished segment is never written again, so links are enough for the archive.
wal_recycle = off
wal_init_zero = off
# After a failover or a restart of its writer, a reader tries again soon.
wal_retrieve_retry_interval = 200ms
jit = off
max_parallel_workers = 0
max_worker_processes = 4
autovacuum_max_workers = 1
max_logical_replication_workers = 0
# In the data directory, so that it is removed with it after a kill.
dynamic_shared_memory_type = mmap
"""


HBA = f"""\
local all         {SUPERUSER} peer map=lab
local replication {SUPERUSER} peer map=lab
host  all         {SUPERUSER} all reject
host  replication all         all reject
host  all         all         127.0.0.0/8 scram-sha-256
"""
"""Who may connect, and how (PostgreSQL manual, "The pg_hba.conf File")."""

PROXIED = ("127.0.", "127.128.")
"""How a public address begins, and how that of the server behind its proxy."""


class ServerFailed(Exception):
    """Why a server, or work on its data, failed; one sentence."""


@dataclass
class Postgres:
    """One server; `settings`: PostgreSQL's, besides those that all servers share."""

    binaries: Binaries
    data: Path
    port: int
    addresses: tuple[str, ...] = ("127.0.0.1",)
    settings: Mapping[str, str] = field(default_factory=dict)
    tls: TlsProxy | None = None
    """The proxy on its addresses that ends TLS; the server itself then listens elsewhere."""
    postmaster: subprocess.Popen[bytes] | None = None
    stopping: bool = False
    """It was told to shut down, and may still run."""
    log_start: int = 0
    """Where in its log the last start begins (bytes)."""

    @property
    def listens(self) -> tuple[str, ...]:
        """Where the server itself takes connections."""
        return (proxied_address(self.addresses[0]),) if self.tls else self.addresses

    @property
    def conninfo(self) -> str:
        """libpq's connection string of the superuser."""
        return make_conninfo(
            host=str(self.socket), port=self.port, dbname=OWN_DATABASE, user=SUPERUSER
        )

    @property
    def source(self) -> str:
        """libpq's connection string for a server that replicates this one."""
        return make_conninfo(host=str(self.socket), port=self.port, user=SUPERUSER)

    @property
    def socket(self) -> Path:
        """The folder of its socket, which only the lab and its servers may enter.

        Its name is short, because the path of a socket must be (SOCKET).
        """
        name = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:8]
        return self.binaries.scratch / "run" / name

    def connected(self, database: str = OWN_DATABASE) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of the superuser that commits every statement.

        It does not depend on the settings of the database.
        """
        return psycopg.connect(
            self.conninfo,
            dbname=database,
            autocommit=True,
            connect_timeout=CONNECT_WITHIN,
            # search_path: nothing that a user has made is taken for PostgreSQL's own.
            options="-c default_transaction_read_only=off -c statement_timeout=0 "
            "-c search_path=pg_catalog",
        )

    @property
    def log(self) -> Path:
        """The server's log; outside its data directory, so that copies of that do not have it."""
        return self.data.with_name(f"{self.data.name}.log")

    @property
    def running(self) -> bool:
        """Whether its processes are there, ready or not, frozen or not."""
        postmaster = self.postmaster
        return postmaster is not None and postmaster.poll() is None

    def serves(self, data: Path, addresses: tuple[str, ...]) -> bool:
        """Whether it runs on this data and these addresses, and was not told to stop."""
        same = (self.data, self.addresses) == (data, addresses)
        return same and self.running and not self.stopping

    def initialise(self) -> None:
        """Makes an empty database cluster in `data`."""
        self.data.mkdir(mode=0o700)
        self.binaries.own(self.data)
        self.binaries.run(
            "initdb",
            "--pgdata",
            str(self.data),
            "--no-sync",
            "--wal-segsize=1",
            "--locale=C",
            "--encoding=UTF8",
            "--auth-local=peer",
            "--auth-host=scram-sha-256",
            f"--username={SUPERUSER}",
            "--no-instructions",
            cwd=self.data,
        )
        (self.data / "pg_hba.conf").write_text(HBA)
        mapped = "".join(f'lab "{name}" {SUPERUSER}\n' for name in self.binaries.accounts)
        (self.data / "pg_ident.conf").write_text(mapped)
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write(CONF)

    def start(self) -> None:
        """Starts the server, with crash recovery if it was killed; `ready` says when it is done."""
        settings = {
            "port": str(self.port),
            "listen_addresses": ",".join(self.listens),
            "unix_socket_directories": f'"{self.socket}"',
            **self.settings,
        }
        if len(os.fsencode(self.socket / ".s.PGSQL.65535")) > SOCKET:
            raise ServerFailed(f"{self.socket} is too long for a socket: set TMPDIR to a short one")
        shutil.rmtree(self.socket, ignore_errors=True)  # of a server that was killed
        make_passable(self.socket.parent, exist_ok=True)
        self.socket.mkdir(mode=0o700)
        self.binaries.own(self.socket)
        if self.tls:
            self.tls.open(self.addresses, self.port, self.listens[0])
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with open_private(self.log) as text:
            log = text.buffer
            log.seek(0, os.SEEK_END)
            self.stopping, self.log_start = False, log.tell()
            self.postmaster = self.binaries.start(
                "postgres", "-D", str(self.data), *arguments, cwd=self.data, stdout=log, stderr=log
            )

    def ready(self) -> bool:
        """Whether the server that was started last takes connections."""
        postmaster = self.postmaster  # another thread may be killing it
        if postmaster is None or postmaster.poll() is not None:
            return False
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(postmaster.pid) and lines[7].strip() == "ready"

    def wait_until_ready(self, timeout: float = 30) -> None:
        """Blocks until `ready`, at most `timeout` seconds."""
        end = time.monotonic() + timeout
        while not self.ready():
            if not self.running:
                raise ServerFailed(f"PostgreSQL ended at once: {self.last_error()}")
            if time.monotonic() > end:
                raise ServerFailed(f"PostgreSQL was not ready within {timeout:g} s")
            time.sleep(0.002)

    def kill(self, timeout: float = 5) -> None:
        """Kills all its processes, frozen or not: nothing is flushed, as in a crash."""
        self.close_proxy()
        if postmaster := self.postmaster:
            kill_trees([postmaster.pid], timeout)
            postmaster.wait(timeout)
            free_shared_memory(self.data)
            shutil.rmtree(self.socket, ignore_errors=True)
        self.postmaster = None

    def close_proxy(self, grace: float = 0.0) -> None:
        """Closes the TLS proxy, if any; for `grace` seconds sessions may end by themselves."""
        if self.tls:
            self.tls.close(grace)

    def shut_down(self) -> None:
        """Asks for a fast shutdown: sessions are ended, everything is flushed."""
        if postmaster := self.postmaster:
            self.stopping = True
            postmaster.send_signal(signal.SIGINT)

    def stop(self, timeout: float = 30) -> bool:
        """A fast shutdown, and after `timeout` seconds a kill; whether the shutdown was enough.

        True as well if the server did not run.
        """
        self.shut_down()
        ended = True
        if postmaster := self.postmaster:
            try:
                postmaster.wait(timeout)
            except subprocess.TimeoutExpired:
                ended = False
                self.kill()
            shutil.rmtree(self.socket, ignore_errors=True)
        self.postmaster = None
        self.close_proxy(CLOSE_GRACE)
        return ended

    def last_error(self) -> str:
        """The line of the log since the last start that says best why the server ended."""
        with self.log.open(errors="replace") as log:
            log.seek(self.log_start)
            lines = log.read().strip().splitlines()
        fatal = [line for line in lines if "FATAL" in line or "could not" in line]
        line = (fatal or lines or ["it said nothing"])[-1]
        return line[max(line.find("FATAL"), 0) :]


def proxied_address(address: str) -> str:
    """Where the server itself listens whose public address is behind a TLS proxy."""
    public, private = PROXIED
    assert address.startswith(public)
    return address.replace(public, private, 1)
