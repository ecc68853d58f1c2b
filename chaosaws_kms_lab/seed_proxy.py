"""The RDS Proxy that a new lab may have before its first cluster, with its secret under a key of
its own."""

from __future__ import annotations

import json
import time

from chaosaws_kms_lab import kms, moto_services, rds
from chaosaws_kms_lab.calls import Call, administrator
from chaosaws_kms_lab.data_plane import LabCannotStart
from chaosaws_kms_lab.rds import Rds
from chaosaws_kms_lab.rds.proxies import REGISTERED
from chaosaws_kms_lab.seed import CLUSTER, START_TIMEOUT, TAGS

__all__ = ["proxy"]

NAME = f"{CLUSTER}-proxy"


def proxy(service: Rds, region_name: str) -> None:
    """Makes it, for the master user, and returns when it can be used.

    Raises LabCannotStart where the lab's first database is no cluster.
    """
    world = service.world
    region = world.region(region_name)
    if (cluster := region.clusters.get(CLUSTER)) is None:
        raise LabCannotStart("an instance that is no cluster's has no RDS Proxy in this lab")
    key = kms.create_key(region, world, f"encrypts the secret of {NAME}", tags=dict(TAGS))
    region.aliases[f"alias/{NAME}"] = key.id
    login = {"username": cluster.master_username, "password": cluster.master_password}
    arn, version = moto_services.create_own_secret(region_name, NAME, json.dumps(login), key.arn)
    by = Call("secretsmanager", "CreateSecret", {}, region_name, administrator())
    service.secrets.keep(arn, version, service.secrets.data_key(by, key.arn, arn, version))
    role = f"arn:aws:iam::{by.caller.account}:role/{NAME}"
    asked = {
        "DBProxyName": NAME,
        "EngineFamily": "POSTGRESQL",
        "Auth": [{"AuthScheme": "SECRETS", "SecretArn": arn}],
        "RoleArn": role,
        "VpcSubnetIds": ["subnet-1", "subnet-2"],
    }
    rds.handle(service, Call("rds", "CreateDBProxy", asked, region_name, administrator()))
    made = region.proxies[NAME]
    made.available_at = service.now()
    target = {"DBProxyName": NAME, "DBClusterIdentifiers": [CLUSTER]}
    rds.handle(service, Call("rds", "RegisterDBProxyTargets", target, region_name, administrator()))
    made.registered_at -= REGISTERED
    end = time.monotonic() + START_TIMEOUT
    while made.health.state != "AVAILABLE":
        service.tick()
        if time.monotonic() > end:
            raise LabCannotStart(f"the lab's RDS Proxy is {made.health}")
        time.sleep(0.005)
