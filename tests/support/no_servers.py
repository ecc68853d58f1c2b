"""A data plane without servers: importable without what only the lab needs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from chaosaws_kms_lab.aurora import Effect
    from chaosaws_kms_lab.world import Cluster, DataMisbehaviour, Instance, Snapshot

__all__ = ["NoServers"]


class Endpoints(NamedTuple):
    writer: str
    reader: str


@dataclass
class Work:
    """A job that is over, or not, as the test wants."""

    done: bool = True
    error: str | None = None


class Served(NamedTuple):
    """What the endpoint of an RDS Proxy was last told."""

    port: int
    writer: str | None
    logins: Mapping[str, str]
    borrow_timeout: float


class NoEndpoints:
    """The endpoints of RDS Proxies: nobody listens, and each says what it was told."""

    def __init__(self) -> None:
        self.served: dict[int, Served] = {}

    def address(self, number: int) -> str:
        return f"127.0.2.{number}"

    def serve(self, number: int, *told: Any) -> None:
        self.served[number] = Served(*told)

    def end(self, number: int) -> None:
        self.served.pop(number, None)


class NoServers:
    """A data plane without data: everything that is asked of it has just been done."""

    ca = None
    password = "not-so-secret"
    passfile = Path("/nowhere")

    def __init__(self) -> None:
        self.effects: list[tuple[str, Effect]] = []
        self.jobs: list[Work] = []
        self.proxies = NoEndpoints()
        self._writers: dict[str, Instance] = {}

    def choose_port(self) -> int:
        return 20000

    def endpoints(self, cluster: Cluster) -> Endpoints:
        return Endpoints("127.0.0.1", "127.0.0.2")

    def address(self, instance: Instance) -> str:
        return "127.0.1.1"

    def writer(self, cluster: Cluster) -> Instance | None:
        return self._writers.get(cluster.resource_id)

    def add(self, instance: Instance) -> None:
        self._writers.setdefault(instance.cluster.resource_id, instance)

    def ready(self, instance: Instance) -> bool:
        return True

    def failure(self, instance: Instance) -> str | None:
        return None

    def remove(self, instance: Instance) -> None:
        if self.writer(instance.cluster) is instance:
            del self._writers[instance.cluster.resource_id]

    def restart(self, instance: Instance) -> None:
        pass

    def fail_over(self, cluster: Cluster, target: Instance) -> None:
        self._writers[cluster.resource_id] = target

    def busy(self, cluster: Cluster) -> bool:
        return False

    def perform(self, cluster: Cluster, effect: Effect) -> None:
        self.effects.append((cluster.resource_id, effect))

    def snapshot_path(self, snapshot: Snapshot) -> Path:
        return Path(tempfile.gettempdir()) / "no-such-snapshot"

    def snapshot(self, *_: Any) -> Work:
        return self._job()

    def copy(self, *_: Any) -> Work:
        return self._job()

    def restore(self, *_: Any) -> Work:
        return self._job()

    def restore_to(self, *_: Any) -> Work:
        return self._job()

    def misbehave(self, cluster: Cluster, misbehaviour: DataMisbehaviour) -> None:
        from chaosaws_kms_lab.misbehaviour_orders import BadOrder  # where there is a lab only

        raise BadOrder("there is nothing that could go wrong")

    def delete(self, cluster: Cluster) -> None:
        self._writers.pop(cluster.resource_id, None)

    def _job(self) -> Work:
        self.jobs.append(Work())
        return self.jobs[-1]
