"""A lab in this process whose clusters are under keys of one custom key store."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_lab import kms
from chaosaws_kms_lab.calls import Call, administrator
from chaosaws_kms_lab.kms import key_stores
from chaosaws_kms_lab.rds import handle
from tests.support.in_process_lab import ADDRESS, REGION, InProcessLab
from tests.support.labs import credentials

__all__ = ["EXTERNAL", "StoreLab", "time_of"]

EXTERNAL = "EXTERNAL_KEY_STORE"
TAG, VALUE = "chaos:allow", "kms"


class StoreLab(InProcessLab):
    """`orders` is under the key `key` of the connected store `store`; nothing else is there."""

    def __init__(self, log: Path, iam: bool = False) -> None:
        super().__init__(log, iam=iam)
        self.log = log
        region = self.world.region(REGION)
        self.its = kms.make_key_store(self.world, region, "shop", EXTERNAL, {})
        self.its.state = "CONNECTED"
        self.store = self.its.id
        self.key = self.new_key("orders")
        self.new_cluster("orders", self.key)

    def new_key(self, external: str, store: bool = True, **tags: str) -> str:
        """The ARN of a key, in the store or in none, that may be attacked; `tags`: others."""
        carried = tags or {TAG: VALUE}
        asked: dict[str, Any] = {
            "Tags": [{"TagKey": name, "TagValue": value} for name, value in carried.items()]
        }
        if store:
            asked |= {"Origin": EXTERNAL, "CustomKeyStoreId": self.store, "XksKeyId": external}
        made: str = self.ask("kms", "CreateKey", **asked)["KeyMetadata"]["Arn"]
        return made

    def new_cluster(self, name: str, key: str, allowed: bool = True) -> None:
        """An available cluster with one instance."""
        tags = [{"Key": TAG, "Value": VALUE}] if allowed else []
        self._make(
            "CreateDBCluster",
            DBClusterIdentifier=name,
            Engine="aurora-postgresql",
            StorageEncrypted=True,
            KmsKeyId=key,
            Tags=tags,
        )
        self._make(
            "CreateDBInstance",
            DBInstanceIdentifier=f"{name}-1",
            DBClusterIdentifier=name,
            DBInstanceClass="db.r6g.large",
            Engine="aurora-postgresql",
        )
        for _ in range(3):
            self.pass_time(600)

    def new_instance(self, name: str, key: str) -> None:
        """An available instance that is no cluster's."""
        self._make(
            "CreateDBInstance",
            DBInstanceIdentifier=name,
            DBInstanceClass="db.m6g.large",
            Engine="postgres",
            AllocatedStorage=20,
            StorageEncrypted=True,
            KmsKeyId=key,
            Tags=[{"Key": TAG, "Value": VALUE}],
        )
        for _ in range(3):
            self.pass_time(600)

    def aws(self) -> Aws:
        """The extension's own access to it."""
        made = Aws(REGION, f"http://{ADDRESS}", lab=credentials(self.log.parent))
        made._session.events.register("before-send", self._send)
        return made

    def state(self) -> str:
        """Of the store's connection."""
        return self.its.state

    def operations(self) -> list[str]:
        """The calls of KMS so far that came through the door."""
        lines = map(json.loads, self.log.read_text().splitlines())
        return [line["operation"] for line in lines if line["service"] == "kms"]

    def _make(self, operation: str, **parameters: Any) -> None:
        handle(self.rds, Call("rds", operation, parameters, REGION, administrator()))


def time_of(lab: InProcessLab, monkeypatch: pytest.MonkeyPatch, module: Any) -> list[float]:
    """Lets a module wait by the lab's clock; the seconds that it waited for are in the list.

    Stores connect in 50 and disconnect in 5 seconds, which is fewer looks for a test.
    """
    monkeypatch.setattr(key_stores, "CONNECTS_IN", {EXTERNAL: 50.0})
    monkeypatch.setattr(key_stores, "DISCONNECTS_IN", 5.0)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        lab.pass_time(seconds)

    clock = SimpleNamespace(monotonic=lab.clock.now, monotonic_ns=time.monotonic_ns, sleep=sleep)
    monkeypatch.setattr(module, "time", clock)
    return slept
