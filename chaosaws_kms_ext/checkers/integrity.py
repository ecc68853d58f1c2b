"""Is what was written still what it was? No row changed or twice, no register behind its writer."""

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
from chaosaws_kms_ext.checkers.write_numbers import (
    Acknowledged,
    Fates,
    Recognised,
    are_among,
    in_order,
    named,
    recognise,
    writers_of,
)
from chaosaws_kms_ext.history import MAIN, READER, Conditions
from chaosaws_kms_ext.history.columns import Instants, ReadBack, Reads, Writes
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.history.payload import SEQUENCES
from chaosaws_kms_ext.history.records import DAMAGED, NO_ROW

__all__ = ["Integrity", "IntegrityChecker", "compare"]

LISTED = 100
"""At most so many of each are named."""

KINDS = ("changed", "duplicated", "reordered")


class IntegrityCounts(TypedDict):
    """How many writes there are of each kind; None: nothing was read back."""

    changed: int | None
    duplicated: int | None
    reordered: int | None


@checker
class IntegrityChecker(Checker):
    """Counts, for every load, the writes that are there and not as they were written."""

    name = "integrity"
    place = 61
    objectives = tuple(Objective(f"{kind}_writes", f"{kind}_writes") for kind in KINDS)
    fields = {
        "integrity": Field(
            IntegrityCounts | None,
            "writes that are there and not as they were written: `changed` (a row or a register "
            "whose checksum is not its own, in the end or seen by a read), `duplicated` (more "
            "than one row), `reordered` (the register of the writer ends with an older write, or "
            "is gone, although the row is there); `null`: nothing was read back",
            of_load=True,
        ),
        "changed_writes": Field(
            list[tuple[int, int]] | None,
            f"the changed ones, each as writer and sequence, at most {LISTED}",
            of_load=True,
        ),
        "duplicated_writes": Field(
            list[tuple[int, int]] | None,
            f"the same of the duplicated ones, at most {LISTED}",
            of_load=True,
        ),
        "reordered_writes": Field(
            list[tuple[int, int]] | None,
            f"the last write of each writer whose register is behind, at most {LISTED}",
            of_load=True,
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Compares each load's writes with the rows and the registers that were read back."""
        loads: dict[str, dict[str, Any]] = {}
        doubts, rows = [], []
        counts: dict[str, dict[str, int | None]] = {kind: {} for kind in KINDS}
        for load in every_load(history):
            if only_reads(load):  # what it saw is of what `main` wrote
                loads[load] = dict.fromkeys(self.fields)
                continue
            last = history.last_sequences(load) if may_miss_records(history, load) else None
            its = compare(history.writes(load), _reads(history, load), history.rows.get(load), last)
            loads[load] = _figures(its)
            if load in history.loads or expects_outage(history, conditions, load):
                for kind in KINDS:
                    counts[kind][load] = its.count(kind)
            # That nothing could be read back is said with the lost writes.
            if its.made_up:
                doubts += of_load(
                    load,
                    [
                        f"{its.made_up} values of registers were seen that no client can have "
                        "written: the figures cannot be trusted"
                    ],
                )
            if any(its.count(kind) for kind in KINDS):
                rows.append(("integrity" if load == MAIN else f"load {load}", _in_words(its)))
        return Result(
            loads=loads,
            measured={
                f"{kind}_writes": EachLoad.of(its, summed=True) for kind, its in counts.items()
            },
            doubts=() if never_injected(history, conditions) else doubts,
            rows=rows,
        )


@dataclass(frozen=True, eq=False)
class Integrity:
    """The writes of a load that are there and not as they were written, as numbers in order; None:
    nothing was read back."""

    changed: Instants | None = None
    duplicated: Instants | None = None
    reordered: Instants | None = None
    """The newest acknowledged write that is there, of each writer whose register is behind."""
    made_up: int = 0
    """Values with a checksum of their own that belong to no write of the load."""

    def count(self, kind: str) -> int | None:
        """How many there are of a kind."""
        found = getattr(self, kind)
        return None if found is None else len(found)


def _reads(history: History, load: str) -> Reads:
    """What was seen of a load's registers, also by the load over the reader endpoint."""
    if load != MAIN or not len(history.reads(READER)):
        return history.reads(load)
    return Reads.joined([history.reads(MAIN), history.reads(READER)])


def _figures(its: Integrity) -> dict[str, Any]:
    lists = {
        f"{kind}_writes": None
        if (found := getattr(its, kind)) is None
        else [list(row) for row in named(found[:LISTED])]
        for kind in KINDS
    }
    return {"integrity": {kind: its.count(kind) for kind in KINDS}, **lists}


def _in_words(its: Integrity) -> str:
    return " · ".join(f"{its.count(kind)} {kind}" for kind in KINDS)


def compare(
    writes: Writes,
    reads: Reads,
    found: ReadBack | None,
    last: Mapping[int, int] | None = None,
) -> Integrity:
    """Compares a load's writes with what is in the database, and with what reads of registers saw;
    `last` as in `Fates`."""
    if found is None:
        return Integrity()
    fates = Fates.of(writes, last)
    rows, registers = recognise(found.rows, fates), recognise(found.registers, fates)
    held = registers.numbers[~registers.changed]
    changed = (rows.numbers[rows.changed], registers.numbers[registers.changed])
    there = rows.numbers
    there.sort()
    return Integrity(
        changed=in_order(np.concatenate((*changed, _seen_damaged(writes, reads)))),
        duplicated=in_order(there[1:][there[1:] == there[:-1]]),
        reordered=_behind(fates.acknowledged[are_among(fates.acknowledged, there)], registers),
        made_up=_count_made_up(held, fates)
        + _count_made_up(reads.numbers[reads.value > NO_ROW], fates),
    )


def _seen_damaged(writes: Writes, reads: Reads) -> Instants:
    """The writes that reads should have seen where they saw something else."""
    damaged = reads.only(reads.value == DAMAGED)
    expected = damaged.key.astype(np.int64) * SEQUENCES
    if len(damaged):
        known = Acknowledged(writes)
        places = known.newest(damaged.key.astype(np.int64), damaged.sent)
        expected[places >= 0] = known.numbers[places[places >= 0]]
    return expected


def _behind(there: Instants, registers: Recognised) -> Instants:
    """The last write of each writer whose register is older; `there`: those that were acknowledged
    and are there. What a register held that was changed is not known."""
    writers = writers_of(there)
    last = np.ones(len(there), np.bool_)
    np.not_equal(writers[1:], writers[:-1], out=last[:-1])
    newest = there[last]
    held = np.sort(registers.numbers[~registers.changed])
    unknown = in_order(writers_of(registers.numbers[registers.changed]))
    newest = newest[~are_among(writers_of(newest), unknown)]
    if not len(held):
        return newest
    places = np.searchsorted(held, writers_of(newest) * SEQUENCES)
    its = held[np.minimum(places, len(held) - 1)]
    gone = (places == len(held)) | (writers_of(its) != writers_of(newest))
    found: Instants = newest[gone | (its < newest)]
    return found


def _count_made_up(which: Instants, fates: Fates) -> int:
    return int(np.count_nonzero(~fates.possible(in_order(which))))
