"""Starts the lab and points this process at it, and at nothing else.

The lab is a program of its own; all that is known of it here is the line that it prints.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import boto3

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.processes import Child, first_line
from chaosaws_kms_ext.settings import Settings

__all__ = ["LabDidNotStart", "LocalLab", "only_the_lab"]

START_TIMEOUT = 30.0
"""Seconds; about one is usual."""

HIDDEN = ("AWS_", "BOTO", "PG")
"""Environment variables that could lead to a real account or database (PGHOSTADDR beats host=)."""


AS_SAID = ("endpoint", "region", "clusters", "access_key", "secret_key", "ca", "psql")
"""What the lab says of itself when it is ready that is kept as it is."""


class LabDidNotStart(PlainError):
    """One sentence: why there is no lab."""


@dataclass(frozen=True)
class LocalLab:
    """A running lab."""

    id: str
    endpoint: str
    region: str
    clusters: Sequence[Mapping[str, str]]
    access_key: str
    secret_key: str = field(repr=False)
    """What requests to it are signed with; both mean nothing elsewhere."""
    credentials: Path
    """A file with these two that nobody else may read."""
    passfile: Path
    """Where libpq finds the password of its databases."""
    requests: Path
    """The log of every API call: one JSON object a line."""
    ca: str | None
    """What clients of its databases have to trust; None: there is no TLS."""
    psql: str | None
    """Where PostgreSQL's client is, if the lab's PostgreSQL came with one."""
    _child: Child
    _log: IO[bytes]

    @classmethod
    def start(cls, speed: float, profile: str, **options: object) -> LocalLab:
        """Starts a lab that dies with this process; raises LabDidNotStart.

        `options`: those of the program (`python -m chaosaws_kms_lab --help`), with underscores:
        `iam=True`, `clusters=2`. False and None are as if they were not given.
        """
        # Unnamed: a crash leaves nothing behind.
        log = tempfile.TemporaryFile()  # noqa: SIM115
        command = _command({"speed": speed, "profile": profile, **options})
        ours, theirs = os.pipe()
        try:
            child = Child(command, log=log, stdout=theirs)
        finally:
            os.close(theirs)
        try:
            ready = _ready(ours, log)
        except BaseException:
            child.stop()
            log.close()
            raise
        finally:
            os.close(ours)
        return cls(
            id=ready["lab"],
            credentials=Path(ready["credentials"]),
            passfile=Path(ready["passfile"]),
            requests=Path(ready["requests"]),
            **{name: ready[name] for name in AS_SAID},
            _child=child,
            _log=log,
        )

    @classmethod
    def of(cls, settings: Settings) -> LocalLab:
        """Starts the one that the settings describe, as `start` does."""
        return cls.start(
            settings.lab_speed,
            settings.lab_profile,
            tls=settings.lab_tls == "yes",
            readers=settings.lab_readers,
            clusters=settings.lab_clusters,
            database=settings.lab_database,
            key_store=settings.lab_key_store,
            recoverable_for=settings.lab_recoverable_for,
            secondary_keys=settings.lab_secondary_keys == "yes",
            dependents=settings.canaries == "yes",
            proxy=settings.lab_proxy == "yes",
            maintenance=settings.lab_maintenance or None,
        )

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._child.running

    def stop(self) -> None:
        """Ends it with all its servers; safe to call again."""
        self._child.stop(grace=10)
        self._log.close()

    @property
    def environment(self) -> dict[str, str]:
        """What leads an AWS client to the lab, with credentials that mean nothing elsewhere.

        And libpq to the passwords of its databases and, where there is TLS, to verify them.
        """
        tls = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": self.ca} if self.ca else {}
        return {
            **tls,
            "PGPASSFILE": str(self.passfile),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }


@contextlib.contextmanager
def only_the_lab(lab: LocalLab) -> Iterator[None]:
    """Inside, no credential, profile or endpoint of the environment can be used but the lab's.

    Everything is put back at the end.
    """
    before = dict(os.environ)
    session = boto3.DEFAULT_SESSION
    for name in before:
        if name.startswith(HIDDEN):
            del os.environ[name]
    os.environ.update(
        lab.environment,
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
        # A file that cannot exist: libpq warns of /dev/null.
        PGSERVICEFILE=f"{os.devnull}/none",
        NO_PROXY="127.0.0.1",
        no_proxy="127.0.0.1",
    )
    boto3.DEFAULT_SESSION = None
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)
        boto3.DEFAULT_SESSION = session


def _command(options: Mapping[str, object]) -> list[str]:
    """What starts the lab."""
    command = [sys.executable, "-m", "chaosaws_kms_lab"]
    for name, value in options.items():
        if value is not None and value is not False:
            command.append(f"--{name.replace('_', '-')}")
            command += [] if value is True else [str(value)]
    return command


def _ready(pipe: int, log: IO[Any]) -> dict[str, Any]:
    """What the lab says of itself once it is ready; raises LabDidNotStart."""
    said = first_line(pipe, START_TIMEOUT)
    try:
        ready: dict[str, Any] = json.loads(said) if said else {"error": _last_line(log)}
    except ValueError as problem:
        raise LabDidNotStart("the lab said something that is not JSON") from problem
    if "error" in ready:
        raise LabDidNotStart(ready["error"])
    return ready


def _last_line(log: IO[Any]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return f"the lab did not start: {lines[-1] if lines else 'it said nothing'}"
