"""Brings about what is wanted of a cluster's servers: starts, clones, failovers, shutdowns.

A pass looks at what is and does what is missing. It is interrupted between two steps when all
servers are frozen, killed or stopped, and another pass begins wherever it was left.
"""

from __future__ import annotations

import contextlib
import logging
import math
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from chaosaws_kms_lab.data_misbehaviours import (
    LOSE_WRITES,
    NO_RECOVERY,
    OTHER_ADDRESS,
    SLOW_RECOVERY,
)
from chaosaws_kms_lab.data_plane.lost_rows import lose
from chaosaws_kms_lab.data_plane.members import ASIDE, READER, WRITERS, Interrupted, Member, Power
from chaosaws_kms_lab.data_plane.postgres import LAST_WORDS, Postgres, ServerFailed
from chaosaws_kms_lab.data_plane.volume import Volume
from chaosaws_kms_lab.private import passable
from chaosaws_kms_lab.world import DataMisbehaviour

__all__ = ["reconcile"]

logger = logging.getLogger(__name__)

STOP_WITHIN = 10.0
"""Seconds for a fast shutdown; then the server is killed, and crash recovery does the rest."""
START_WITHIN = 300.0
"""Seconds for a server to take connections, crash recovery included."""
FOLLOW_WITHIN = 120.0
"""Seconds for a reader that takes connections to follow its writer."""
CLONE_WITHIN = 1800.0
"""Seconds for a reader's first copy of the data."""
# A link is made whole or not at all, and costs no second copy (postgres.py: wal_recycle).
ARCHIVING = {
    "archive_mode": "on",
    "archive_command": "test -f ../wal/%f || ln %p ../wal/%f",
}
# A reader that fell further behind than its writer keeps log finds the rest in the archive.
FROM_ARCHIVE = {"restore_command": "test -f ../wal/%f && cp ../wal/%f %p"}


def reconcile(volume: Volume, epoch: int) -> None:
    """One pass over a volume's servers; raises `Interrupted` when they were stopped meanwhile."""
    _Reconciliation(volume, epoch).run()


@dataclass
class _Reconciliation:
    """One pass over a volume's servers."""

    volume: Volume
    epoch: int
    members: list[Member] = field(default_factory=list)
    """As they were at its beginning; for what changed since there is another pass."""

    def run(self) -> None:
        """Raises `Interrupted` when the servers were stopped in the meantime."""
        if self.volume.power is Power.GONE:
            return
        self._let_go()
        with self.volume.step(self.epoch):
            self.members = list(self.volume.members)
            power = self.volume.power
        if power is Power.OFF:
            self._stop(*self.members)
            self._tell("stopped")
        elif power is Power.ON and self.members:
            self._open()

    # Ends

    def _let_go(self) -> None:
        """Ends the servers whose instances are gone."""
        for member in list(self.volume.leaving):
            if self.volume.power is Power.FROZEN and member.server:
                member.server.kill()
            self._stop(member)
            self._discard_clone(member)
            with self.volume.step(self.epoch):
                self.volume.leaving.remove(member)
                if self.volume.front is member:
                    self.volume.front = None

    def _stop(self, *members: Member) -> None:
        running = [member for member in members if member.running]
        if any(member.clone is None for member in running):
            self._wait_for_jobs()
        with self.volume.step(self.epoch):
            for member in members:
                member.up = False
                if member.server:
                    member.server.shut_down()
        ended = self._wait(lambda: not any(m.running for m in running), STOP_WITHIN)
        for server in [member.server for member in members if member.server]:
            if ended:
                server.leave(LAST_WORDS)
            else:
                server.kill()

    def _discard_clone(self, member: Member) -> None:
        if member.clone:
            for path in (member.clone, _unfinished(member.clone)):
                shutil.rmtree(path, ignore_errors=True)

    # Starts

    def _open(self) -> None:
        failing_over = self._hand_over()
        writer = next(member for member in self.members if member.clone is None)
        readers = [member for member in self.members if member.clone]
        with self._blaming(writer):
            self._open_writer(writer)
        if not writer.up:
            for reader in readers:
                reader.failure = writer.failure
            return
        if failing_over:
            self.volume.tell("failed over")
        self._tell("ready")
        with self.volume.step(self.epoch):
            if self.volume.front not in readers:
                self.volume.front = readers[0] if readers else None
        for reader in readers:
            with self._blaming(reader):
                self._start_reader(reader, writer)
        for reader in readers:
            if reader.running:
                with self._blaming(reader):
                    self._follow(reader)

    def _hand_over(self) -> bool:
        """Gives the volume to the heir, if there is one; whether that was a failover."""
        volume = self.volume
        old = next((member for member in self.members if member.clone is None), None)
        with volume.step(self.epoch):
            heir, volume.heir = volume.heir, None
        if heir not in self.members:
            heir = None
        if old is None:  # its instance was deleted
            heir = heir or self.members[0]
        if heir is None or heir is old:
            return False
        if old:
            volume.tell("failing over")
            self._stop(old, heir)
        else:
            self._stop(heir)
            self._discard_clone(heir)
        with volume.step(self.epoch):
            if old:
                old.clone = heir.clone
            heir.clone = None
            if volume.front is heir:
                volume.front = old
        return old is not None

    def _open_writer(self, writer: Member) -> None:
        volume = self.volume
        self._make_storage()
        self._suffer(writer)
        self._start(writer, (volume.address, writer.address), ARCHIVING)
        if writer.up:
            return
        assert writer.server is not None
        self._wait_until_ready(writer.server)
        if not volume.prepared:
            self._prepare(writer.server)
        with volume.step(self.epoch):
            volume.prepared = True
            writer.up, writer.failure = True, None

    def _make_storage(self) -> None:
        """A new cluster's volume is a copy of the template."""
        volume = self.volume
        if volume.data.exists() and volume.wal.exists():
            return
        self._wait_for_jobs()
        binaries, data = volume.template.binaries, _unfinished(volume.data)
        passable(volume.directory, parents=True, exist_ok=True)
        volume.wal.mkdir(mode=0o700, exist_ok=True)
        binaries.own(volume.wal)
        if not volume.data.exists():
            shutil.rmtree(data, ignore_errors=True)
            shutil.copytree(volume.template.data, data, symlinks=True)
            binaries.own(data)
            data.rename(volume.data)

    def _prepare(self, server: Postgres) -> None:
        """The cluster's master user and its database, unless they are there."""
        cluster = self.volume.cluster
        user, database = cluster.master_username, cluster.database
        with server.connected() as connection:

            def exists(catalogue: str, name: str) -> bool:
                return connection.execute(catalogue, (name,)).fetchone() is not None

            if not exists("SELECT FROM pg_roles WHERE rolname = %s", user):
                connection.execute(_new_role(connection, user, cluster.master_password))
            if database and not exists("SELECT FROM pg_database WHERE datname = %s", database):
                name = sql.Identifier(database)
                connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
            for each in dict.fromkeys(("postgres", database or "postgres")):
                own = sql.SQL("ALTER DATABASE {} OWNER TO {}")
                connection.execute(own.format(sql.Identifier(each), sql.Identifier(user)))

    def _start_reader(self, reader: Member, writer: Member) -> None:
        assert reader.clone is not None
        if not reader.clone.exists():
            self._clone(reader, writer)
        front = (READER,) if reader is self.volume.front else ()
        assert writer.server is not None
        name = reader.instance.resource_id
        follows = {"primary_conninfo": f"{writer.server.source} application_name={name}"}
        self._start(reader, (reader.address, *front), ARCHIVING | FROM_ARCHIVE | follows)

    def _clone(self, reader: Member, writer: Member) -> None:
        """A copy of the writer's data that can become a replica."""
        volume = self.volume
        assert reader.clone is not None
        assert writer.server is not None
        clone = _unfinished(reader.clone)
        shutil.rmtree(clone, ignore_errors=True)
        clone.mkdir(mode=0o700)
        volume.template.binaries.own(clone)
        with volume.helper(
            self.epoch, "pg_basebackup", f"--dbname={writer.server.conninfo}",
            f"--pgdata={clone}", "--wal-method=stream", "--checkpoint=fast", "--no-sync",
        ) as process:  # fmt: skip
            _, said = process.communicate(timeout=CLONE_WITHIN)
        if process.returncode:
            raise ServerFailed(f"pg_basebackup failed: {said.decode(errors='replace')}")
        (clone / "standby.signal").touch()
        volume.template.binaries.own(clone)
        clone.rename(reader.clone)

    def _follow(self, reader: Member) -> None:
        """Waits until a reader takes connections and gets what is written as it is written."""
        if reader.up:
            return
        assert reader.server is not None
        server = reader.server
        self._wait_until_ready(server)
        if not self._wait(lambda: _follows(server), FOLLOW_WITHIN, every=0.02):
            raise ServerFailed(f"the reader did not follow its writer: {server.last_words()}")
        with self.volume.step(self.epoch):
            reader.up, reader.joined, reader.failure = True, True, None

    # What goes wrong by order

    def _suffer(self, writer: Member) -> None:
        """Lets happen what was ordered for the cluster's return, each of it once."""
        for ordered in list(self.volume.suffering):
            try:
                if not ordered.over:
                    SUFFER[ordered.kind](self, writer, ordered)
            except Interrupted:
                raise
            except (ServerFailed, OSError, psycopg.Error) as problem:
                # The order could not be carried out: the cluster comes back without it.
                logger.warning("%s of %s failed: %s", ordered.kind, ordered.cluster, problem)
                self.volume.tell("misbehaviour failed", kind=ordered.kind, why=str(problem))
            with self.volume.step(self.epoch):
                ordered.over = True
                self.volume.suffering.remove(ordered)

    def _lose_writes(self, writer: Member, ordered: DataMisbehaviour) -> None:
        """Where no client sees the rows before they are gone."""
        self._start(writer, (ASIDE,), ARCHIVING)
        assert writer.server is not None
        self._wait_until_ready(writer.server)
        lost = lose(writer.server.connected, ordered.writes, ordered.seed)
        self.volume.tell("lost writes", seed=ordered.seed, rows=[row._asdict() for row in lost])

    def _recover_slowly(self, writer: Member, ordered: DataMisbehaviour) -> None:
        self._wait(lambda: ordered.over, self.volume.common.real(ordered.seconds), every=0.02)

    def _move(self, writer: Member, ordered: DataMisbehaviour) -> None:
        volume = self.volume
        with volume.step(self.epoch):
            volume.address = next(other for other in WRITERS if other != volume.address)
        volume.tell("moved", address=volume.address)

    def _stay_away(self, writer: Member, ordered: DataMisbehaviour) -> None:
        self._wait(lambda: ordered.over, math.inf, every=0.02)

    # One server

    def _start(self, member: Member, addresses: tuple[str, ...], settings: dict[str, str]) -> None:
        """Starts it on these addresses unless it runs on them."""
        volume, data = self.volume, member.clone or self.volume.data
        server = member.server
        if server and server.serves(data, addresses) and not member.restart:
            return
        self._stop(member)
        if member.clone is None:
            self._wait_for_jobs()
        with volume.step(self.epoch):
            member.up = member.restart = False
            fronts = volume.common.fronts if addresses != (ASIDE,) else None
            member.server = Postgres(
                volume.template.binaries, data, volume.cluster.port, addresses, settings,
                fronts.front() if fronts else None,
            )  # fmt: skip
            member.server.start()

    def _wait_until_ready(self, server: Postgres) -> None:
        if not self._wait(lambda: server.ready() or not server.running, START_WITHIN):
            raise ServerFailed(f"PostgreSQL was not ready within {START_WITHIN:g} s")
        if not server.ready():
            raise ServerFailed(f"PostgreSQL ended: {server.last_words()}")

    def _wait_for_jobs(self) -> None:
        """Lets those finish who copy from the volume or fill it; they have deadlines."""
        while self.volume.holds:
            self.volume.check(self.epoch)
            time.sleep(0.005)
        if self.volume.unfilled:
            raise ServerFailed(self.volume.unfilled)

    def _wait(self, condition: Callable[[], bool], timeout: float, every: float = 0.002) -> bool:
        end = time.monotonic() + timeout
        while not (met := condition()) and time.monotonic() < end:
            self.volume.check(self.epoch)
            time.sleep(every)
        return met

    @contextlib.contextmanager
    def _blaming(self, member: Member) -> Iterator[None]:
        """What goes wrong is noted with this member; a reader is cloned again the next time."""
        try:
            yield
        except Interrupted:
            raise
        except (ServerFailed, OSError, psycopg.Error, subprocess.SubprocessError) as problem:
            with self.volume.step(self.epoch):
                member.failure = " ".join(str(problem).split())
            if member.clone:
                self._stop(member)
                self._discard_clone(member)

    def _tell(self, what: str) -> None:
        with self.volume.step(self.epoch):
            if self.volume.to_tell == what:
                self.volume.tell(what)
                self.volume.to_tell = None


SUFFER: dict[str, Callable[[_Reconciliation, Member, DataMisbehaviour], None]] = {
    LOSE_WRITES: _Reconciliation._lose_writes,
    SLOW_RECOVERY: _Reconciliation._recover_slowly,
    OTHER_ADDRESS: _Reconciliation._move,
    NO_RECOVERY: _Reconciliation._stay_away,
}


def _new_role(connection: psycopg.Connection[Any], user: str, password: str) -> sql.Composed:
    """The statement that makes a master user, who is no superuser; its password only as a hash.

    CREATEROLE lets a user of PostgreSQL before 16 give itself any role but a superuser's, and so
    programs and files of the server.
    """
    hashed = connection.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256")
    may = "CREATEDB CREATEROLE" if connection.info.server_version >= 160000 else "CREATEDB"
    return sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {}").format(
        sql.Identifier(user), sql.SQL(may), sql.Literal(hashed.decode())
    )


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.unfinished")


def _follows(server: Postgres) -> bool:
    """Whether this replica is fed by its writer (PostgreSQL manual, pg_stat_wal_receiver)."""
    query = "SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'"
    try:
        with server.connected() as connection:
            return connection.execute(query).fetchone() is not None
    except psycopg.OperationalError:
        return False
