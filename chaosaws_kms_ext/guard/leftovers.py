"""What earlier runs left in the undo journal."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from chaosaws_kms_ext.guard.findings import Finding, ok, refused
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo import journal, store
from chaosaws_kms_ext.undo.journal import Entry
from chaosaws_kms_ext.undo.store import JournalDamaged

__all__ = ["live_entries", "look", "readable", "refuse_if_left_open"]


def live_entries(keep: bool = False) -> list[Entry]:
    """The open entries; those of a lab that is surely gone are closed on the way, or kept.

    Raises JournalDamaged if one cannot be read.
    """
    entries, problems = readable((), keep)
    if problems:
        raise JournalDamaged(problems[0])
    return entries


def readable(files: Sequence[Path], keep: bool = False) -> tuple[list[Entry], list[str]]:
    """The entries of these files, or the live ones of the journal; and why others are missing.

    An entry that cannot be read must not prevent that the others are put back.
    """
    entries, problems = [], []
    try:
        paths = files or journal.paths()
    except OSError as problem:
        return [], [f"the undo journal cannot be read: {problem}"]
    for path in paths:
        try:
            entry = journal.read(path)
            over = entry.state == "closed" or (not files and entry.lab_is_gone)
            if not over:
                entries.append(entry)
            elif not keep:
                entry.close()
        except JournalDamaged as problem:
            if files or path.exists():
                problems.append(str(problem))
        except OSError as problem:
            problems.append(f"the undo journal's entry {path} cannot be closed: {problem}")
    return entries, problems


def refuse_if_left_open(name: str, lab: str = "") -> None:
    """Raises Refused if another run has, or has left, an open entry for this cluster or key.

    `lab`: the id of the lab to which they belong; every lab has a cluster of the same name.
    """
    for entry in live_entries():
        if entry.lab == lab and name in (*entry.clusters, entry.key):
            raise Refused(_left(entry, name))


def look(names: Collection[str], lab: str = "") -> list[Finding]:
    """Whether the journal can be written, and has no open entry for this cluster or key.

    `lab` as in `refuse_if_left_open`. Closes none, not even those of a lab that is gone.
    """
    try:
        journal.check_writable()
        wanted = set(names)
        entries = [
            each
            for each in live_entries(keep=True)
            if each.lab == lab and {*each.clusters, each.key} & wanted
        ]
    except OSError as problem:
        return [refused("undo journal", f"it cannot be written: {problem}")]
    except JournalDamaged as problem:
        return [refused("undo journal", str(problem))]
    return [refused("undo journal", _left(entry, entry.cluster)) for entry in entries] or [
        ok(
            "undo journal",
            f"{store.directory()} can be written, and has no open entry for this",
        )
    ]


def _left(entry: Entry, name: str) -> str:
    return (
        f"the undo journal has an open entry for {name}, of run {entry.run} by {entry.owner}: "
        "if that run is over, put it back with `chaos kms restore`"
    )
