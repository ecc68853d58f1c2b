"""The undo journal: written before the change, so that whoever comes after us can put it back.

One file an entry, in `$XDG_STATE_HOME/chaosaws-kms` (`~/.local/state/chaosaws-kms`): an entry that
is there is open; closing it removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.files import write_whole
from chaosaws_kms_ext.safety.undo import Undo

__all__ = [
    "Entry",
    "Held",
    "JournalDamaged",
    "check_writable",
    "directory",
    "held",
    "new_entry",
    "open_entries",
    "paths",
    "read",
    "whoami",
    "write",
]

SCHEMA = 1


class JournalDamaged(Exception):
    """An entry cannot be read: which, and what to do."""


class Held(Exception):
    """Another process holds a key: which, in one sentence."""


@dataclass(frozen=True)
class Entry:
    """One fault that may not have been put back."""

    run: str
    owner: str
    target: str
    region: str
    endpoint: str
    """The lab's endpoint; empty on AWS."""
    lab: str
    """The lab's id; empty on AWS."""
    cluster: str
    key: str
    made: str
    """UTC, ISO 8601."""
    undo: Undo
    path: Path
    switch: tuple[str, ...] = ()
    """The schedules on AWS that would do the same (safety/switch.py)."""

    @property
    def is_open(self) -> bool:
        """Whether the key is still to be put back: nobody else has done it by this journal."""
        try:
            return bool(read(self.path).undo.calls)
        except JournalDamaged as problem:
            # One that is gone was closed; one that cannot be read has not been.
            return not isinstance(problem.__cause__, FileNotFoundError)

    def key_is_back(self) -> Entry:
        """The same entry, with nothing left to undo: it still stands for the cluster.

        So a key that somebody else disables later is not enabled by whoever finds the entry.
        """
        return _write(replace(self, undo=Undo((), ())))

    def close(self) -> None:
        """Everything is back: the entry goes. Safe to call again."""
        with contextlib.suppress(FileNotFoundError):  # with its folder
            self.path.unlink()
            _sync(self.path.parent)


def directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the journal is, whatever the working folder."""
    state = environ.get("XDG_STATE_HOME") or ""
    base = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    return base / "chaosaws-kms"


def new_entry(
    *,
    run: str,
    target: str,
    region: str,
    endpoint: str,
    lab: str,
    cluster: str,
    key: str,
    undo: Undo,
    switch: Sequence[str] = (),
    owner: str = "",
) -> Entry:
    """An entry that is not on disk yet: a new file of this machine's journal."""
    folder = directory()
    taken = [int(number) for p in paths(run) if (number := p.stem.rpartition("-")[2]).isdecimal()]
    path = folder / f"{run}-{max(taken, default=0) + 1}.json"
    return Entry(
        run=run,
        owner=owner or whoami(),
        target=target,
        region=region,
        endpoint=endpoint,
        lab=lab,
        cluster=cluster,
        key=key,
        made=datetime.now(UTC).isoformat(timespec="milliseconds"),
        undo=undo,
        path=path,
        switch=tuple(switch),
    )


def write(made: Entry) -> Entry:
    """The entry, open, and safely on disk when this returns; raises OSError."""
    made.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return _write(made)


@contextlib.contextmanager
def held(key: str) -> Iterator[None]:
    """Holds the key for this process, on this machine; raises Held if another does."""
    folder = directory()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Held(f"{file.read().strip() or 'another run'} holds the key {key}") from None
        file.truncate(0)
        file.write(whoami())
        file.flush()
        yield


def check_writable() -> None:
    """Raises OSError if no entry could be written."""
    folder = directory()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"x" * 4096)
        file.flush()
        os.fsync(file.fileno())


def _write(entry: Entry) -> Entry:
    said = {name: value for name, value in vars(entry).items() if name not in ("undo", "path")}
    text = json.dumps({"schema": SCHEMA, **said, "undo": entry.undo.as_json()}, indent=2) + "\n"
    write_whole(entry.path, text)
    _sync(entry.path.parent)
    return entry


def open_entries() -> list[Entry]:
    """Every entry that nobody has closed, the oldest first; raises JournalDamaged."""
    return [read(path) for path in paths() if path.exists()]


def paths(run: str = "") -> list[Path]:
    """Where the open entries are: of one run, or of all."""
    return sorted(directory().glob(f"{run}-*.json" if run else "*.json"))


def read(path: Path) -> Entry:
    """One entry, wherever its file is; raises JournalDamaged."""
    try:
        said: dict[str, Any] = json.loads(path.read_text())
        said.pop("schema")
        said["switch"] = tuple(said.get("switch", ()))
        return Entry(**{**said, "undo": Undo.of_json(said["undo"]), "path": path})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise JournalDamaged(
            f"the undo journal's entry {path} cannot be read ({type(problem).__name__}): look "
            "into it, put back what it names by hand, and remove it"
        ) from problem


def whoami() -> str:
    """User, machine and process, for people."""
    return f"{_user()}@{socket.gethostname()} pid {os.getpid()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _sync(folder: Path) -> None:
    """Makes a change of the folder itself survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
