"""The service itself: its world, its servers, and what happens to both with time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from chaosaws_kms_lab import aurora, data_misbehaviours, event_bus, kms
from chaosaws_kms_lab.aurora import Effect, Facts, State
from chaosaws_kms_lab.data_misbehaviours import TERMINAL_COMES_BACK
from chaosaws_kms_lab.rds import encryption, proxies, secondary
from chaosaws_kms_lab.rds.recoverability import recoverable
from chaosaws_kms_lab.rds.tables import EVENTS, OF_INSTANCE, WRITES
from chaosaws_kms_lab.secrets_manager import Secrets
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


class Proxies(Protocol):
    """The endpoints of RDS Proxies (data_plane/proxies.py)."""

    def address(self, number: int) -> str: ...
    def serve(
        self,
        number: int,
        port: int,
        writer: str | None,
        logins: Mapping[str, str],
        borrow_timeout: float,
    ) -> None: ...
    def end(self, number: int) -> None: ...


class DataPlane(Protocol):
    """The servers behind the clusters (data_plane/servers.py)."""

    @property
    def proxies(self) -> Proxies: ...

    @property
    def ca(self) -> Path | None:
        """The certificate authority that clients have to trust; None: there is no TLS."""

    @property
    def password(self) -> str:
        """Of every master user that was made without a password."""

    @property
    def passfile(self) -> Path:
        """The file in which libpq finds it."""

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


def _is_single(about: Cluster | Instance | Snapshot) -> bool:
    """Whether it is an instance that is no cluster's, as a cluster of one, or a snapshot of it."""
    if isinstance(about, Snapshot):
        return about.origin.single
    return isinstance(about, Cluster) and about.single


@dataclass(frozen=True)
class Later:
    """Something to do at the first tick at which `due` is true."""

    due: Callable[[], bool]
    do: Callable[[], None]


class Attempt(NamedTuple):
    """An attempt to unwrap a data key, and its result."""

    usable: bool
    version: kms.Version | None
    at: float
    """Lab seconds."""

    def holds(self, version: kms.Version | None, since: float) -> bool:
        """Whether the result still holds: nothing has happened since that could change it.

        A key that could not be used is tried again after some time all the same; each try is one
        more failing Decrypt in CloudTrail, as with Aurora.
        """
        if self.usable and self.version and version:
            return self.version._replace(permitting_changes=0) == version._replace(
                permitting_changes=0
            )
        return self.version == version and (self.usable or self.at > since)


@dataclass
class Rds:
    """The service: its world and its servers. Callers hold the world's lock."""

    world: World
    servers: DataPlane
    _later: list[Later] = field(default_factory=list)
    _restoring: set[str] = field(default_factory=set)
    """Resource ids of the clusters whose data are still being restored."""
    _starting: list[Instance] = field(default_factory=list)
    _attempts: dict[str, Attempt] = field(default_factory=dict)
    """Grant id → the last attempt."""
    secrets: Secrets = field(init=False)
    """Of Secrets Manager, in which RDS keeps passwords."""
    at_rest: bool = False
    """Whether the last tick found that nothing changes with time, unless somebody calls."""

    def __post_init__(self) -> None:
        self.secrets = Secrets(self.world)

    # The key

    def key_usable_by(self, cluster: Cluster) -> bool:
        """Whether the cluster's data key can be unwrapped: the one place where this is asked."""
        if cluster.encryption is None:
            return True
        if secondary.stops(self, cluster):
            return False
        held = cluster.encryption
        version, retry = kms.version(self.world, held.key_arn), self.world.profile.key_retry
        attempt = self._attempts.get(held.grant_id)
        if attempt and attempt.holds(version, since=self.now() - retry):
            return attempt.usable
        usable = encryption.opens(self.world, held)
        self._attempts[held.grant_id] = Attempt(usable, version, self.now())
        return usable

    def release(self, given_up: Encryption | None) -> None:
        """Retires the grant of something that is being deleted."""
        if given_up is not None:
            encryption.release(self.world, given_up)
            self._attempts.pop(given_up.grant_id, None)

    # Time

    def tick(self) -> None:
        """Takes the steps of every cluster that are due, by the time and its key."""
        due = [later for later in self._later if later.due()]
        self._later = [later for later in self._later if later not in due]
        for later in due:
            later.do()
        self._starting = [i for i in self._starting if not self._has_started(i)]
        at_rest = not due
        for cluster in self._clusters():
            if cluster.stream:
                secondary.beat(self, cluster, cluster.stream)
            usable = self.key_usable_by(cluster)
            if not aurora.at_rest(cluster.state, usable):
                self._step(cluster, usable)
                at_rest = False
            elif usable and self._comes_back(cluster):
                self.request(cluster, "the key is back")
                at_rest = False
            elif not usable or self._depends_on_time(cluster):
                at_rest = False
        alone = proxies.tick(self)
        self.at_rest = at_rest and alone and not self._later and not self._starting

    def _depends_on_time(self, cluster: Cluster) -> bool:
        """Whether its key's policy may say something else a second later."""
        if cluster.encryption is None:
            return False
        attempt = self._attempts.get(cluster.encryption.grant_id)
        return attempt is not None and attempt.version is not None and attempt.version.second > 0

    def _comes_back(self, cluster: Cluster) -> bool:
        """Whether a misbehaviour brings a cluster back that is lost for good."""
        if cluster.state.phase != aurora.TERMINAL:
            return False
        ordered = self.world.active_misbehaviours(TERMINAL_COMES_BACK)
        return any(each.about is cluster for each in ordered)

    def _clusters(self) -> Iterator[Cluster]:
        for region in self.world.regions():
            yield from region.databases()

    def _step(self, cluster: Cluster, usable: bool) -> None:
        state, effects = aurora.step(
            cluster.state,
            Facts(usable, self._servers_ready(cluster), recoverable(self.world, cluster)),
            self.world.clock.now(),
            data_misbehaviours.profile_of(self.world, cluster),
        )
        self.change_state(cluster, state, effects)

    def _servers_ready(self, cluster: Cluster) -> bool:
        return cluster.resource_id not in self._restoring and not self.servers.busy(cluster)

    def _has_started(self, instance: Instance) -> bool:
        """Whether a starting server is ready, has failed, or is gone."""
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
            self.write_event("RDS-EVENT-0006", instance)
        if instance.cluster.restorable_from is None:
            instance.cluster.restorable_from = self.world.clock.utc()
        return True

    # What handlers ask for

    def now(self) -> float:
        """AWS seconds on the lab's clock."""
        return self.world.clock.now()

    def do_when(self, due: Callable[[], bool], do: Callable[[], None]) -> None:
        """Does something at the first tick at which `due` is true."""
        self._later.append(Later(due, do))

    def start_when_possible(self, instance: Instance) -> None:
        """Starts the server of a new instance, as soon as its cluster has data."""
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
                self.watch_start(instance)

        if can_begin():
            start()
        else:
            self.do_when(can_begin, start)

    def watch_start(self, instance: Instance) -> None:
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

        self.do_when(lambda: job.done, finish)

    def request(self, cluster: Cluster, operation: str) -> None:
        """Does at once what a legal call does to a cluster."""
        self.change_state(cluster, *aurora.request(cluster.state, operation, self.now()))

    def change_state(self, cluster: Cluster, state: State, effects: tuple[Effect, ...]) -> None:
        """Gives the cluster its new state, performs the effects and writes their events."""
        cluster.state = state
        for effect in effects:
            if effect in (Effect.FAILED_OVER, Effect.STARTED):
                self._note_writer(cluster, failed_over=effect is Effect.FAILED_OVER)
            if effect is Effect.MAINTAINED:
                cluster.maintenance_takes, cluster.maintenance_opt_in = 0.0, ""
            self.servers.perform(cluster, effect)
            for event in WRITES.get(effect, ()):
                self.write_event(event, cluster)

    def _note_writer(self, cluster: Cluster, failed_over: bool) -> None:
        """Puts the writer first among the instances: the servers know which it is."""
        writer = self.servers.writer(cluster)
        wanted = cluster.instances[0] if cluster.instances else None
        if writer in cluster.instances and writer is not wanted:
            cluster.instances.remove(writer)
            cluster.instances.insert(0, writer)
            if failed_over:
                self.write_event("RDS-EVENT-0069", cluster)
        elif failed_over and wanted:
            self.write_event("RDS-EVENT-0071", cluster, other=wanted.id)

    def write_event(
        self, event_id: str, about: Cluster | Instance | Snapshot, other: str = ""
    ) -> None:
        """Writes an RDS event; if it is about instances, and `about` a cluster, one for each."""
        if _is_single(about):
            event_id = OF_INSTANCE.get(event_id, event_id)
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
            self.world.publish(event_bus.rds_event(event, subject.tags))
