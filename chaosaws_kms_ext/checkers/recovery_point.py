"""Which acknowledged writes are missing in what replaces a lost cluster, and since when?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

import numpy as np

from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker
from chaosaws_kms_ext.checkers.load_ended import may_miss_records
from chaosaws_kms_ext.checkers.objectives import Objective
from chaosaws_kms_ext.checkers.write_numbers import Fates, are_among, in_order, named, recognise
from chaosaws_kms_ext.history import SECOND, Conditions, Event, EventName, Outcome, Utc, utc
from chaosaws_kms_ext.history.columns import CODES, Instants, ReadBack, Writes
from chaosaws_kms_ext.history.history import History

__all__ = ["RecoveryPoint", "RecoveryPointChecker", "compare"]


class Dated(TypedDict):
    """An acknowledged write."""

    writer: int
    sequence: int
    acknowledged: Utc


class RecoveryPointFigures(TypedDict):
    """What a replacement lacks."""

    load: str
    cluster: str
    backup_ordered: Utc | None
    acknowledged: int
    present: int
    lost_writes: int
    lost_seconds: float | None
    error_bound_seconds: float | None
    last_present: Dated | None
    first_lost: Dated | None
    lost_before_backup: int | None


@checker
class RecoveryPointChecker(Checker):
    """Counts and dates the acknowledged writes that were not found in the replacement."""

    name = "recovery_point"
    place = 46
    objectives = (
        Objective("rpo", "lost_seconds", "rpo", "seconds"),
        Objective("lost_before_backup", "lost_before_backup"),
    )
    fields = {
        "recovery_point": Field(
            RecoveryPointFigures | None,
            "of a load whose cluster was lost for good: what of its acknowledged writes was found "
            "in the cluster that replaces it, which is of a backup: a loss that is expected. "
            "`lost_writes`: acknowledged and not there; `lost_seconds`: from when the last one "
            "that is there was acknowledged until the last one of all was; `error_bound_seconds`: "
            "from there to the first one that is lost; `backup_ordered`: AWS' answer to the call "
            "that made the snapshot, or the latest restorable time that was restored; "
            "`lost_before_backup`: those of the lost ones that had been acknowledged before that, "
            "which no backup may lose",
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Compares the rows that were read in the replacement with what was acknowledged."""
        read = history.first(EventName.ROWS_FROM)
        unknown = {"lost_seconds": None, "lost_before_backup": None}
        if read is None:
            return Result(figures={"recovery_point": None}, measured=unknown)
        load, cluster = read.details["load"], read.details["cluster"]
        rows = history.rows.get(load)
        if rows is None:
            why = f"what {cluster} holds of the writes of {load} is not known"
            return Result(figures={"recovery_point": None}, measured=unknown, doubts=[why])
        backup = _backup(history, cluster)
        last = history.last_sequences(load) if may_miss_records(history, load) else None
        found = compare(history.writes(load), rows, backup.has_all_before if backup else None, last)
        figures = found.figures(history) | {
            "load": load,
            "cluster": cluster,
            "backup_ordered": utc(backup.date) if backup else None,
        }
        doubts = ["when the backup was ordered is not recorded"] if backup is None else []
        if found.lost_seconds is None:
            doubts.append(f"no acknowledged write of {load} is in {cluster}: the loss has no date")
        return Result(
            figures={"recovery_point": figures},
            measured={
                "lost_seconds": found.lost_seconds,
                "lost_before_backup": found.lost_before_backup,
            },
            doubts=doubts,
            rows=[("lost with it", _in_words(figures))],
        )


@dataclass(frozen=True)
class RecoveryPoint:
    """What became of a load's acknowledged writes. Instants are CLOCK_MONOTONIC ns."""

    acknowledged: int
    present: int
    last: int | None
    """When the last write of all was acknowledged."""
    last_present: tuple[int, int] | None
    """The last one that is there: its number, and when it was acknowledged."""
    first_lost: tuple[int, int] | None
    lost_before_backup: int | None

    @property
    def lost_seconds(self) -> float | None:
        """The time of which the writes are missing; None: nothing is there at all."""
        if self.first_lost is None:
            return 0.0 if self.acknowledged else None
        if self.last_present is None or self.last is None:
            return None
        return round(max(self.last - self.last_present[1], 0) / SECOND, 3)

    @property
    def bound(self) -> float | None:
        """Seconds between the last that is there and the first that is not."""
        if self.last_present is None or self.first_lost is None:
            return None
        return round(abs(self.first_lost[1] - self.last_present[1]) / SECOND, 3)

    def figures(self, history: History) -> dict[str, Any]:
        """As summary.json has them."""
        return {
            "acknowledged": self.acknowledged,
            "present": self.present,
            "lost_writes": self.acknowledged - self.present,
            "lost_seconds": self.lost_seconds,
            "error_bound_seconds": self.bound,
            "last_present": _dated(history, self.last_present),
            "first_lost": _dated(history, self.first_lost),
            "lost_before_backup": self.lost_before_backup,
        }


def compare(
    writes: Writes,
    found: ReadBack,
    asked: int | None,
    last: Mapping[int, int] | None = None,
) -> RecoveryPoint:
    """Compares a load's acknowledged writes with the rows that were found.

    `asked`: when the backup was asked for (CLOCK_MONOTONIC ns), if that is known; `last` as in
    `write_numbers.Fates`.
    """
    ok = writes.outcome == CODES[Outcome.OK]
    numbers, done = writes.rows.numbers[ok], writes.done[ok]
    there = in_order(recognise(found.rows, Fates.of(writes, last)).numbers)
    present = are_among(numbers, there)
    lost_before = None
    if asked is not None:
        lost_before = int(np.count_nonzero(~present & (done < asked)))
    return RecoveryPoint(
        acknowledged=len(numbers),
        present=int(np.count_nonzero(present)),
        last=int(done.max()) if len(done) else None,
        last_present=_at(numbers[present], done[present], latest=True),
        first_lost=_at(numbers[~present], done[~present], latest=False),
        lost_before_backup=lost_before,
    )


# Internals


def _at(numbers: Instants, done: Instants, latest: bool) -> tuple[int, int] | None:
    """The one that was acknowledged last, or first."""
    if not len(done):
        return None
    place = int(done.argmax() if latest else done.argmin())
    return int(numbers[place]), int(done[place])


def _dated(history: History, write: tuple[int, int] | None) -> dict[str, Any] | None:
    if write is None:
        return None
    number, at = write
    (row,) = named(np.array([number], np.int64))
    return {**row._asdict(), "acknowledged": utc(history.anchor.utc(at))}


@dataclass(frozen=True)
class _Backup:
    """The data from which a cluster was restored."""

    has_all_before: int
    """The instant (CLOCK_MONOTONIC ns) before which everything that was acknowledged is in it."""
    date: datetime


def _backup(history: History, cluster: str) -> _Backup | None:
    """What a cluster was restored from; None: that is not recorded."""
    restored = history.first(EventName.RESTORE_ORDERED, cluster=cluster)
    if restored and "restorable" in restored.details:
        latest = datetime.fromisoformat(restored.details["restorable"])
        return _Backup(history.anchor.monotonic(latest), latest)
    ordered = _snapshot_ordered(history, restored.details.get("snapshot") if restored else None)
    if ordered is None:
        return None
    asked = ordered.at - round(float(ordered.details["within_seconds"]) * SECOND)
    return _Backup(asked, history.anchor.utc(ordered.at))


def _snapshot_ordered(history: History, wanted: str | None) -> Event | None:
    """The call that made the snapshot of the data, of which this one may be a copy."""
    seen = set()
    while wanted is not None and wanted not in seen:
        seen.add(wanted)
        ordered = history.first(EventName.SNAPSHOT_ORDERED, snapshot=wanted)
        if ordered is None or not ordered.details.get("source"):
            return ordered
        wanted = ordered.details["source"]
    return None


def _in_words(figures: dict[str, Any]) -> str:
    lost, of = figures["lost_writes"], figures["acknowledged"]
    seconds = figures["lost_seconds"]
    told = "not dated" if seconds is None else f"the last {seconds:.2f} s"
    before = figures["lost_before_backup"]
    late = f"; {before} of them from before the backup" if before else ""
    return f"{lost} of {of} acknowledged writes, {told}{late}"
