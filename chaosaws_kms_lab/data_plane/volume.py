"""One cluster's storage, and the wanted state of its instances' servers.

As on Aurora, the instances of a cluster share a volume, and a failover gives it to another
instance. The writer runs on the volume's data directory, so no acknowledged write can be lost.
Readers are streaming replicas on clones of their own.

The lab's threads only set what is wanted, under a lock that nobody holds for long. One worker
thread, which runs only while there is something to do, carries it out (reconcile.py).
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from chaosaws_kms_lab.aurora import TERMINAL
from chaosaws_kms_lab.data_misbehaviours import AT_RETURN, OF_A_CRASH
from chaosaws_kms_lab.data_plane.members import WRITER, Common, Interrupted, Member, Power
from chaosaws_kms_lab.data_plane.partial_outages import Outages
from chaosaws_kms_lab.data_plane.postgres import Postgres, ServerFailed
from chaosaws_kms_lab.processes import freeze_trees, kill_everything_in, kill_trees
from chaosaws_kms_lab.world import Cluster, DataMisbehaviour, Instance

__all__ = ["Volume"]

SETTLE_WITHIN = 600.0
"""Seconds that a job waits for a cluster's servers to reach their wanted state."""
END_WITHIN = 30.0
"""Seconds that the deletion of a volume waits for the worker and the jobs."""

UNREADABLE = {
    Power.FROZEN: "the cluster's storage cannot be read",
    Power.GONE: "the cluster was deleted",
}


class Volume:
    """The storage and the servers of `cluster`.

    `record` writes what happened to all of them, with details by name. `reconcile` carries out what
    is wanted, and raises `Interrupted` when that has changed.
    """

    def __init__(
        self,
        cluster: Cluster,
        directory: Path,
        common: Common,
        record: Callable[..., None],
        holds: int,
        reconcile: Callable[[Volume, int], None],
    ) -> None:
        self.cluster = cluster
        self.directory = directory
        self.data = directory / "data"
        self.base = directory / "base"
        """The data before the log in `wal`; if it is absent: the template."""
        self.wal = directory / "wal"
        """The archive of write-ahead log."""
        self.common, self.record = common, record
        self.template = common.template
        self._reconcile = reconcile
        self.address = WRITER
        """The address of the cluster endpoint."""
        self.misbehaviours: list[DataMisbehaviour] = []
        """Ordered for the next time that the servers come back."""
        self.due_misbehaviours: list[DataMisbehaviour] = []
        """Those that happen now, before the writer runs again."""
        self.crashed = False
        self.lock = threading.RLock()
        self.outages = Outages(self.lock, record, common.real)
        self.power = Power.ON
        self.members: list[Member] = []
        self.leaving: list[Member] = []
        """Servers of deleted instances, which may still run."""
        self.next_writer: Member | None = None
        """The reader that is to become the writer."""
        self.endpoint_reader: Member | None = None
        """The reader that listens on the reader endpoint."""
        self.to_record: str | None = None
        """What is recorded when the servers have reached that state."""
        self.holds = holds
        """The number of jobs on the data; meanwhile the writer is neither started nor shut down."""
        self.unfilled: str | None = None
        """Why the volume has no data, if filling it failed."""
        self.prepared = False
        """Whether the master user and the database have been made."""
        self._clones = itertools.count(1)
        self._helpers: set[subprocess.Popen[bytes]] = set()
        self._epoch = 0
        """Counts interruptions: work of an earlier epoch ends."""
        self._unsettled = False
        self._worker: threading.Thread | None = None

    # What is wanted

    def add(self, instance: Instance, address: str) -> None:
        """A server for `instance`: the first is the writer, further ones are readers."""
        with self.lock:
            if self.members:
                self.members.append(Member(instance, address, self.new_clone()))
            else:
                self.members.append(Member(instance, address, None))
                self.to_record = "ready"
            self._changed()

    def remove(self, instance: Instance) -> None:
        """No server for `instance` any more; the volume stays, for the next writer."""
        with self.lock:
            if member := self._member(instance):
                self.outages.end()
                self.members.remove(member)
                self.leaving.append(member)
                self._changed()

    def restart(self, instance: Instance) -> None:
        """The server of `instance` stops and starts again."""
        with self.lock:
            if member := self._member(instance):
                self.outages.end()
                member.restart, member.failure = True, None
                self._changed()

    def fail_over(self, target: Instance) -> None:
        """`target` becomes the writer, and the writer a reader."""
        with self.lock:
            self.outages.end()
            self.next_writer = self._member(target)
            self._changed()

    def freeze(self) -> None:
        """Stops every process: sessions and new connections hang; or another outage begins."""
        with self.lock:
            self.outages.end()
            self._interrupt(Power.FROZEN)
            if self.outages.begin_ordered(self.members):
                return
            self.record("freezing")
            for server in self._running():
                if server.tls:
                    server.tls.freeze()
            freeze_trees(self._postmasters())
            self.record("frozen")

    def kill(self) -> None:
        """Kills every process, frozen or not; what was written stays."""
        with self.lock:
            self._interrupt(Power.OFF)
            self.crashed = True
            for server in self._running():
                server.close_proxy()
            kill_trees(self._postmasters())
            for member in self.members + self.leaving:
                member.up = False
                if member.server:
                    member.server.kill()
            self.record("killed")
            if self.cluster.state.phase != TERMINAL:
                self.outages.drop_packets(self.members, self.cluster.port)
            self._changed()

    def boot(self) -> None:
        """All servers start, on the same addresses, with their own crash recovery."""
        with self.lock:
            self._interrupt(Power.ON)
            for member in self.members:
                member.failure = None
            self.to_record = "ready"
            self._take_due_misbehaviours()
            self.record("started")
            self._changed()

    def shut_down(self) -> None:
        """All servers end in order; from now on they refuse new connections."""
        with self.lock:
            self.outages.end()
            self._interrupt(Power.OFF)
            for member in self.members:
                member.up = False
                if member.server:
                    member.server.shut_down()
            self.to_record = "stopped"
            self._changed()

    def misbehave(self, misbehaviour: DataMisbehaviour) -> None:
        """This goes wrong, now or at the next occasion; raises BadOrder."""
        with self.lock:
            if misbehaviour.kind in AT_RETURN:
                self.misbehaviours.append(misbehaviour)
            else:
                settled = self.power is Power.ON and self._settled
                self.outages.order(misbehaviour, self.members, settled)

    def destroy(self) -> None:
        """Ends all processes and removes all files, within some tenths of a second."""
        with self.lock:
            self._interrupt(Power.GONE)
            self.outages.listen_again()
        kill_everything_in(self.directory)
        for member in self.members + self.leaving:
            if member.server:
                member.server.kill()  # what it may have left in the kernel
        end = time.monotonic() + END_WITHIN
        while (self._worker or self.holds or self.outages.alive) and time.monotonic() < end:
            time.sleep(0.005)
        shutil.rmtree(self.directory, ignore_errors=True)

    # What is

    @property
    def writer(self) -> Member | None:
        """The member on the volume's own data; None: there is none, or not yet."""
        return next((member for member in self.members if member.clone is None), None)

    @property
    def has_reader(self) -> bool:
        """Whether a reader takes connections on the reader endpoint, or will at the next start."""
        reader = self.endpoint_reader
        return reader is not None and reader.joined

    @property
    def busy(self) -> bool:
        """Whether the servers are not yet in their wanted state."""
        with self.lock:
            return self.power is not Power.FROZEN and not self._settled

    def ready(self, instance: Instance) -> bool:
        """Whether the server of `instance` takes connections."""
        with self.lock:
            member = self._member(instance)
            return member is not None and member.ready

    def failure(self, instance: Instance) -> str | None:
        """Why the server of `instance` will not take connections by itself."""
        with self.lock:
            member = self._member(instance)
            return member.failure if member else None

    # For work in the background

    def check(self, epoch: int) -> None:
        """Raises `Interrupted` if the servers were stopped since `epoch`."""
        if self._epoch != epoch:
            raise Interrupted

    @contextlib.contextmanager
    def step(self, epoch: int) -> Iterator[None]:
        """A short step that cannot be interrupted; raises `Interrupted` if `epoch` is over."""
        with self.lock:
            self.check(epoch)
            yield

    @contextlib.contextmanager
    def helper(self, epoch: int, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """A program that works with the servers; an interruption ends it."""
        with self.step(epoch):
            process = self.template.binaries.start(
                *command, cwd=self.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            self._helpers.add(process)
        try:
            yield process
        finally:
            with self.lock:
                self._helpers.discard(process)
                _kill_group(process)
            with process:  # waits and closes its pipes
                pass

    @contextlib.contextmanager
    def at_rest(self, frozen_too: bool = False) -> Iterator[tuple[Postgres | None, int]]:
        """The writer's server, or None if it is stopped (or frozen), and the epoch.

        During the block a failover, a restart or a start waits; a freeze or a stop does not.
        """
        end = time.monotonic() + SETTLE_WITHIN
        while not (found := self._hold_if_settled(frozen_too)):
            if time.monotonic() > end:
                raise ServerFailed(f"the cluster's servers were busy for {SETTLE_WITHIN:g} s")
            time.sleep(0.005)
        with self.held():
            try:
                yield found
            except Exception:
                self.check(found[1])  # then that is why
                raise

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Ends, after the block, a hold that was begun before."""
        try:
            yield
        finally:
            with self.lock:
                self.holds -= 1

    def new_clone(self) -> Path:
        """The path for the clone of a new reader."""
        return self.directory / f"clone-{next(self._clones)}"

    def _hold_if_settled(self, frozen_too: bool) -> tuple[Postgres | None, int] | None:
        with self.lock:
            frozen = frozen_too and self.power is Power.FROZEN
            if self.power in UNREADABLE and not frozen:
                raise ServerFailed(UNREADABLE[self.power])
            if not self._settled and not frozen:
                return None
            server = None
            if self.power is Power.ON and (writer := self.writer):
                if not writer.ready:
                    raise ServerFailed(writer.failure or "the cluster's writer does not run")
                server = writer.server
            self.holds += 1
            return server, self._epoch

    # Under the lock

    @property
    def _settled(self) -> bool:
        return not self._unsettled and self._worker is None

    def _member(self, instance: Instance) -> Member | None:
        return next((member for member in self.members if member.instance is instance), None)

    def _running(self) -> list[Postgres]:
        servers = [member.server for member in self.members + self.leaving]
        return [server for server in servers if server and server.running]

    def _postmasters(self) -> list[int]:
        return [server.postmaster.pid for server in self._running() if server.postmaster]

    def _interrupt(self, power: Power) -> None:
        self._epoch += 1
        self.power = power
        self.outages.end(thaw=False)
        self.to_record = self.next_writer = None
        for process in self._helpers:
            _kill_group(process)

    def _take_due_misbehaviours(self) -> None:
        """The misbehaviours that were ordered become due; some only after a crash."""
        self.misbehaviours = [
            misbehaviour for misbehaviour in self.misbehaviours if not misbehaviour.over
        ]
        due = [f for f in self.misbehaviours if self.crashed or f.kind not in OF_A_CRASH]
        self.due_misbehaviours += due
        self.misbehaviours = [
            misbehaviour for misbehaviour in self.misbehaviours if misbehaviour not in due
        ]
        self.crashed = False

    def _changed(self) -> None:
        self._unsettled = True
        if self._worker is None:
            name = f"reconcile {self.cluster.resource_id}"
            self._worker = threading.Thread(target=self._work, daemon=True, name=name)
            self._worker.start()

    # The worker

    def _work(self) -> None:
        while (epoch := self._next_epoch()) is not None:
            try:
                self._reconcile(self, epoch)
            except Interrupted:
                continue
            except Exception as problem:
                logging.exception("the servers of %s did not settle", self.cluster.id)
                with self.lock:
                    for member in self.members:
                        if not member.up:
                            member.failure = f"{type(problem).__name__}: {problem}"

    def _next_epoch(self) -> int | None:
        with self.lock:
            if not self._unsettled:
                self._worker = None
                return None
            self._unsettled = False
            return self._epoch


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Ends a program and what it started; not PostgreSQL's servers, which lead other groups."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
