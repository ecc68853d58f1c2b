"""The service itself: its world, its servers, and what the passing of time does to both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from chaosaws_kms_lab import aurora, bus, kms
from chaosaws_kms_lab.aurora import Effect, Facts, State
from chaosaws_kms_lab.rds import encryption
from chaosaws_kms_lab.rds.kinds import recoverable
from chaosaws_kms_lab.rds.tables import EVENTS, WRITES
from chaosaws_kms_lab.world import (
    Cluster,
    DataMisbehaviour,
    Encryption,
    Event,
    Instance,
    Snapshot,
    World,
)

__all__ = ["DataPlane", "Endpoints", "Job", "Rds"]


class Job(Protocol):
    """Work on data that goes on in the background."""

    @property
    def done(self) -> bool: ...
    @property
    def error(self) -> str | None:
        """Why it failed, once it is done."""


class Endpoints(Protocol):
    """The addresses of a cluster's two endpoints."""

    @property
    def writer(self) -> str: ...
    @property
    def reader(self) -> str: ...


class DataPlane(Protocol):
    """Who runs the servers behind the clusters (lab/servers)."""

    @property
    def ca(self) -> Path | None:
        """What their clients have to trust; None: there is no TLS."""

    @property
    def password(self) -> str:
        """Of every master user for whom none was given."""

    @property
    def passfile(self) -> Path:
        """Where libpq finds it."""

    def choose_port(self) -> int: ...
    def endpoints(self, cluster: Cluster) -> Endpoints: ...
    def address(self, instance: Instance) -> str: ...
    def writer(self, cluster: Cluster) -> Instance | None: ...
    def add(self, instance: Instance) -> None: ...
    def ready(self, instance: Instance) -> bool: ...
    def failure(self, instance: Instance) -> str | None: ...
    def remove(self, instance: Instance) -> None: ...
    def restart(self, instance: Instance) -> None: ...
    def fail_over(self, cluster: Cluster, target: Instance) -> None: ...
    def busy(self, cluster: Cluster) -> bool: ...
    def perform(self, cluster: Cluster, effect: Effect) -> None: ...
    def snapshot_path(self, snapshot: Snapshot) -> Path: ...
    def snapshot(
        self, cluster: Cluster, to: Path, key: bytes | None, context: Mapping[str, str]
    ) -> Job: ...
    def copy(
        self,
        source: Path,
        to: Path,
        opens: tuple[bytes | None, Mapping[str, str]],
        seals: tuple[bytes | None, Mapping[str, str]],
        change: DataMisbehaviour | None = None,
    ) -> Job: ...
    def restore(
        self, cluster: Cluster, source: Path, key: bytes | None, context: Mapping[str, str]
    ) -> Job: ...
    def restore_to(self, cluster: Cluster, source: Cluster, when: datetime | None) -> Job: ...
    def misbehave(self, cluster: Cluster, misbehaviour: DataMisbehaviour) -> None: ...
    def delete(self, cluster: Cluster) -> None: ...


@dataclass(frozen=True)
class Later:
    """What is done at the first tick at which something has become true."""

    due: Callable[[], bool]
    do: Callable[[], None]


class Tried(NamedTuple):
    """That a data key was unwrapped, or was not, and when that was."""

    usable: bool
    version: kms.Version | None
    at: float
    """Lab seconds."""

    def holds(self, version: kms.Version | None, since: float) -> bool:
        """Whether nothing has happened that could have changed the answer.

        A key that could not be used is tried again all the same if that is long ago: every try
        is one more failing Decrypt in CloudTrail, as of Aurora's.
        """
        if self.usable and self.version and version:
            return self.version._replace(openings=0) == version._replace(openings=0)
        return self.version == version and (self.usable or self.at > since)


@dataclass
class Rds:
    """The service: its world and its servers. The world's lock is held by whoever calls."""

    world: World
    servers: DataPlane
    _later: list[Later] = field(default_factory=list)
    _restoring: set[str] = field(default_factory=set)
    """Resource ids of the clusters whose data are still being restored."""
    _starting: list[Instance] = field(default_factory=list)
    _tried: dict[str, Tried] = field(default_factory=dict)
    """By grant."""

    # The key

    def key_usable_by(self, cluster: Cluster) -> bool:
        """Whether the cluster's data key can be unwrapped: the one place where this is asked."""
        if cluster.encryption is None:
            return True
        held = cluster.encryption
        version, retry = kms.version(self.world, held.key_arn), self.world.profile.key_retry
        tried = self._tried.get(held.grant_id)
        if tried and tried.holds(version, since=self.now() - retry):
            return tried.usable
        usable = encryption.opens(self.world, held)
        self._tried[held.grant_id] = Tried(usable, version, self.now())
        return usable

    def release(self, given_up: Encryption | None) -> None:
        """Gives back the grant of something that is being deleted."""
        if given_up is not None:
            encryption.release(self.world, given_up)
            self._tried.pop(given_up.grant_id, None)

    # Time

    def tick(self) -> None:
        """Lets every cluster take the steps that time and key ask for."""
        due = [later for later in self._later if later.due()]
        self._later = [later for later in self._later if later not in due]
        for later in due:
            later.do()
        self._starting = [i for i in self._starting if not self._up(i)]
        for cluster in self._clusters():
            usable = self.key_usable_by(cluster)
            if not aurora.at_rest(cluster.state, usable):
                self._step(cluster, usable)

    def _clusters(self) -> Iterator[Cluster]:
        for region in self.world.regions():
            yield from list(region.clusters.values())

    def _step(self, cluster: Cluster, usable: bool) -> None:
        state, effects = aurora.step(
            cluster.state,
            Facts(usable, self._servers_ready(cluster), recoverable(self.world, cluster)),
            self.world.clock.now(),
            self.world.profile,
        )
        self.become(cluster, state, effects)

    def _servers_ready(self, cluster: Cluster) -> bool:
        return cluster.resource_id not in self._restoring and not self.servers.busy(cluster)

    def _up(self, instance: Instance) -> bool:
        """Whether a server that was started needs no more watching."""
        if instance not in instance.cluster.instances:
            return True
        if self.servers.failure(instance):
            instance.failed = True
            return True
        if not self.servers.ready(instance):
            return False
        instance.ready = True
        if instance.rebooting:
            instance.rebooting = False
            self.write("RDS-EVENT-0006", instance)
        if instance.cluster.restorable_from is None:
            instance.cluster.restorable_from = self.world.clock.utc()
        return True

    # What handlers ask for

    def now(self) -> float:
        """AWS seconds on the lab's clock."""
        return self.world.clock.now()

    def later(self, due: Callable[[], bool], do: Callable[[], None]) -> None:
        """Does something at the first tick at which `due` is true."""
        self._later.append(Later(due, do))

    def begin(self, instance: Instance) -> None:
        """Starts the server of a new instance as soon as there are data to start it on."""
        cluster = instance.cluster

        def can_begin() -> bool:
            if instance not in cluster.instances:
                return True
            writer = cluster.instances[0]
            return (
                cluster.status in (aurora.AVAILABLE, aurora.CREATING)
                and cluster.resource_id not in self._restoring
                and (writer is instance or writer.ready)
            )

        def start() -> None:
            if instance in cluster.instances:
                self.servers.add(instance)
                self.watch(instance)

        if can_begin():
            start()
        else:
            self.later(can_begin, start)

    def watch(self, instance: Instance) -> None:
        """Notes when a server that was told to start takes connections."""
        instance.ready = False
        self._starting.append(instance)

    def restoring(self, cluster: Cluster, job: Job) -> None:
        """A new cluster is `creating` until its data are there."""
        self._restoring.add(cluster.resource_id)

        def finish() -> None:
            self._restoring.discard(cluster.resource_id)
            if job.error and cluster.state.phase == aurora.CREATING:
                self.request(cluster, "restore failed")
            else:
                cluster.restorable_from = self.world.clock.utc()

        self.later(lambda: job.done, finish)

    def request(self, cluster: Cluster, operation: str) -> None:
        """What a call does at once to a cluster for which it is legal."""
        self.become(cluster, *aurora.request(cluster.state, operation, self.now()))

    def become(self, cluster: Cluster, state: State, effects: tuple[Effect, ...]) -> None:
        """Gives the cluster its new state and performs what comes with it."""
        cluster.state = state
        for effect in effects:
            if effect in (Effect.FAILED_OVER, Effect.STARTED):
                self._note_writer(cluster, failed_over=effect is Effect.FAILED_OVER)
            self.servers.perform(cluster, effect)
            for event in WRITES.get(effect, ()):
                self.write(event, cluster)

    def _note_writer(self, cluster: Cluster, failed_over: bool) -> None:
        """Who the writer is, the servers know; the first instance was to be it."""
        writer = self.servers.writer(cluster)
        wanted = cluster.instances[0] if cluster.instances else None
        if writer in cluster.instances and writer is not wanted:
            cluster.instances.remove(writer)
            cluster.instances.insert(0, writer)
            if failed_over:
                self.write("RDS-EVENT-0069", cluster)
        elif failed_over and wanted:
            self.write("RDS-EVENT-0071", cluster, other=wanted.id)

    def write(self, event_id: str, about: Cluster | Instance | Snapshot, other: str = "") -> None:
        """Writes an RDS event: one of a cluster that is about instances, for each of them."""
        source, categories, message = EVENTS[event_id]
        subjects: list[Cluster | Instance | Snapshot] = [about]
        if isinstance(about, Cluster) and source == "db-instance":
            subjects = list(about.instances)
        for subject in subjects:
            event = Event(
                id=event_id,
                source_type=source,
                source_id=subject.id,
                source_arn=subject.arn,
                categories=categories,
                message=message.format(name=subject.id, other=other),
                date=self.world.clock.utc(),
            )
            self.world.region(subject.arn.split(":")[3]).events.append(event)
            self.world.publish(bus.rds_event(event, subject.tags))
