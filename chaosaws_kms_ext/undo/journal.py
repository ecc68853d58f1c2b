"""The undo journal: written before the change, so that whoever comes after us can put it back.

One file an entry, in `$XDG_STATE_HOME/chaosaws-kms` (`~/.local/state/chaosaws-kms`): an entry that
is there is open; closing it removes it.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from chaosaws_kms_ext.aws import names
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.files import (
    check_private,
    lock,
    private_folder,
    sync_folder,
    unlock,
    write_whole,
)
from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from chaosaws_kms_ext.undo import strict_reading
from chaosaws_kms_ext.undo.strict_reading import BadRecord
from chaosaws_kms_ext.undo.undo import NotAnUndo, Undo

__all__ = [
    "Entry",
    "Held",
    "JournalDamaged",
    "check_writable",
    "directory",
    "forget_closed",
    "held",
    "listed",
    "new_entry",
    "open_entries",
    "paths",
    "read",
    "ready_directory",
    "whoami",
    "write",
]

SCHEMA = 2
READ = (1, 2)
"""Schemas that are read; 1 wrote its undo's checks down as well, which nobody asks any more."""

FIELDS = (
    "cluster", "credentials", "endpoint", "key", "lab", "made", "owner", "region", "run", "switch",
    "target", "undo",
)  # fmt: skip
NEW = {"credentials": ""}
"""What schema 1 did not have, as it was then."""

WATCHED = ".watchdog.log"
"""What the names of the watchdogs' logs end with."""
LOGS_FOR = 30 * 86400.0
"""Seconds that they are kept."""

CLOSED_FOR = 86400.0
"""Seconds that a closed entry is known as such: longer than its run and watchdog live on."""


class JournalDamaged(PlainError):
    """An entry cannot be read: which, and what to do."""


class Held(PlainError):
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
    credentials: str
    """The file with the lab's credentials; empty on AWS."""
    cluster: str
    key: str
    made: str
    """UTC, ISO 8601."""
    undo: Undo
    path: Path
    switch: tuple[str, ...] = ()
    """The schedules on AWS that would do the same (undo/switch.py)."""

    @property
    def key_is_away(self) -> bool:
        """Whether the key is still to be put back: nobody has done it by this journal.

        An entry that is gone, or cannot be read, and was not closed is lost: nothing was put back.
        """
        try:
            return not self.was_closed and bool(read(self.path).undo.calls)
        except JournalDamaged:
            return True

    @property
    def is_lost(self) -> bool:
        """Whether it is gone, and nobody closed it."""
        return not self.path.exists() and not self.was_closed

    @property
    def was_closed(self) -> bool:
        """Whether somebody closed it, on this machine."""
        return _closed(self.path).exists()

    @property
    def is_copy(self) -> bool:
        """Whether its file is no part of this machine's journal: it stays as it is."""
        return self.path.parent.resolve() != directory().resolve()

    def key_is_back(self) -> Entry:
        """The same entry, with nothing left to undo: it still stands for the cluster.

        So a key that somebody else disables later is not enabled by whoever finds the entry.
        """
        return self.without_calls() if self.is_copy else _write(self.without_calls())

    def without_calls(self) -> Entry:
        """The same, whatever the disk says."""
        return replace(self, undo=Undo())

    def close(self) -> None:
        """Everything is back: it is no entry any more. Safe to call again; raises OSError.

        That it was closed stays for a while: a run that is alive, or its watchdog, has to know.
        """
        if self.is_copy:
            return
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # with its folder
            self.path.replace(_closed(self.path))
            sync_folder(self.path.parent)


def directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the journal is, whatever the working folder."""
    state = environ.get("XDG_STATE_HOME") or ""
    base = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    return base / "chaosaws-kms"


def ready_directory() -> Path:
    """The journal's folder, made if it is missing; raises OSError, also if it is others' too."""
    folder = directory()
    private_folder(folder)
    check_private(folder)
    return folder


def new_entry(
    *,
    run: str,
    region: str,
    lab: LocalLab | None,
    cluster: str,
    key: str,
    undo: Undo,
    switch: Sequence[str] = (),
    owner: str = "",
) -> Entry:
    """An entry that is not on disk yet: a new file of this machine's journal.

    Raises JournalDamaged for one that could not be read back.
    """
    # A name is never used again: whoever still holds an entry must not take another for it.
    path = directory() / f"{run}-{time.time_ns()}.json"
    entry = Entry(
        run=run,
        owner=owner or whoami(),
        region=region,
        **strict_reading.place_of(lab),
        cluster=cluster,
        key=key,
        made=datetime.now(UTC).isoformat(timespec="milliseconds"),
        undo=undo,
        path=path,
        switch=tuple(switch),
    )
    try:
        _check(entry)
    except (BadRecord, NotAnUndo) as problem:
        raise JournalDamaged(f"an entry of the undo journal that {problem}") from problem
    return entry


def write(made: Entry) -> Entry:
    """The entry, open, and safely on disk when this returns; raises OSError, and leaves none."""
    ready_directory()
    try:
        return _write(made)
    except OSError:
        with contextlib.suppress(OSError):
            made.path.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def held(key: str) -> Iterator[None]:
    """Holds the key for this process, on this machine; raises Held if another does."""
    path = ready_directory() / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.lock"
    try:
        file = lock(path)
    except BlockingIOError as problem:
        raise Held(f"{problem or 'another run'} holds the key {key}") from None
    try:
        file.truncate(0)
        file.write(whoami())
        file.flush()
        yield
    finally:
        unlock(path, file)


def check_writable() -> None:
    """Raises OSError if no entry could be written."""
    folder = ready_directory()
    forget_closed()
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"x" * 4096)
        file.flush()
        os.fsync(file.fileno())


def _write(entry: Entry) -> Entry:
    said = {name: value for name, value in vars(entry).items() if name not in ("undo", "path")}
    text = json.dumps({"schema": SCHEMA, **said, "undo": entry.undo.as_json()}, indent=2) + "\n"
    write_whole(entry.path, text)
    sync_folder(entry.path.parent)
    return entry


def open_entries() -> list[Entry]:
    """Every entry that nobody has closed, the oldest first; raises JournalDamaged."""
    return [read(path) for path in paths() if path.exists()]


def paths(run: str = "") -> list[Path]:
    """Where the open entries are: of one run, or of all. Raises OSError if nobody may look."""
    return listed(directory(), f"{run}-*.json" if run else "*.json")


def listed(folder: Path, pattern: str) -> list[Path]:
    """What in a folder is called so; a folder that is not there has nothing.

    Raises OSError, also for a folder into which others can put something. (`Path.glob` takes one
    that cannot be read for an empty one.)
    """
    try:
        check_private(folder)
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(folder / name for name in names if fnmatchcase(name, pattern))


def forget_closed(run: str = "") -> None:
    """Removes what is left of a run's closed entries; or of all, and of watchdogs, that is old."""
    kept = {f"{run}-*.closed": 0.0} if run else {"*.closed": CLOSED_FOR, f"*{WATCHED}": LOGS_FOR}
    with contextlib.suppress(OSError):
        for pattern, seconds in kept.items():
            old = time.time() - seconds
            for path in listed(directory(), pattern):
                if run or path.stat().st_mtime < old:
                    path.unlink(missing_ok=True)


def read(path: Path) -> Entry:
    """One entry, wherever its file is; raises JournalDamaged."""
    try:
        said = strict_reading.document(path, READ, FIELDS, NEW)
        if isinstance(said["undo"], dict):
            said["undo"].pop("checks", None)
        names = said["switch"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise BadRecord("has a switch that is no list of names")
        entry = Entry(
            **{**said, "switch": tuple(said["switch"]), "undo": Undo.of_json(said["undo"])},
            path=path,
        )
        _check(entry)
        return entry
    except (BadRecord, NotAnUndo) as problem:
        raise JournalDamaged(
            f"the undo journal's entry {path} {problem}: look into it, put back what it names by "
            "hand, and remove it"
        ) from problem


def _check(entry: Entry) -> None:
    """Raises BadRecord or NotAnUndo unless everything in it goes together."""
    said = vars(entry)
    strict_reading.check_texts(said, [name for name in FIELDS if name not in ("switch", "undo")])
    strict_reading.check_place(said)
    key = strict_reading.KEY.fullmatch(entry.key)
    if not key or key["region"] != entry.region:
        raise BadRecord(f"names no key of {entry.region or 'a Region'}: {entry.key!r:.100}")
    if not strict_reading.RUN.fullmatch(entry.run):
        raise BadRecord(f"names no run: {entry.run!r:.100}")
    if entry.cluster and not strict_reading.CLUSTER.fullmatch(entry.cluster):
        raise BadRecord(f"names no cluster: {entry.cluster!r:.100}")
    if not set(entry.switch) <= set(names.schedules(entry.key)):
        raise BadRecord(f"names schedules that are not its key's: {entry.switch!r:.200}")
    try:
        made = datetime.fromisoformat(entry.made)
    except ValueError:
        made = None
    if made is None or made.tzinfo is None:
        raise BadRecord(f"was made at no instant: {entry.made!r:.100}")
    entry.undo.check_about(entry.key)


def _closed(path: Path) -> Path:
    return path.with_suffix(".closed")


def whoami() -> str:
    """User, machine and process, for people."""
    return f"{_user()}@{socket.gethostname()} pid {os.getpid()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
