"""The lab's AWS in this process: real boto3, the real door, a clock moved by hand, no servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from botocore.config import Config
from werkzeug.test import Client

from chaosaws_kms_lab import kms, own_clients, rds
from chaosaws_kms_lab.aurora import PROFILES
from chaosaws_kms_lab.calls import Call, administrator
from chaosaws_kms_lab.door import Door
from chaosaws_kms_lab.rds import Rds
from chaosaws_kms_lab.scheduler import Scheduler
from chaosaws_kms_lab.world import World
from tests.support.clock import HandClock
from tests.support.no_servers import NoServers

REGION = "eu-west-1"

ADDRESS = "127.0.0.1:1"


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
