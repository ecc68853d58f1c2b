"""Did reads go back in time? None may see less than was seen, or acknowledged, before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import numpy as np

from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker, every_load
from chaosaws_kms_ext.checkers.load_ended import may_miss_records
from chaosaws_kms_ext.checkers.objectives import EachLoad, Objective
from chaosaws_kms_ext.checkers.write_numbers import Acknowledged, Fates
from chaosaws_kms_ext.history import MAIN, SECOND, Conditions, EventName
from chaosaws_kms_ext.history.columns import Instants, Mask, Reads, Writes, blocks_of
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.history.payload import SEQUENCES
from chaosaws_kms_ext.history.records import NO_ROW

__all__ = ["StaleReads", "Staleness", "find"]

LISTED = 100
"""At most so many are named."""

WRITER, READER = "writer", "reader"
"""Endpoints of a load, in the details of LOAD_STARTED; without any it is the writer's."""


class RegisterReads(TypedDict):
    """What a load saw of registers."""

    seen: int
    endpoint: Literal["writer", "reader"]
    in_session: int
    sessions: int
    behind: int
    lag_seconds: float
    lag_writes: int


@checker
class StaleReads(Checker):
    """Looks at the reads of registers, of every load."""

    name = "stale_reads"
    place = 62
    objectives = (Objective("stale_reads", "stale_reads"),)
    fields = {
        "register_reads": Field(
            RegisterReads | None,
            "reads of what the load has written: `seen`: how many; `endpoint`; `in_session`: "
            "those that saw an older write than a read of the same connection before; "
            "`sessions`: of how many connections those are; `behind`: those that saw an older "
            "write than one that had been acknowledged before they began (over a reader "
            "endpoint: the lag of the replica, not an error); `lag_seconds`, `lag_writes`: at "
            "most, how long that had been so, and by how many acknowledged writes; `null`: there "
            "were none of these reads",
            of_load=True,
        ),
        "stale_reads": Field(
            list[tuple[int, int, int, int]] | None,
            "the first stale ones: the session, the writer, the sequence that was seen, and the "
            f"one that should have been; at most {LISTED}; over a reader endpoint only those "
            "`in_session` are",
            of_load=True,
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Compares each read with those of its session before, and with the acknowledged writes."""
        loads: dict[str, dict[str, Any]] = {}
        counts: dict[str, int | None] = {}
        rows = []
        for load in every_load(history):
            endpoint, of = _what_it_reads(history, load)
            reads = history.reads(load)
            last = history.last_sequences(of) if may_miss_records(history, of) else None
            seen = find(reads, history.writes(of), last) if len(reads) else None
            loads[load] = _figures(seen, endpoint)
            if seen is None:
                if len(history.writes(load)):
                    counts[load] = None
                continue
            counts[load] = int(np.count_nonzero(seen.stale(endpoint)))
            if counts[load] or seen.behind.any():
                name = "stale reads" if load == MAIN else f"load {load}"
                rows.append((name, _in_words(seen, endpoint)))
        return Result(
            loads=loads, measured={"stale_reads": EachLoad.of(counts, summed=True)}, rows=rows
        )


def _what_it_reads(history: History, load: str) -> tuple[str, str]:
    """The endpoint of a load, and the load whose registers it reads."""
    started = history.first(EventName.LOAD_STARTED, load=load)
    details: Mapping[str, Any] = started.details if started else {}
    return details.get("endpoint", WRITER), details.get("registers_of", load)


@dataclass(frozen=True, eq=False)
class Staleness:
    """What is wrong with the reads of a load; all columns are those of `reads`."""

    reads: Reads
    """Those that saw a whole register, or none."""
    in_session: Mask
    """They saw an older write than their session had."""
    behind: Mask
    """They saw an older write than one that had been acknowledged."""
    newest: Instants
    """The newest sequence that the session had seen, or that had been acknowledged."""
    lag: Instants
    """Since when that had been so, ns; 0 where it is not behind."""
    lag_writes: Instants
    """How many acknowledged writes it did not see."""

    def stale(self, endpoint: str) -> Mask:
        """Those that no read over this endpoint may be."""
        return self.in_session if endpoint == READER else self.in_session | self.behind


def find(reads: Reads, writes: Writes, last: Mapping[int, int] | None = None) -> Staleness:
    """Looks for reads that went back in time; `last` as in `Fates`.

    Damaged registers, and values that no client can have written, are not compared: those are no
    older writes.
    """
    comparable = _comparable(reads, Fates.of(writes, last))
    its = reads if comparable.all() else reads.only(comparable)
    newest = _seen_before(its)
    found = Staleness(
        reads=its,
        in_session=its.value < newest,
        behind=np.zeros(len(its), np.bool_),
        newest=newest,
        lag=np.zeros(len(its), np.int64),
        lag_writes=np.zeros(len(its), np.int64),
    )
    known = Acknowledged(writes)
    for block in blocks_of(len(its)):
        _compare(found, known, block)
    return found


def _comparable(reads: Reads, fates: Fates) -> Mask:
    """Which saw no row, or a write of the load."""
    found: Mask = reads.value == NO_ROW
    for block in blocks_of(len(reads)):
        its = reads.only(block)
        whole = np.flatnonzero((its.value > NO_ROW) & (its.value < SEQUENCES))
        found[block.start + whole] = fates.possible(its.numbers[whole])
    return found


def _compare(found: Staleness, known: Acknowledged, block: slice) -> None:
    """Of a piece of the reads, what they should have seen of the acknowledged writes."""
    its = found.reads.only(block)
    place = known.newest(its.key.astype(np.int64), its.sent)
    # The place of the first acknowledged write that is newer than what was seen.
    newer = np.searchsorted(known.numbers, its.numbers, side="right")
    behind = np.flatnonzero(place >= newer)
    rows = block.start + behind
    found.behind[rows] = True
    found.lag[rows] = its.sent[behind] - known.since[newer[behind]]
    found.lag_writes[rows] = place[behind] - newer[behind] + 1
    some = place >= 0
    acknowledged = np.zeros(len(its), np.int64)
    acknowledged[some] = known.numbers[place[some]] % SEQUENCES
    np.maximum(found.newest[block], acknowledged, out=found.newest[block])


def _seen_before(reads: Reads) -> Instants:
    """The newest value that the session of each had seen before in that register."""
    first = np.zeros(len(reads), np.bool_)
    first[:1] = True
    for column in (reads.session, reads.key):
        first[1:] |= column[1:] != column[:-1]
    # The values of one register in one session lie above all of those before.
    above: Instants = np.cumsum(first, dtype=np.int64)
    above *= SEQUENCES
    seen = above + reads.value
    np.maximum.accumulate(seen, out=seen)
    before = np.zeros(len(reads), np.int64)
    np.subtract(seen[:-1], above[1:], out=before[1:])
    before[first] = NO_ROW
    return before


def _figures(seen: Staleness | None, endpoint: str) -> dict[str, Any]:
    if seen is None:
        return {"register_reads": None, "stale_reads": None}
    reads = seen.reads
    stale = np.flatnonzero(seen.stale(endpoint))
    first = stale[np.argsort(reads.sent[stale], kind="stable")][:LISTED]
    columns = (reads.session, reads.key, reads.value, seen.newest)
    return {
        "register_reads": {
            "seen": len(reads),
            "endpoint": endpoint,
            "in_session": int(np.count_nonzero(seen.in_session)),
            "sessions": len(np.unique(reads.session[seen.in_session])),
            "behind": int(np.count_nonzero(seen.behind)),
            "lag_seconds": round(float(seen.lag.max(initial=0)) / SECOND, 3),
            "lag_writes": int(seen.lag_writes.max(initial=0)),
        },
        "stale_reads": [
            list(each) for each in zip(*(one[first].tolist() for one in columns), strict=True)
        ],
    }


def _in_words(seen: Staleness, endpoint: str) -> str:
    behind = int(np.count_nonzero(seen.behind))
    lag = f"at most {seen.lag.max(initial=0) / SECOND:.2f} s and {seen.lag_writes.max(initial=0)}"
    said = f"{np.count_nonzero(seen.in_session)} went back in their session"
    of = "behind the writer" if endpoint == READER else "older than acknowledged"
    return f"{said}; {behind} {of}: {lag} writes" if behind else said
