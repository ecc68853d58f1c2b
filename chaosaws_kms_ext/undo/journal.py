"""The undo journal: written before a change, so that others can undo it if this process dies.

Each entry is one file. It is closed when key and cluster are back: its file gets another name, so
that nobody has to read it to know.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from chaosaws_kms_ext.aws import names
from chaosaws_kms_ext.files import sync_folder
from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from chaosaws_kms_ext.undo import store
from chaosaws_kms_ext.undo.store import BadRecord, JournalDamaged, Origin
from chaosaws_kms_ext.undo.undo import NotAnUndo, Undo

__all__ = [
    "WATCHED",
    "Entry",
    "State",
    "check_writable",
    "forget_closed",
    "held",
    "new_entry",
    "open_entries",
    "paths",
    "read",
    "write",
]

State = Literal["key-away", "key-back", "closed"]
"""`key-away`: the key is to be put back; `key-back`: the cluster may still have to be started, and
the switch to be disarmed; `closed`: nothing is left to do."""

MOVES: Mapping[State, Sequence[State]] = {
    "key-away": ("key-back", "closed"),
    "key-back": ("closed",),
    "closed": (),
}
"""State → the states that may follow it."""

SCHEMA = 5
FIRST = (
    "cluster",
    "endpoint",
    "key",
    "lab",
    "made",
    "owner",
    "region",
    "run",
    "switch",
    "target",
    "undo",
)
SECOND = (*FIRST, "credentials")
THIRD = (*SECOND, "state")
FOURTH = (*THIRD, "others")
SCHEMAS = (FIRST, SECOND, THIRD, FOURTH, FOURTH)
"""The fields of each schema that can be read. Schema 1 also had the checks of its undo, which are
not used any more; before schema 3 an entry without calls was one whose key is back; before schema 4
a run did not know of other clusters under its key; before schema 5 no database was an instance."""

WATCHED = ".watchdog.log"
"""How the names of the watchdogs' logs end."""
LOGS_FOR = 30 * 86400.0
"""Seconds that they are kept."""

CLOSED_FOR = 86400.0
"""Seconds that a closed entry is known as such: longer than its run and watchdog live on."""


@dataclass(frozen=True)
class Entry(Origin):
    """One fault that may not have been put back."""

    cluster: str
    """What was under the key, with its kind: a cluster by its id, an instance by `db:` and its id
    (aws/database.py); empty for a key alone."""
    key: str
    made: str
    """UTC, ISO 8601."""
    undo: Undo
    """What is still to be called: nothing once the key is back."""
    path: Path
    state: State
    switch: tuple[str, ...] = ()
    """The schedules on AWS that would do the same (undo/switch.py)."""
    others: tuple[str, ...] = ()
    """The other databases under the key, which are to be back as well."""

    @property
    def clusters(self) -> tuple[str, ...]:
        """All that are to be back, that of the run first; none for a key alone."""
        return (self.cluster, *self.others) if self.cluster else ()

    @property
    def key_is_away(self) -> bool:
        """Whether the key is still to be put back: nobody has done it by this journal.

        If the entry is gone or cannot be read, and nobody closed it, the key counts as away.
        """
        try:
            return not self.was_closed and read(self.path).state == "key-away"
        except JournalDamaged:
            return True

    @property
    def is_lost(self) -> bool:
        """Whether its file is gone although nobody closed it."""
        return not self.path.exists() and not self.was_closed

    @property
    def was_closed(self) -> bool:
        """Whether somebody closed it, on this machine."""
        return _closed(self.path).exists()

    @property
    def is_copy(self) -> bool:
        """Whether its file is not in this machine's journal: such a file is never changed."""
        return self.path.parent.resolve() != store.directory().resolve()

    def key_is_back(self) -> Entry:
        """The same entry without calls; it stays open until the cluster is back.

        So nobody who finds the entry enables a key that somebody else has disabled since.
        Raises OSError.
        """
        return self.without_calls() if self.is_copy else _write(self.without_calls())

    def without_calls(self) -> Entry:
        """The same, whatever the disk says."""
        return self._become("key-back")

    def once_more(self) -> Entry:
        """The same fault in a new entry that is not on disk yet, without a switch."""
        return replace(self, path=_new_path(self.run), switch=())

    def close(self) -> None:
        """Closes the entry, since everything is back. Safe to call again; raises OSError.

        The closed file is kept for a while: a run that is alive, or its watchdog, has to see it.
        """
        if self.is_copy:
            return
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # with its folder
            with contextlib.suppress(OSError):  # a disk that is full: then its name alone tells
                if self.path.exists():
                    _write(self._become("closed"))
            self.path.replace(_closed(self.path))
            sync_folder(self.path.parent)

    def _become(self, state: State) -> Entry:
        if state not in (self.state, *MOVES[self.state]):
            raise ValueError(f"an entry that is {self.state} does not become {state}")
        return replace(self, state=state, undo=Undo())


def new_entry(
    *,
    run: str,
    region: str,
    lab: LocalLab | None,
    cluster: str,
    key: str,
    undo: Undo,
    switch: Sequence[str] = (),
    others: Sequence[str] = (),
    owner: str = "",
) -> Entry:
    """An entry that is not on disk yet: a new file of this machine's journal.

    Raises JournalDamaged for one that could not be read back.
    """
    entry = Entry(
        **vars(store.origin_of(run, region, lab, owner)),
        cluster=cluster,
        key=key,
        made=datetime.now(UTC).isoformat(timespec="milliseconds"),
        undo=undo,
        path=_new_path(run),
        state=_state_by(undo),
        switch=tuple(switch),
        others=tuple(others),
    )
    try:
        _check(entry)
    except (BadRecord, NotAnUndo) as problem:
        raise JournalDamaged(f"an entry of the undo journal that {problem}") from problem
    return entry


def write(made: Entry) -> Entry:
    """The entry, open, and safely on disk when this returns; raises OSError, and leaves none."""
    store.ready_directory()
    try:
        return _write(made)
    except OSError:
        with contextlib.suppress(OSError):
            made.path.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def held(key: str) -> Iterator[None]:
    """Holds the key for this process, on this machine; raises Held if another does."""
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    with store.held(store.directory() / f"{name}.lock", f"the key {key}", store.whoami()):
        yield


def check_writable() -> None:
    """Raises OSError if no entry could be written."""
    folder = store.ready_directory()
    forget_closed()
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"x" * 4096)
        file.flush()
        os.fsync(file.fileno())


def open_entries() -> list[Entry]:
    """Every entry that nobody has closed, the oldest first; raises JournalDamaged."""
    entries = [read(path) for path in paths() if path.exists()]
    return [entry for entry in entries if entry.state != "closed"]


def paths(run: str = "") -> list[Path]:
    """Files of the open entries, of one run or of all; raises OSError if they cannot be listed."""
    return store.listed(store.directory(), f"{run}-*.json" if run else "*.json")


def forget_closed(run: str = "") -> None:
    """Removes a run's closed entries; without a run, all old closed entries and watchdog logs."""
    kept = {f"{run}-*.closed": 0.0} if run else {"*.closed": CLOSED_FOR, f"*{WATCHED}": LOGS_FOR}
    with contextlib.suppress(OSError):
        for pattern, seconds in kept.items():
            old = time.time() - seconds
            for path in store.listed(store.directory(), pattern):
                if run or path.stat().st_mtime < old:
                    path.unlink(missing_ok=True)


def read(path: Path) -> Entry:
    """One entry, wherever its file is; raises JournalDamaged."""
    try:
        said = {"credentials": "", "others": [], **store.read(path, SCHEMAS)}
        undo = _undo(said)
        for name in ("switch", "others"):
            if not isinstance(said[name], list) or not all(isinstance(e, str) for e in said[name]):
                raise BadRecord(f"has a field {name} that is no list of names")
            said[name] = tuple(said[name])
        entry = Entry(**{"state": _state_by(undo), **said, "undo": undo}, path=path)
        _check(entry)
        return entry
    except (BadRecord, NotAnUndo) as problem:
        raise JournalDamaged(
            f"the undo journal's entry {path} {problem}: look into it, put back what it names by "
            "hand, and remove it"
        ) from problem


# Internals


def _new_path(run: str) -> Path:
    """No name is used twice, so that a later entry is never taken for an earlier one."""
    return store.directory() / f"{run}-{time.time_ns()}.json"


def _write(entry: Entry) -> Entry:
    said = {name: value for name, value in vars(entry).items() if name not in ("undo", "path")}
    store.write(entry.path, SCHEMA, {**said, "undo": entry.undo.as_json()})
    return entry


def _undo(said: Mapping[str, Any]) -> Undo:
    """Raises NotAnUndo."""
    undo = said["undo"]
    if isinstance(undo, dict) and "state" not in said:
        undo.pop("checks", None)
    return Undo.of_json(undo)


def _state_by(undo: Undo) -> State:
    return "key-away" if undo.calls else "key-back"


def _check(entry: Entry) -> None:
    """Raises BadRecord or NotAnUndo if the fields of the entry contradict each other."""
    store.check_origin(entry)
    store.check_texts(vars(entry), ("cluster", "key", "made", "state"))
    if entry.state not in MOVES:
        raise BadRecord(f"is in no state that there is: {entry.state!r:.100}")
    if entry.state not in (_state_by(entry.undo), "closed"):
        raise BadRecord(
            f"is {entry.state}, which does not go with its {len(entry.undo.calls)} calls"
        )
    key = store.KEY.fullmatch(entry.key)
    if not key or key["region"] != entry.region:
        raise BadRecord(f"names no key of {entry.region or 'a Region'}: {entry.key!r:.100}")
    if entry.cluster and not store.DATABASE.fullmatch(entry.cluster):
        raise BadRecord(f"names no cluster: {entry.cluster!r:.100}")
    _check_others(entry)
    if not set(entry.switch) <= set(names.schedules(entry.key)):
        raise BadRecord(f"names schedules that are not its key's: {entry.switch!r:.200}")
    try:
        made = datetime.fromisoformat(entry.made)
    except ValueError:
        made = None
    if made is None or made.tzinfo is None:
        raise BadRecord(f"was made at no instant: {entry.made!r:.100}")
    entry.undo.check_about(entry.key)


def _check_others(entry: Entry) -> None:
    """Raises BadRecord unless the other clusters are so many as a run can have, each another."""
    for each in entry.others:
        if not store.DATABASE.fullmatch(each):
            raise BadRecord(f"names no other cluster: {each!r:.100}")
    if len({entry.cluster, *entry.others}) <= len(entry.others):
        raise BadRecord(f"names a cluster twice: {entry.others!r:.200}")
    if entry.others and not entry.cluster:
        raise BadRecord("names other clusters, and none of its own")
    if len(entry.others) >= names.MOST_CLUSTERS:
        raise BadRecord(
            f"names {len(entry.others)} other clusters, and a run brings back at most "
            f"{names.MOST_CLUSTERS - 1}"
        )


def _closed(path: Path) -> Path:
    return path.with_suffix(".closed")
