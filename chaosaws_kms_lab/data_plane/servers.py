"""The lab's data plane: real PostgreSQL servers behind each Aurora cluster that has an instance.

Nothing here waits for PostgreSQL: what takes time runs in the background, and the lab asks whether
it is done. So neither a slow crash recovery nor a large copy delays an answer of the lab.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from chaosaws_kms_lab.aurora import Effect
from chaosaws_kms_lab.data_plane import backups, changed_rows
from chaosaws_kms_lab.data_plane.archive import spread_over_disk
from chaosaws_kms_lab.data_plane.backups import Seal
from chaosaws_kms_lab.data_plane.binaries import Binaries
from chaosaws_kms_lab.data_plane.jobs import Job
from chaosaws_kms_lab.data_plane.members import READER, WRITER, WRITERS, Common
from chaosaws_kms_lab.data_plane.ports import Ports
from chaosaws_kms_lab.data_plane.postgres import Postgres
from chaosaws_kms_lab.data_plane.proxies import NAMES as PROXY_NAMES
from chaosaws_kms_lab.data_plane.proxies import Proxies
from chaosaws_kms_lab.data_plane.reconcile import reconcile
from chaosaws_kms_lab.data_plane.tls_proxy import TlsProxies
from chaosaws_kms_lab.data_plane.volume import Volume
from chaosaws_kms_lab.misbehaviour_orders import BadOrder
from chaosaws_kms_lab.private_files import open_private
from chaosaws_kms_lab.world import Cluster, DataMisbehaviour, Instance, Snapshot

__all__ = ["Endpoints", "Servers"]

INSTANCE = "127.0.1.{}"
"""The address of an instance's own endpoint."""

NAMES = (
    "localhost",
    *WRITERS,
    READER,
    *(INSTANCE.format(number) for number in range(1, 255)),
    *PROXY_NAMES,
)
"""Every name that a client may connect to."""

PASSWORD = 24
"""Bytes of randomness in a password that the lab makes."""

CLOSE_WITHIN = 60.0
"""Seconds for the servers of one cluster to end and its files to be removed."""


class Endpoints(NamedTuple):
    """Loopback addresses, on the cluster's port."""

    writer: str
    reader: str


EFFECTS: dict[Effect, Callable[[Volume], None]] = {
    Effect.FREEZE: Volume.freeze,
    Effect.KILL: Volume.kill,
    Effect.BOOT: Volume.boot,
    Effect.SHUT_DOWN: Volume.shut_down,
}


class Servers:
    """The servers of every cluster that has an instance, and the truth about them.

    Clusters and instances are known by their resource ids, since they can be renamed. Calls come
    one at a time (with the world's lock held) and return at once.
    """

    def __init__(self, directory: Path, speed: float = 1.0, tls: bool = False) -> None:
        """Makes the template that every new server is a copy of; `directory`: the lab's folder.

        `speed`: AWS seconds in a second; `tls`: take connections by TLS only.
        """
        self.speed = speed
        """AWS seconds in a second."""
        self._directory = directory
        spread_over_disk(directory)
        self.password: str = secrets.token_urlsafe(PASSWORD)
        """Of every master user that was made without a password."""
        self.passfile: Path = directory / "pgpass"
        """The file in which libpq finds it (PostgreSQL manual, "The Password File")."""
        with open_private(self.passfile) as file:
            file.writelines(f"{name}:*:*:*:{self.password}\n" for name in NAMES)
        self._binaries = Binaries.find(directory)
        self._template = Postgres(self._binaries, directory / "template", 0)
        self._template.initialise()
        self.ca: Path | None = None
        """The authority that the servers' certificates are signed by; None: there is no TLS."""
        tls_proxies = context = None
        if tls:
            # Its imports take long.
            from chaosaws_kms_lab.data_plane.certificates import Certificates

            certificates = Certificates.make(directory / "tls", NAMES)
            context = certificates.context()
            self.ca, tls_proxies = certificates.ca, TlsProxies(context)
        self._common = Common(self._template, lambda aws: aws / speed, tls_proxies)
        self.proxies = Proxies(context)
        """RDS Proxies, which stand before the clusters."""
        self._ports = Ports()
        self._held: set[str] = set()
        """Resource ids of the clusters whose port is held."""
        self._volumes: dict[str, Volume] = {}
        self._slots: dict[str, dict[str, int]] = {}
        self._ending: list[Job] = []
        self._truth = Truth(directory / "truth.jsonl")

    @property
    def binaries(self) -> Binaries:
        """PostgreSQL's programs."""
        return self._binaries

    # Where they are

    def choose_port(self) -> int:
        """A port for a new cluster; if it is taken when a server needs it, `add` finds another."""
        return self._ports.choose()

    def endpoints(self, cluster: Cluster) -> Endpoints:
        """The cluster endpoint and the reader endpoint; without a reader they are the same."""
        volume = self._volumes.get(cluster.resource_id)
        writer = volume.address if volume else WRITER
        return Endpoints(writer, READER if volume and volume.has_reader else writer)

    def address(self, instance: Instance) -> str:
        """The address of the instance's own endpoint, which it keeps whatever its role."""
        slots = self._slots.setdefault(instance.cluster.resource_id, {})
        if instance.resource_id not in slots:
            taken = set(slots.values())
            slots[instance.resource_id] = next(n for n in itertools.count(1) if n not in taken)
        return INSTANCE.format(slots[instance.resource_id])

    # Instances

    def add(self, instance: Instance) -> None:
        """Starts a server: a cluster's first is its writer, further ones replicate it.

        Sets the cluster's port if the one it has was taken by another program.
        """
        cluster = instance.cluster
        if cluster.resource_id not in self._held:
            cluster.port = self._ports.hold(cluster.port)
            self._held.add(cluster.resource_id)
        volume = self._volumes.get(cluster.resource_id) or self._new_volume(cluster)
        volume.add(instance, self.address(instance))

    def remove(self, instance: Instance) -> None:
        """Ends the instance's server; the data stay with the cluster.

        If the writer goes and there are readers, the first of them becomes the writer.
        """
        if volume := self._volumes.get(instance.cluster.resource_id):
            volume.remove(instance)
        self._slots.get(instance.cluster.resource_id, {}).pop(instance.resource_id, None)

    def restart(self, instance: Instance) -> None:
        """Reboots the instance."""
        if volume := self._volumes.get(instance.cluster.resource_id):
            volume.restart(instance)

    def ready(self, instance: Instance) -> bool:
        """Whether its server takes connections, and follows the writer if it is a reader."""
        volume = self._volumes.get(instance.cluster.resource_id)
        return volume is not None and volume.ready(instance)

    def failure(self, instance: Instance) -> str | None:
        """Why its server will not be ready unless it is restarted, in one sentence."""
        volume = self._volumes.get(instance.cluster.resource_id)
        return volume.failure(instance) if volume else None

    # Clusters

    def writer(self, cluster: Cluster) -> Instance | None:
        """The instance that is the writer; None without instances."""
        volume = self._volumes.get(cluster.resource_id)
        member = volume.writer if volume else None
        return member.instance if member else None

    def fail_over(self, cluster: Cluster, target: Instance) -> None:
        """Makes `target` the writer; once `busy` is false again, `writer` is the result.

        It does not happen if the cluster is frozen, killed or stopped before.
        """
        if volume := self._volumes.get(cluster.resource_id):
            volume.fail_over(target)

    def busy(self, cluster: Cluster) -> bool:
        """Whether its servers are being started, stopped or given other roles."""
        volume = self._volumes.get(cluster.resource_id)
        return volume is not None and volume.busy

    def perform(self, cluster: Cluster, effect: Effect) -> None:
        """Performs what the state machine decided on the cluster's servers."""
        volume = self._volumes.get(cluster.resource_id)
        if volume and effect in EFFECTS:
            EFFECTS[effect](volume)

    def misbehave(self, cluster: Cluster, misbehaviour: DataMisbehaviour) -> None:
        """Orders a misbehaviour of the cluster's servers; raises BadOrder."""
        if not (volume := self._volumes.get(cluster.resource_id)):
            raise BadOrder(f"{cluster.id} has no data: give it an instance first")
        volume.misbehave(misbehaviour)

    def delete(self, cluster: Cluster) -> None:
        """Ends the cluster's servers, removes its data and gives its port back."""
        self._slots.pop(cluster.resource_id, None)
        self._held.discard(cluster.resource_id)
        self._ports.release(cluster.port)
        if volume := self._volumes.pop(cluster.resource_id, None):
            self._ending = [job for job in self._ending if not job.done]
            self._ending.append(Job(f"delete {cluster.id}", volume.destroy))

    def close(self) -> None:
        """Ends all servers and removes their data."""
        for volume in list(self._volumes.values()):
            self.delete(volume.cluster)
        for job in self._ending:
            job.wait(CLOSE_WITHIN)
        self.proxies.close()
        if self._common.tls_proxies:
            self._common.tls_proxies.close()
        self._ports.close()
        self._truth.close()

    # Data

    def snapshot_path(self, snapshot: Snapshot) -> Path:
        """Where the data of `snapshot` are."""
        name = hashlib.sha256(snapshot.arn.encode()).hexdigest()  # a name may be 255 long
        return self._directory / "snapshots" / name

    def snapshot(
        self, cluster: Cluster, to: Path, key: bytes | None, context: Mapping[str, str]
    ) -> Job:
        """Writes the cluster's data to one file, encrypted if there is a key."""
        seal = key, context
        if volume := self._volumes.get(cluster.resource_id):
            work = partial(backups.take_snapshot, volume, to, seal)
        else:
            work = partial(backups.take_snapshot_of_nothing, self._template, to, seal)
        return Job(f"snapshot {cluster.id}", work)

    def copy(
        self,
        source: Path,
        to: Path,
        opens: Seal,
        seals: Seal,
        change: DataMisbehaviour | None = None,
    ) -> Job:
        """Copies a snapshot under another key; `change`: a misbehaviour that changes a row."""
        work = partial(backups.copy_snapshot, source, to, opens, seals)
        if change and change.about:
            data = self._directory / f"change-{secrets.token_hex(4)}" / "data"
            server = Postgres(self._binaries, data, change.about.port, (backups.COPY_ADDRESS,))
            at_work = partial(self._change, change, change.about)
            work = partial(backups.copy_changed, server, source, to, opens, seals, at_work)
        return Job(f"copy {source.name}", work)

    def restore(
        self, cluster: Cluster, source: Path, key: bytes | None, context: Mapping[str, str]
    ) -> Job:
        """Fills the new `cluster` with a snapshot's data; its first instance waits for it."""
        volume = self._new_volume(cluster, holds=1)
        work = partial(backups.restore, volume, source, (key, context))
        return Job(f"restore {cluster.id}", work)

    def restore_to(self, cluster: Cluster, source: Cluster, when: datetime | None) -> Job:
        """Fills the new `cluster` with the data of `source` at an instant; None: those of now."""
        origin = self._volumes.get(source.resource_id)
        if origin is None:  # no instance ever wrote anything
            return Job(f"restore {cluster.id}", lambda: None)
        volume = self._new_volume(cluster, holds=1)
        return Job(f"restore {cluster.id}", partial(backups.restore_to, volume, origin, when))

    def _change(self, misbehaviour: DataMisbehaviour, cluster: Cluster, server: Postgres) -> None:
        """Changes a row, and records which; the copy is made even if there was none to change."""
        try:
            if changed := changed_rows.change(server.connected, misbehaviour.seed):
                self._truth.record(
                    cluster, "changed row", seed=misbehaviour.seed, **changed._asdict()
                )
                return
            why = "no table has a row with a column that could be changed"
        except psycopg.Error as problem:
            why = str(problem)
        self._truth.record(cluster, "misbehaviour failed", kind=misbehaviour.kind, why=why)

    def _new_volume(self, cluster: Cluster, holds: int = 0) -> Volume:
        directory = self._directory / cluster.resource_id
        record = partial(self._truth.record, cluster)
        volume = Volume(cluster, directory, self._common, record, holds, reconcile)
        self._volumes[cluster.resource_id] = volume
        return volume


class Truth:
    """The record of what really happened and when, for tests: no measurement may read it."""

    def __init__(self, path: Path) -> None:
        self._file = open_private(path)
        self._lock = threading.Lock()

    def record(self, cluster: Cluster, what: str, **details: Any) -> None:
        """Writes a line, with the instant."""
        with self._lock:
            if not self._file.closed:
                told = {"at": time.monotonic_ns(), "cluster": cluster.id, "what": what, **details}
                self._file.write(json.dumps(told) + "\n")

    def close(self) -> None:
        """Ends the record: nothing is written any more."""
        with self._lock:
            self._file.close()
