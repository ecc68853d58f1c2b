"""Brings a cluster's servers into their wanted state: starts, clones, failovers, shutdowns.

A pass compares the servers with what is wanted and does what is missing. If all servers are frozen,
killed or stopped meanwhile, it ends between two steps, and another pass goes on from there.
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

import psycopg

from chaosaws_kms_lab.data_misbehaviours import (
    CHANGE_WRITES,
    LOSE_WRITES,
    NO_RECOVERY,
    OTHER_ADDRESS,
    SLOW_RECOVERY,
)
from chaosaws_kms_lab.data_plane.changed_rows import change_newest
from chaosaws_kms_lab.data_plane.lost_rows import lose
from chaosaws_kms_lab.data_plane.master_user import make_master_user
from chaosaws_kms_lab.data_plane.members import READER, UNSEEN, WRITERS, Interrupted, Member, Power
from chaosaws_kms_lab.data_plane.postgres import CLOSE_GRACE, Postgres, ServerFailed
from chaosaws_kms_lab.data_plane.volume import Volume
from chaosaws_kms_lab.private_files import make_passable
from chaosaws_kms_lab.world import DataMisbehaviour

__all__ = ["reconcile"]

logger = logging.getLogger(__name__)

STOP_WITHIN = 10.0
"""Seconds for a fast shutdown; then the server is killed, and the next start recovers."""
START_WITHIN = 300.0
"""Seconds for a server to take connections, crash recovery included."""
FOLLOW_WITHIN = 120.0
"""Seconds until a reader that takes connections follows its writer."""
CLONE_WITHIN = 1800.0
"""Seconds for a reader's first copy of the data."""
# A link is complete at once, and needs no second copy (postgres.py: wal_recycle).
ARCHIVING = {
    "archive_mode": "on",
    "archive_command": "test -f ../wal/%f || ln %p ../wal/%f",
}
# A reader finds in the archive the log that its writer no longer keeps.
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
    """The members at the beginning of the pass; later changes are for the next pass."""

    def run(self) -> None:
        """Raises `Interrupted` when the servers were stopped in the meantime."""
        if self.volume.power is Power.GONE:
            return
        self._remove_leaving()
        with self.volume.step(self.epoch):
            self.members = list(self.volume.members)
            power = self.volume.power
        if power is Power.OFF:
            self._stop(*self.members)
            self._record("stopped")
        elif power is Power.ON and self.members:
            self._start_all()

    # Ends

    def _remove_leaving(self) -> None:
        """Ends the servers of deleted instances."""
        for member in list(self.volume.leaving):
            if self.volume.power is Power.FROZEN and member.server:
                member.server.kill()
            self._stop(member)
            self._discard_clone(member)
            with self.volume.step(self.epoch):
                self.volume.leaving.remove(member)
                if self.volume.endpoint_reader is member:
                    self.volume.endpoint_reader = None

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
                server.close_proxy(CLOSE_GRACE)
            else:
                server.kill()

    def _discard_clone(self, member: Member) -> None:
        if member.clone:
            for path in (member.clone, _unfinished(member.clone)):
                shutil.rmtree(path, ignore_errors=True)

    # Starts

    def _start_all(self) -> None:
        failing_over = self._hand_over()
        writer = next(member for member in self.members if member.clone is None)
        readers = [member for member in self.members if member.clone]
        with self._noting_failure(writer):
            self._start_writer(writer)
        if not writer.up:
            for reader in readers:
                reader.failure = writer.failure
            return
        if failing_over:
            self.volume.record("failed over")
        self._record("ready")
        with self.volume.step(self.epoch):
            if self.volume.endpoint_reader not in readers:
                self.volume.endpoint_reader = readers[0] if readers else None
        for reader in readers:
            with self._noting_failure(reader):
                self._start_reader(reader, writer)
        for reader in readers:
            if reader.running:
                with self._noting_failure(reader):
                    self._follow(reader)

    def _hand_over(self) -> bool:
        """Gives the volume to the next writer, if any; returns whether it was a failover."""
        volume = self.volume
        old = next((member for member in self.members if member.clone is None), None)
        with volume.step(self.epoch):
            next_writer, volume.next_writer = volume.next_writer, None
        if next_writer not in self.members:
            next_writer = None
        if old is None:  # its instance was deleted
            next_writer = next_writer or self.members[0]
        if next_writer is None or next_writer is old:
            return False
        if old:
            volume.record("failing over")
            self._stop(old, next_writer)
        else:
            self._stop(next_writer)
            self._discard_clone(next_writer)
        with volume.step(self.epoch):
            if old:
                old.clone = next_writer.clone
            next_writer.clone = None
            if volume.endpoint_reader is next_writer:
                volume.endpoint_reader = old
        return old is not None

    def _start_writer(self, writer: Member) -> None:
        volume = self.volume
        self._make_storage()
        self._apply_misbehaviours(writer)
        self._start(writer, (volume.address, writer.address), ARCHIVING)
        if writer.up:
            return
        assert writer.server is not None
        self._wait_until_ready(writer.server)
        if not volume.prepared:
            with writer.server.connected() as connection:
                make_master_user(connection, volume.cluster)
        with volume.step(self.epoch):
            volume.prepared = True
            writer.up, writer.failure = True, None

    def _make_storage(self) -> None:
        """Makes a new cluster's volume: a copy of the template."""
        volume = self.volume
        if volume.data.exists() and volume.wal.exists():
            return
        self._wait_for_jobs()
        binaries, data = volume.template.binaries, _unfinished(volume.data)
        make_passable(volume.directory, parents=True, exist_ok=True)
        volume.wal.mkdir(mode=0o700, exist_ok=True)
        binaries.own(volume.wal)
        if not volume.data.exists():
            shutil.rmtree(data, ignore_errors=True)
            shutil.copytree(volume.template.data, data, symlinks=True, copy_function=shutil.copy)
            binaries.own(data)
            data.rename(volume.data)

    def _start_reader(self, reader: Member, writer: Member) -> None:
        assert reader.clone is not None
        if not reader.clone.exists():
            self._clone(reader, writer)
        endpoint = (READER,) if reader is self.volume.endpoint_reader else ()
        assert writer.server is not None
        name = reader.instance.resource_id
        follows = {"primary_conninfo": f"{writer.server.source} application_name={name}"}
        self._start(reader, (reader.address, *endpoint), ARCHIVING | FROM_ARCHIVE | follows)

    def _clone(self, reader: Member, writer: Member) -> None:
        """Copies the writer's data for a replica."""
        volume = self.volume
        assert reader.clone is not None
        assert writer.server is not None
        clone = _unfinished(reader.clone)
        shutil.rmtree(clone, ignore_errors=True)
        clone.mkdir(mode=0o700)
        volume.template.binaries.own(clone)
        with volume.helper(
            self.epoch,
            "pg_basebackup",
            f"--dbname={writer.server.conninfo}",
            f"--pgdata={clone}",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-sync",
        ) as process:
            _, said = process.communicate(timeout=CLONE_WITHIN)
        if process.returncode:
            raise ServerFailed(f"pg_basebackup failed: {said.decode(errors='replace')}")
        (clone / "standby.signal").touch()
        volume.template.binaries.own(clone)
        clone.rename(reader.clone)

    def _follow(self, reader: Member) -> None:
        """Waits until a reader takes connections and receives what its writer writes."""
        if reader.up:
            return
        assert reader.server is not None
        server = reader.server
        self._wait_until_ready(server)
        if not self._wait(lambda: _follows(server), FOLLOW_WITHIN, every=0.02):
            raise ServerFailed(f"the reader did not follow its writer: {server.last_error()}")
        with self.volume.step(self.epoch):
            reader.up, reader.joined, reader.failure = True, True, None

    # What goes wrong by order

    def _apply_misbehaviours(self, writer: Member) -> None:
        """Carries out, once each, what was ordered for the return of the cluster."""
        for ordered in list(self.volume.due_misbehaviours):
            try:
                if not ordered.over:
                    APPLY[ordered.kind](self, writer, ordered)
            except Interrupted:
                raise
            except (ServerFailed, OSError, psycopg.Error) as problem:
                # The order could not be carried out: the cluster comes back without it.
                logger.warning("%s of %s failed: %s", ordered.kind, ordered.cluster, problem)
                self.volume.record("misbehaviour failed", kind=ordered.kind, why=str(problem))
            with self.volume.step(self.epoch):
                ordered.over = True
                self.volume.due_misbehaviours.remove(ordered)

    def _lose_writes(self, writer: Member, ordered: DataMisbehaviour) -> None:
        lost = lose(self._unseen(writer).connected, ordered.writes, ordered.seed)
        self.volume.record("lost writes", seed=ordered.seed, rows=[row._asdict() for row in lost])

    def _change_writes(self, writer: Member, ordered: DataMisbehaviour) -> None:
        rows = change_newest(self._unseen(writer).connected, ordered.writes, ordered.seed)
        told = [row._asdict() for row in rows]
        self.volume.record("changed writes", seed=ordered.seed, rows=told)

    def _unseen(self, writer: Member) -> Postgres:
        """The writer's server, before any client can connect and see its rows."""
        self._start(writer, (UNSEEN,), ARCHIVING)
        assert writer.server is not None
        self._wait_until_ready(writer.server)
        return writer.server

    def _recover_slowly(self, writer: Member, ordered: DataMisbehaviour) -> None:
        self._wait(lambda: ordered.over, self.volume.common.real(ordered.seconds), every=0.02)

    def _change_address(self, writer: Member, ordered: DataMisbehaviour) -> None:
        volume = self.volume
        with volume.step(self.epoch):
            volume.outages.listen_again((volume.address,))
            volume.address = next(other for other in WRITERS if other != volume.address)
        volume.record("moved", address=volume.address)

    def _do_not_recover(self, writer: Member, ordered: DataMisbehaviour) -> None:
        self._wait(lambda: ordered.over, math.inf, every=0.02)

    # One server

    def _start(self, member: Member, addresses: tuple[str, ...], settings: dict[str, str]) -> None:
        """Starts the member's server on these addresses, unless it runs there already."""
        volume, data = self.volume, member.clone or self.volume.data
        server = member.server
        if server and server.serves(data, addresses) and not member.restart:
            return
        self._stop(member)
        if member.clone is None:
            self._wait_for_jobs()
        with volume.step(self.epoch):
            member.up = member.restart = False
            tls_proxies = volume.common.tls_proxies if addresses != (UNSEEN,) else None
            member.server = Postgres(
                volume.template.binaries,
                data,
                volume.cluster.port,
                addresses,
                settings,
                tls_proxies.new_proxy() if tls_proxies else None,
            )
            volume.outages.listen_again(addresses)
            member.server.start()

    def _wait_until_ready(self, server: Postgres) -> None:
        if not self._wait(lambda: server.ready() or not server.running, START_WITHIN):
            raise ServerFailed(f"PostgreSQL was not ready within {START_WITHIN:g} s")
        if not server.ready():
            raise ServerFailed(f"PostgreSQL ended: {server.last_error()}")

    def _wait_for_jobs(self) -> None:
        """Waits for the jobs that copy from the volume or fill it; they have deadlines."""
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
    def _noting_failure(self, member: Member) -> Iterator[None]:
        """Notes a failure in the block with this member; a reader is cloned again the next time."""
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

    def _record(self, what: str) -> None:
        with self.volume.step(self.epoch):
            if self.volume.to_record == what:
                self.volume.record(what)
                self.volume.to_record = None


APPLY: dict[str, Callable[[_Reconciliation, Member, DataMisbehaviour], None]] = {
    LOSE_WRITES: _Reconciliation._lose_writes,
    CHANGE_WRITES: _Reconciliation._change_writes,
    SLOW_RECOVERY: _Reconciliation._recover_slowly,
    OTHER_ADDRESS: _Reconciliation._change_address,
    NO_RECOVERY: _Reconciliation._do_not_recover,
}


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.unfinished")


def _follows(server: Postgres) -> bool:
    """Whether this replica receives its writer's log (PostgreSQL manual, pg_stat_wal_receiver)."""
    query = "SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'"
    try:
        with server.connected() as connection:
            return connection.execute(query).fetchone() is not None
    except psycopg.OperationalError:
        return False
