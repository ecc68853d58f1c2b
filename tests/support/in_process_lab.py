"""The lab's AWS in this process: real boto3, the real door, a clock moved by hand, no servers."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from botocore.config import Config
from werkzeug.test import Client

from chaosaws_kms_lab import kms, own_clients, rds
from chaosaws_kms_lab.aurora import PROFILES, Effect
from chaosaws_kms_lab.calls import Call, administrator
from chaosaws_kms_lab.door import Door
from chaosaws_kms_lab.misbehaviour_orders import BadOrder
from chaosaws_kms_lab.rds import Rds
from chaosaws_kms_lab.scheduler import Scheduler
from chaosaws_kms_lab.world import Cluster, DataMisbehaviour, Instance, Snapshot, World
from tests.support.clock import HandClock

REGION = "eu-west-1"


class Endpoints(NamedTuple):
    writer: str
    reader: str


@dataclass
class Work:
    """A job that is over, or not, as the test wants."""

    done: bool = True
    error: str | None = None


ADDRESS = "127.0.0.1:1"


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
        raise BadOrder("there is nothing that could go wrong")

    def delete(self, cluster: Cluster) -> None:
        self._writers.pop(cluster.resource_id, None)

    def _job(self) -> Work:
        self.jobs.append(Work())
        return self.jobs[-1]


class OneSecret:
    """Everybody signs with the same one."""

    lab = "lab"

    def of(self, access_key: str) -> str:
        return self.lab


class InProcessLab:
    """A lab without a process of its own."""

    def __init__(self, log: Path, profile: str = "observed", iam: bool = False) -> None:
        self.clock = HandClock()
        self.world = World(self.clock, PROFILES[profile])
        self.servers = NoServers()
        self.rds = Rds(self.world, self.servers)
        self.invoked: list[tuple[str, str]] = []
        self.scheduler = Scheduler(self.clock, self._invoke)
        door = Door(self.world, self.rds, self.scheduler, "own_lab", log, ADDRESS, OneSecret(), iam)
        self.dispatch = door.dispatch
        self._door = Client(door)
        self._send = own_clients.sender(door, ADDRESS)

    def client(
        self,
        service: str,
        access_key: str = "lab",
        region: str = REGION,
        token: str | None = None,
        validated: bool = True,
    ) -> Any:
        """A client; if not `validated`, it sends parameters that are out of bounds."""
        return own_clients.client(
            self._send,
            ADDRESS,
            service,
            region,
            Config(retries={"total_max_attempts": 1}, parameter_validation=validated),
            aws_access_key_id=access_key,
            aws_secret_access_key=OneSecret.lab,
            aws_session_token=token,
        )

    def ask(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """What KMS or RDS answers to an administrator, without boto3 and the door: much cheaper."""
        call = Call(service, operation, params, REGION, administrator())
        if service == "kms":
            return kms.handle(self.world, call)
        return rds.handle(self.rds, call)

    def pass_time(self, seconds: float) -> None:
        """Moves the clock and lets happen what then is due."""
        self.clock.seconds += seconds
        kms.tick(self.world)
        self.rds.tick()

    def _invoke(self, service: str, operation: str, *_: Any) -> None:
        self.invoked.append((service, operation))
