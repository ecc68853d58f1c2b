"""One cluster's storage, and what is wanted of the servers of its instances.

As on Aurora, the instances of a cluster share a volume, and a failover hands it to another one:
whoever is the writer runs on the volume's data directory, so nothing that was acknowledged can be
lost. Readers are streaming replicas on clones of their own.

What is wanted is said in no time by the lab's threads, under a lock that nobody holds for long;
one worker, which lives only while there is something to do, brings it about (reconcile.py).
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

from chaosaws_kms_lab.data_misbehaviours import LOSE_WRITES
from chaosaws_kms_lab.data_plane.members import WRITER, Common, Interrupted, Member, Power
from chaosaws_kms_lab.data_plane.postgres import Postgres, ServerFailed
from chaosaws_kms_lab.processes import freeze_trees, kill_everything_in, kill_trees
from chaosaws_kms_lab.world import Cluster, DataMisbehaviour, Instance

__all__ = ["Volume"]

SETTLE_WITHIN = 600.0
"""Seconds for which a job waits until a cluster's servers stand still."""
END_WITHIN = 30.0
"""Seconds for which a volume that is deleted waits for those who work on it."""

UNREADABLE = {
    Power.FROZEN: "the cluster's storage cannot be read",
    Power.GONE: "the cluster was deleted",
}


class Volume:
    """The storage and the servers of `cluster`.

    `tell` notes what happened to all of them, with details by name; `reconcile` brings about what
    is wanted, and raises `Interrupted` when something else is.
    """

    def __init__(
        self,
        cluster: Cluster,
        directory: Path,
        common: Common,
        tell: Callable[..., None],
        holds: int,
        reconcile: Callable[[Volume, int], None],
    ) -> None:
        self.cluster = cluster
        self.directory = directory
        self.data = directory / "data"
        self.base = directory / "base"
        """The data as they were before all that `wal` tells; absent: the template."""
        self.wal = directory / "wal"
        """The archive of write-ahead log."""
        self.common = common
        self.template = common.template
        self.tell = tell
        self._reconcile = reconcile
        self.address = WRITER
        """Of the cluster endpoint."""
        self.misbehaviours: list[DataMisbehaviour] = []
        """Ordered for the next time that the servers come back."""
        self.suffering: list[DataMisbehaviour] = []
        """Those of them that happen before the writer runs again."""
        self.crashed = False
        self.lock = threading.RLock()
        self.power = Power.ON
        self.members: list[Member] = []
        self.leaving: list[Member] = []
        """Their instances are gone; their servers may not be yet."""
        self.heir: Member | None = None
        """Who is to become the writer."""
        self.front: Member | None = None
        """Who listens on the reader endpoint."""
        self.to_tell: str | None = None
        """What is said once the servers are so far."""
        self.holds = holds
        """Jobs on the data, during which the writer is neither started nor stopped in order."""
        self.unfilled: str | None = None
        """Why the volume has no data, if filling it failed."""
        self.prepared = False
        """Whether the master user and the database are there, or were once."""
        self._clones = itertools.count(1)
        self._helpers: set[subprocess.Popen[bytes]] = set()
        self._epoch = 0
        """Counts what interrupts whatever is under way."""
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
                self.to_tell = "ready"
            self._changed()

    def remove(self, instance: Instance) -> None:
        """No server for `instance` any more; the volume stays, for the next writer."""
        with self.lock:
            if member := self._member(instance):
                self.members.remove(member)
                self.leaving.append(member)
                self._changed()

    def restart(self, instance: Instance) -> None:
        """The server of `instance` stops and starts again."""
        with self.lock:
            if member := self._member(instance):
                member.restart, member.failure = True, None
                self._changed()

    def fail_over(self, target: Instance) -> None:
        """`target` becomes the writer, and the writer a reader."""
        with self.lock:
            self.heir = self._member(target)
            self._changed()

    def freeze(self) -> None:
        """Every process stands still: sessions and new connections hang."""
        with self.lock:
            self._interrupt(Power.FROZEN)
            self.tell("freezing")
            for server in self._running():
                if server.tls:
                    server.tls.freeze()
            freeze_trees(self._postmasters())
            self.tell("frozen")

    def kill(self) -> None:
        """Every process is gone, frozen or not; what was written stays."""
        with self.lock:
            self._interrupt(Power.OFF)
            self.crashed = True
            for server in self._running():
                server.leave()
            kill_trees(self._postmasters())
            for member in self.members + self.leaving:
                member.up = False
                if member.server:
                    member.server.kill()
            self.tell("killed")
            self._changed()

    def boot(self) -> None:
        """All servers start, on the same addresses, with their own crash recovery."""
        with self.lock:
            self._interrupt(Power.ON)
            for member in self.members:
                member.failure = None
            self.to_tell = "ready"
            self._fall_due()
            self.tell("started")
            self._changed()

    def shut_down(self) -> None:
        """All servers end in order; from now on they refuse new connections."""
        with self.lock:
            self._interrupt(Power.OFF)
            for member in self.members:
                member.up = False
                if member.server:
                    member.server.shut_down()
            self.to_tell = "stopped"
            self._changed()

    def misbehave(self, misbehaviour: DataMisbehaviour) -> None:
        """The next time that the servers come back, this goes wrong."""
        with self.lock:
            self.misbehaviours.append(misbehaviour)

    def destroy(self) -> None:
        """Ends all processes and removes all files, within some tenths of a second."""
        with self.lock:
            self._interrupt(Power.GONE)
        kill_everything_in(self.directory)
        for member in self.members + self.leaving:
            if member.server:
                member.server.kill()  # what it may have left in the kernel
        end = time.monotonic() + END_WITHIN
        while (self._worker or self.holds) and time.monotonic() < end:
            time.sleep(0.005)
        shutil.rmtree(self.directory, ignore_errors=True)

    # What is

    @property
    def writer(self) -> Member | None:
        """Who runs on the volume's own data; None: nobody, or nobody yet."""
        return next((member for member in self.members if member.clone is None), None)

    @property
    def has_reader(self) -> bool:
        """Whether somebody takes connections on the reader endpoint, or will at the next start."""
        front = self.front
        return front is not None and front.joined

    @property
    def busy(self) -> bool:
        """Whether something is still to be brought about."""
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

    # For those who work on it in the background

    def check(self, epoch: int) -> None:
        """Raises `Interrupted` if the servers were stopped since `epoch`."""
        if self._epoch != epoch:
            raise Interrupted

    @contextlib.contextmanager
    def step(self, epoch: int) -> Iterator[None]:
        """Something short that nothing interrupts, if nothing has since `epoch`."""
        with self.lock:
            self.check(epoch)
            yield

    @contextlib.contextmanager
    def helper(self, epoch: int, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """A program that works with the servers, and ends with whatever interrupts them."""
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
        """Ends, after the block, a hold that was taken before."""
        try:
            yield
        finally:
            with self.lock:
                self.holds -= 1

    def new_clone(self) -> Path:
        """Where a reader's clone is to be made."""
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
        self.to_tell = self.heir = None
        for process in self._helpers:
            _kill_group(process)

    def _fall_due(self) -> None:
        """Now is the time of the misbehaviours that were ordered; what is not stored cannot be lost
        but by a crash."""
        self.misbehaviours = [
            misbehaviour for misbehaviour in self.misbehaviours if not misbehaviour.over
        ]
        due = [f for f in self.misbehaviours if self.crashed or f.kind != LOSE_WRITES]
        self.suffering += due
        self.misbehaviours = [
            misbehaviour for misbehaviour in self.misbehaviours if misbehaviour not in due
        ]
        self.crashed = False

    def _changed(self) -> None:
        self._unsettled = True
        if self._worker is None:
            name = f"settling {self.cluster.resource_id}"
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
