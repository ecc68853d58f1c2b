"""Puts a lab together and serves it: the world, its servers, the door, and the clock's ticks.

Its imports take long (moto), so only __main__.py imports it, and late.
"""

from __future__ import annotations

import json
import logging
import secrets
import socket
import threading
import time
import uuid
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import boto3
from botocore.config import Config
from werkzeug.serving import make_server

from chaosaws_kms_lab import kms, seed, seed_dependents, seed_proxy
from chaosaws_kms_lab.aurora import PROFILES, RECOVERABLE_FOR
from chaosaws_kms_lab.clock import Clock
from chaosaws_kms_lab.data_plane import Servers
from chaosaws_kms_lab.door import Door
from chaosaws_kms_lab.moto_iam import Secrets
from chaosaws_kms_lab.moto_services import MotoRequestHandler
from chaosaws_kms_lab.private_files import open_private
from chaosaws_kms_lab.rds import Rds
from chaosaws_kms_lab.scheduler import RoleInvoker, Scheduler
from chaosaws_kms_lab.world import World

__all__ = ["serve"]

TICK = 0.02
"""Seconds between two looks at the clusters: the resolution of the lab's own instants."""

REST = 0.5
"""Seconds until the next look when nothing changes with time; a request ends the rest."""

ACCESS_KEY = "lab"
SECRET_BYTES = 24


def serve(
    directory: Path,
    listener: socket.socket,
    servers: Servers,
    profile: str,
    region: str,
    iam: bool,
    readers: int = 0,
    clusters: int = 1,
    database: str = "cluster",
    key_store: str = "no",
    recoverable_for: float = RECOVERABLE_FOR,
    secondary_keys: bool = False,
    dependents: bool = False,
    proxy: bool = False,
    maintenance: float = 0.0,
) -> dict[str, Any]:
    """Serves a lab with so many clusters in `region`, all under one key, the first with so many
    readers, or an instance that is no cluster's (`database`); what a client has to know of it.
    `key_store`: one of seed.KEY_STORES. `dependents`: whether more is under that key. `proxy`:
    whether an RDS Proxy is before the first. `maintenance`: AWS seconds of what is pending of it.

    `listener` is where AWS answers, `profile` the name of one of aurora.PROFILES;
    without their key clusters are recoverable for `recoverable_for` AWS seconds. With
    `secondary_keys` the first has more keys than that of its storage.
    """
    timings = replace(PROFILES[profile], recoverable=recoverable_for)
    rds = Rds(World(Clock(servers.speed), timings), servers)
    seeded = seed.databases(rds, region, readers, clusters, database, key_store, secondary_keys)
    _add(rds, region, proxy, maintenance)
    keys = Secrets(lab=_new_secret(), own=_new_secret())
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    endpoint = f"http://{address}"
    schedules = Scheduler(rds.world.clock, RoleInvoker(endpoint, keys.own))
    lab_id, requests = uuid.uuid4().hex, directory / "requests.jsonl"
    door = Door(rds.world, rds, schedules, lab_id, requests, address, keys, iam=iam)
    _listen(door, listener)
    if dependents:
        made = partial(_client, endpoint, region, keys.lab)
        seed_dependents.dependents(made, region, seeded[0]["key"])
    schedules.start()
    threading.Thread(target=_tick, args=(rds, door), daemon=True, name="clock").start()
    return {
        "lab": lab_id,
        "endpoint": endpoint,
        "region": region,
        "clusters": seeded,
        "requests": str(requests),
        **_reached_by(directory, servers, keys.lab),
    }


def _add(rds: Rds, region: str, proxy: bool, maintenance: float) -> None:
    """What the first database may have besides: a proxy, and maintenance that is pending."""
    if proxy:
        seed_proxy.proxy(rds, region)
    rds.world.region(region).databases()[0].maintenance_takes = maintenance


def _reached_by(directory: Path, servers: Servers, secret_key: str) -> dict[str, Any]:
    """What a client needs beside the addresses."""
    return {
        "access_key": ACCESS_KEY,
        "secret_key": secret_key,
        "credentials": str(_write_credentials(directory, secret_key)),
        "passfile": str(servers.passfile),
        "ca": str(servers.ca) if servers.ca else None,
        "psql": str(servers.binaries.psql) if servers.binaries.psql else None,
        "truth": str(directory / "truth.jsonl"),
    }


def _client(endpoint: str, region: str, secret: str, service: str) -> Any:
    """A client of the lab itself, as its owner has one."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=secret,
        config=Config(proxies={}, connect_timeout=2, read_timeout=20),
    )


def _new_secret() -> str:
    return secrets.token_urlsafe(SECRET_BYTES)


def _write_credentials(directory: Path, secret_key: str) -> Path:
    path = directory / "credentials"
    with open_private(path) as file:
        file.write(json.dumps({"access_key": ACCESS_KEY, "secret_key": secret_key}) + "\n")
    return path


def _listen(door: Door, listener: socket.socket) -> None:
    """Answers what comes in at `listener`, each connection in a thread of its own."""
    host, port = listener.getsockname()
    server = make_server(
        host,
        port,
        door,
        threaded=True,
        request_handler=MotoRequestHandler,
        fd=listener.fileno(),
    )
    threading.Thread(target=server.serve_forever, daemon=True, name="door").start()


def _tick(rds: Rds, door: Door) -> NoReturn:
    """Lets time pass; after an error in one tick the clock goes on."""
    world = rds.world
    while True:
        world.called.clear()
        at_rest = False
        with world.lock:
            try:
                kms.tick(world)
                rds.tick()
                if door.misbehaviours.needs_states:
                    for region in world.regions():
                        door.misbehaviours.remember_states(region.keys.values())
                else:
                    at_rest = rds.at_rest and kms.at_rest(world, REST)
            except Exception:
                logging.exception("an error in a tick of the lab's clock")
        time.sleep(TICK)
        if at_rest:
            world.called.wait(REST)
