"""What a judgement depends on beside the records: `run.json`, written when a run starts."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.files import write_whole
from chaosaws_kms_ext.history.earlier import Earlier
from chaosaws_kms_ext.history.records import Utc
from chaosaws_kms_ext.settings import Settings

__all__ = ["SCHEMA", "CannotBeJudged", "Conditions", "Process", "read_conditions"]

SCHEMA = 2
FILE = "run.json"

PACKAGES = (
    "chaostoolkit-aws-kms", "chaostoolkit", "chaostoolkit-lib", "boto3", "locust", "numpy",
    "psycopg",
)  # fmt: skip


class CannotBeJudged(PlainError):
    """A folder holds no run that this version can judge. One sentence."""


@dataclass(frozen=True)
class Process:
    """The process of a run: its pid, and when it started, since pids are used again."""

    pid: int
    started: float
    """Seconds after the machine did, which a clock that is set does not change."""

    @classmethod
    def this(cls) -> Process:
        """This process."""
        return cls(os.getpid(), _after_boot(os.getpid()))

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        try:
            return abs(_after_boot(self.pid) - self.started) < SAME
        except (psutil.Error, TypeError, ValueError, OverflowError):
            return False


SAME = 2.0
"""Seconds that two readings of one start may differ."""


def _after_boot(pid: int) -> float:
    return psutil.Process(pid).create_time() - psutil.boot_time()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


@dataclass(frozen=True, eq=False)
class Conditions:
    """What is known of a run before anything has happened in it."""

    run: str
    experiment: str
    started: Utc
    settings: Settings
    region: str = ""
    expects_outage: bool = False
    """Whether the key of the cluster is to be taken away, so that the load `main` has an outage."""
    objectives: Mapping[str, float | None] = field(default_factory=dict)
    """What the experiment asks for, each with its own limit, or None."""
    process: Process = field(default_factory=Process.this)
    versions: Mapping[str, str] = field(default_factory=_versions)
    earlier: Mapping[str, Earlier] = field(default_factory=dict)
    """Objectives that are held against earlier runs: name → those, as they were at the start."""
    by_others: bool = False
    """Whether the run only watches, and the key is somebody else's to take away."""

    def write(self, folder: Path) -> None:
        """Into a `history/` folder; raises OSError."""
        earlier = {name: each.as_json() for name, each in self.earlier.items()}
        said = {"schema": SCHEMA, **asdict(self), "earlier": earlier}
        write_whole(folder / FILE, json.dumps(said, indent=2) + "\n")


def read_conditions(folder: Path) -> Conditions:
    """Those of a `history/` folder; raises CannotBeJudged."""
    path = folder / FILE
    try:
        said: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise CannotBeJudged(
            f"{path} is not there: this is no folder of a run, or an older version "
            "recorded it: it cannot be judged again"
        ) from None
    except (OSError, ValueError, RecursionError) as problem:
        raise CannotBeJudged(f"{path} cannot be read: {problem}") from None
    if not isinstance(said, dict) or said.get("schema") != SCHEMA:
        found = said.get("schema") if isinstance(said, dict) else None
        raise CannotBeJudged(
            f"{path} has the schema {found!r:.20}, and this version reads {SCHEMA}: judge it with "
            "the version that recorded it"
        )
    try:
        return _conditions(said)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise CannotBeJudged(
            f"{path} is damaged, or was recorded by another version: {problem}"
        ) from None


def _conditions(said: dict[str, Any]) -> Conditions:
    fields = {name: value for name, value in said.items() if name != "schema"}
    fields["settings"] = Settings.of_json(said["settings"])
    fields["process"] = Process(**said["process"])
    earlier = dict(said.get("earlier", {}))
    fields["earlier"] = {name: Earlier.of_json(each) for name, each in earlier.items()}
    limits = dict(said["objectives"]).values()
    if not all(limit is None or type(limit) in (int, float) for limit in limits):
        raise ValueError("the limit of an objective is a number")
    for name in ("expects_outage", "by_others"):
        if not isinstance(said.get(name, False), bool):
            raise ValueError(f"{name} is true or false")
    return Conditions(**fields)
