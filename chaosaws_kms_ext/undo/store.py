"""The records from which others can undo a run: where they are kept, and how they are read.

In `$XDG_STATE_HOME/chaosaws-kms` (`~/.local/state/chaosaws-kms`), one JSON object in each file:
written as a whole or not at all, and by nobody else. A file may come from another machine, from a
newer version, or from an attacker: everything in it is checked before it is used.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import re
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.aws.instance import PREFIX
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.files import (
    NotPrivate,
    check_private,
    lock,
    private_folder,
    read_private,
    sync_folder,
    unlock,
    write_whole,
)
from chaosaws_kms_ext.lab_client import presence
from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from chaosaws_kms_ext.text import printable

__all__ = [
    "CLUSTER",
    "DATABASE",
    "KEY",
    "ORIGIN",
    "RUN",
    "BadRecord",
    "Held",
    "JournalDamaged",
    "Origin",
    "check_origin",
    "check_texts",
    "directory",
    "held",
    "is_held",
    "listed",
    "origin_of",
    "read",
    "ready_directory",
    "whoami",
    "write",
]

RUN = re.compile(r"[A-Za-z0-9][\w-]{0,63}", re.ASCII)
CLUSTER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,62}", re.ASCII)
"""API reference, CreateDBCluster, DBClusterIdentifier."""
DATABASE = re.compile(rf"(?:{PREFIX})?{CLUSTER.pattern}", re.ASCII)
"""A reference (aws/database.py): of a cluster, or of an instance, whose id is alike (API reference,
CreateDBInstance, DBInstanceIdentifier)."""
KEY = re.compile(
    r"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):key/[A-Za-z0-9-]+", re.ASCII
)
LONGEST = 300
"""Letters of a text that people read."""


class JournalDamaged(PlainError):
    """A record cannot be read: which, and what to do."""


class Held(PlainError):
    """Another process holds something: what, in one sentence."""


class BadRecord(ValueError):
    """Why a file of ours is not believed; ends a sentence that begins with its name."""

    def __init__(self, why: str) -> None:
        super().__init__(printable(why))


@dataclass(frozen=True)
class Origin:
    """The run that a record belongs to, and where it runs: on AWS, or in a lab of this machine."""

    run: str
    owner: str
    target: str
    region: str
    endpoint: str
    """The lab's endpoint; empty on AWS."""
    lab: str
    """The lab's id; empty on AWS."""
    credentials: str
    """The file with the lab's credentials; empty on AWS."""

    @property
    def lab_is_gone(self) -> bool:
        """Whether it is about a lab that is surely gone, and everything with it."""
        return bool(self.lab) and presence.is_gone(self.endpoint, self.lab)


ORIGIN = tuple(field.name for field in fields(Origin))
"""The fields of a record that say it."""


def origin_of(run: str, region: str, lab: LocalLab | None, owner: str = "") -> Origin:
    """That of a record which this process writes, for somebody else if an `owner` is named."""
    return Origin(
        run=run,
        owner=owner or whoami(),
        target="lab" if lab else "aws",
        region=region,
        endpoint=lab.endpoint if lab else "",
        lab=lab.id if lab else "",
        credentials=str(lab.credentials) if lab else "",
    )


def check_origin(origin: Origin) -> None:
    """Raises BadRecord if the fields contradict each other.

    Only a lab has an endpoint, and it is on this machine: no file can send credentials elsewhere.
    """
    check_texts(vars(origin), ORIGIN)
    if not RUN.fullmatch(origin.run):
        raise BadRecord(f"names no run: {origin.run!r:.100}")
    if origin.target == "aws":
        if origin.endpoint or origin.lab or origin.credentials:
            raise BadRecord("is about AWS, and names an endpoint or a lab")
    elif origin.target != "lab":
        raise BadRecord(f"has no target that there is: {origin.target!r:.100}")
    elif not (origin.lab and origin.credentials) or not presence.is_endpoint(origin.endpoint):
        raise BadRecord(f"names no lab of this machine: {origin.endpoint!r:.100}")


def check_texts(said: Mapping[str, Any], names: Collection[str]) -> None:
    """Raises BadRecord unless these fields are texts that a terminal can show."""
    for name in names:
        value = said[name]
        if not isinstance(value, str) or len(value) > LONGEST or not (value + " ").isprintable():
            raise BadRecord(f"says what cannot be its {name}: {value!r:.100}")


# Where


def directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where it is, whatever the working folder."""
    state = environ.get("XDG_STATE_HOME") or ""
    base = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    return base / "chaosaws-kms"


def ready_directory() -> Path:
    """The folder, made if it is missing; raises OSError, also if it is others' too."""
    return _ready(directory())


def listed(folder: Path, pattern: str) -> list[Path]:
    """The files in a folder whose names match; none if there is no such folder.

    Raises OSError, also for a folder into which others can put something. (`Path.glob` takes one
    that cannot be read for an empty one.)
    """
    try:
        check_private(folder)
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(folder / name for name in names if fnmatchcase(name, pattern))


# Written and read


def write(path: Path, schema: int, said: Mapping[str, Any]) -> None:
    """Writes a record, safely on disk when this returns; raises OSError."""
    write_whole(path, json.dumps({"schema": schema, **said}, indent=2) + "\n")
    sync_folder(path.parent)


def read(path: Path, schemas: Sequence[Collection[str]]) -> dict[str, Any]:
    """The record in a file, without its schema; raises BadRecord.

    `schemas`: the fields that each has, the first being number 1. It has those of its own, and none
    that is not known: a newer version may have written down what this one would drop.
    """
    try:
        said = json.loads(read_private(path))
    except NotPrivate as problem:
        raise BadRecord(f"is not read: {problem}") from problem
    except (OSError, ValueError, RecursionError) as problem:
        raise BadRecord(f"cannot be read ({type(problem).__name__})") from problem
    if not isinstance(said, dict):
        raise BadRecord("cannot be read (it is no JSON object)")
    known = range(1, len(schemas) + 1)
    if (schema := said.pop("schema", None)) not in known or isinstance(schema, bool):
        numbers = " and ".join(map(str, known))
        raise BadRecord(f"has the schema {schema!r:.20}, and this version reads {numbers}")
    if unknown := sorted(said.keys() - set(schemas[-1])):
        raise BadRecord(f"has fields that this version does not know: {', '.join(unknown):.200}")
    if missing := sorted(set(schemas[int(schema) - 1]) - said.keys()):
        raise BadRecord(f"has no {', '.join(missing)}")
    return said


# Held


@contextlib.contextmanager
def held(path: Path, what: str, by: str = "") -> Iterator[None]:
    """Holds something for this process, on this machine, by a file that is there meanwhile.

    `what` it is, and `by` whom, in words for those who come meanwhile. Raises Held if another
    process holds it, or OSError.
    """
    _ready(path.parent)
    try:
        file = lock(path)
    except BlockingIOError as problem:
        raise Held(f"{str(problem) or 'another process'} holds {what}") from None
    try:
        file.truncate(0)
        file.write(by)
        file.flush()
        yield
    finally:
        unlock(path, file)


def is_held(path: Path) -> bool:
    """Whether a process that lives, be it this one, holds what this file is for; raises OSError."""
    try:
        with path.open("r+") as file:  # NFS locks only what is open for writing
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def whoami() -> str:
    """User, machine and process, for people."""
    return f"{_user()}@{socket.gethostname()} pid {os.getpid()}"


# Internals


def _ready(folder: Path) -> Path:
    private_folder(folder)
    check_private(folder)
    return folder


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
