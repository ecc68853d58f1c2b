"""Was anything lost? Every acknowledged write has to be there afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from chaosaws_kms_ext.checkers.base import (
    Checker,
    Field,
    Result,
    checker,
    every_load,
    expects_outage,
    never_injected,
    of_load,
    only_reads,
)
from chaosaws_kms_ext.checkers.load_ended import may_miss_records
from chaosaws_kms_ext.checkers.objectives import EachLoad, Objective
from chaosaws_kms_ext.checkers.outage import outage_of
from chaosaws_kms_ext.checkers.write_numbers import Fates, are_among, in_order, named, recognise
from chaosaws_kms_ext.history import MAIN, Conditions, Outcome, WrittenRow
from chaosaws_kms_ext.history.columns import CODES, ReadBack, Writes
from chaosaws_kms_ext.history.history import History

__all__ = ["Durability", "DurabilityChecker", "compare_writes"]


class WriteCounts(TypedDict):
    """What became of the writes of a load."""

    acknowledged: int
    present: int | None
    lost: int | None
    unknown: int


@checker
class DurabilityChecker(Checker):
    """Counts the lost writes of every load."""

    name = "durability"
    place = 60
    objectives = (Objective("lost_writes", "lost_writes"),)
    fields = {
        "writes": Field(
            WriteCounts | None,
            "acknowledged; present: rows found in the end; lost: acknowledged and not found; "
            "unknown: timed out, lost or cut, so that it may be there or not",
            of_load=True,
        ),
        "lost_writes": Field(
            list[tuple[int, int]] | None,
            "the lost ones, each as writer and sequence; `null`: could not be counted",
            of_load=True,
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Compares each load's acknowledged writes with the rows that were read back."""
        loads: dict[str, dict[str, Any]] = {}
        doubts, rows = [], []
        lost: dict[str, int | None] = {}
        for load in every_load(history):
            if only_reads(load):
                loads[load] = dict.fromkeys(self.fields)
                continue
            writes = history.writes(load)
            last = history.last_sequences(load) if may_miss_records(history, load) else None
            kept = compare_writes(writes, history.rows.get(load), last)
            could_be_lost: int | None = kept.acknowledged
            if expects_outage(history, conditions, load):
                could_be_lost = _acknowledged_before_impact(history, conditions, load)
            loads[load] = _figures(kept)
            if len(history.arrivals(load)) or load != MAIN:
                rows.append(("writes" if load == MAIN else f"load {load}", _in_words(kept)))
            if load in history.loads or expects_outage(history, conditions, load):
                known = kept.lost is not None and could_be_lost
                lost[load] = len(kept.lost or ()) if known else None
                doubts += of_load(load, _doubts(conditions, kept, could_be_lost))
        return Result(
            loads=loads,
            measured={"lost_writes": EachLoad.of(lost, summed=True)},
            doubts=() if never_injected(history, conditions) else doubts,
            rows=rows,
        )


def _acknowledged_before_impact(history: History, conditions: Conditions, load: str) -> int | None:
    """The writes that the outage could have lost; None: when it began is not known."""
    seen, writes = outage_of(history, conditions, load), history.writes(load)
    if seen is None or seen.impact is None:
        return None
    acknowledged = writes.outcome == CODES[Outcome.OK]
    return int(np.count_nonzero(acknowledged & (writes.done <= seen.impact)))


def _figures(kept: Durability) -> dict[str, Any]:
    return {
        "writes": {
            "acknowledged": kept.acknowledged,
            "present": kept.present,
            "lost": None if kept.lost is None else len(kept.lost),
            "unknown": kept.unknown,
        },
        "lost_writes": None if kept.lost is None else [list(row) for row in kept.lost],
    }


def _in_words(kept: Durability) -> str:
    lost = "not measured" if kept.lost is None else len(kept.lost)
    return f"{kept.acknowledged} acknowledged · {kept.unknown} unknown · {lost} lost"


def _doubts(conditions: Conditions, kept: Durability, could_be_lost: int | None) -> list[str]:
    doubts = []
    if conditions.settings.load_writes == "none":
        doubts.append("no writes were made (CHAOS_LOAD_WRITES=none), so lost writes cannot be seen")
    elif kept.reason:
        doubts.append(f"lost writes could not be counted: {kept.reason}")
    elif could_be_lost == 0:
        doubts.append("no write was acknowledged before the impact, so none could be lost")
    if kept.unexpected:
        doubts.append(
            f"{len(kept.unexpected)} rows are there that no client can have written: "
            "the figures cannot be trusted"
        )
    return doubts


@dataclass(frozen=True)
class Durability:
    """What became of a load's writes. What is None could not be measured."""

    acknowledged: int
    unknown: int
    present: int | None
    lost: tuple[WrittenRow, ...] | None
    """Acknowledged and not there."""
    unexpected: tuple[WrittenRow, ...] | None
    """There, although no client can have written them."""
    reason: str


def compare_writes(
    writes: Writes, present: ReadBack | None, last: Mapping[int, int] | None = None
) -> Durability:
    """Compares a load's writes with the rows that are in the database; `last` as in `Fates`.

    A row that was changed is there: it is known by its checksum.
    """
    fates = Fates.of(writes, last)
    acknowledged, unknown = fates.acknowledged, len(fates.unknown)
    if present is None:
        return Durability(
            len(acknowledged), unknown, None, None, None, "the rows could not be read back"
        )
    there = in_order(recognise(present.rows, fates).numbers)
    others = there[~fates.recorded(there)]
    late = fates.unrecorded(others)
    return Durability(
        acknowledged=len(acknowledged),
        unknown=unknown + int(np.count_nonzero(late)),
        present=len(there),
        lost=named(acknowledged[~are_among(acknowledged, there)]),
        unexpected=named(others[~late]),
        reason="",
    )
