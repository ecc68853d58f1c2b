"""Writes as numbers: what became of them, which rows are theirs, and since when they were known.

A number is one of `history.payload`: numbers are in the order of writer and sequence, and sorted
columns of them take the place of sets.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chaosaws_kms_ext.history import Outcome, WrittenRow
from chaosaws_kms_ext.history.columns import CODES, Instants, Mask, Stored, Writes, blocks_of
from chaosaws_kms_ext.history.payload import SEQUENCES, number_of, numbers, payloads, written_as

__all__ = [
    "Acknowledged",
    "Fates",
    "Recognised",
    "are_among",
    "in_order",
    "named",
    "recognise",
    "writers_of",
]

UNKNOWN = [CODES[each] for each in (Outcome.TIMEOUT, Outcome.LOST, Outcome.ABORTED)]
"""Outcomes of a write that may be in the database or not: neither is an error."""


@dataclass(frozen=True, eq=False)
class Fates:
    """What became of a load's writes."""

    acknowledged: Instants
    unknown: Instants
    """Both in order, each once."""
    last: Mapping[int, int] | None = None
    """The last sequence that was recorded of each writer; given if the load's process ended by
    itself, so that its last operations may not be recorded. A higher sequence then belongs to an
    unknown write."""

    @classmethod
    def of(cls, writes: Writes, last: Mapping[int, int] | None = None) -> Fates:
        """Those of these writes."""
        each = writes.rows.numbers
        return cls(
            in_order(each[writes.outcome == CODES[Outcome.OK]]),
            in_order(each[np.isin(writes.outcome, UNKNOWN)]),
            last,
        )

    def recorded(self, which: Instants) -> Mask:
        """Which are writes that the database may have carried out, as far as was recorded."""
        return are_among(which, self.acknowledged) | are_among(which, self.unknown)

    def unrecorded(self, which: Instants) -> Mask:
        """Which can be writes of which there is no record."""
        if self.last is None or not len(which):
            return np.zeros(len(which), np.bool_)
        writers, whose = np.unique(writers_of(which), return_inverse=True)
        highest = np.array([self.last.get(each, 0) for each in writers.tolist()], np.int64)
        found: Mask = which % SEQUENCES > highest[whose]
        return found

    def possible(self, which: Instants) -> Mask:
        """Which the database can hold without having made them up."""
        found = self.recorded(which)
        found[~found] = self.unrecorded(which[~found])
        return found


@dataclass(frozen=True, eq=False)
class Recognised:
    """Rows that were read back: which write each of them is."""

    numbers: Instants
    changed: Mask
    """Those whose checksum is not that of their writer and sequence."""


def recognise(stored: Stored, fates: Fates) -> Recognised:
    """Says which write each row is: what its checksum says, if a write of the load had that one;
    else what its writer and sequence say."""
    writer, sequence = stored.rows.writer, stored.rows.sequence
    found = stored.rows.numbers
    changed = np.empty(len(found), np.bool_)
    for block in blocks_of(len(found)):
        np.not_equal(payloads(found[block]), stored.payload[block], out=changed[block])
    changed |= (sequence < 0) | (sequence >= SEQUENCES) | (writer < 0)
    if changed.any():
        was = written_as(stored.payload[changed])
        says = numbers(writer[changed], np.clip(sequence[changed], 0, SEQUENCES - 1))
        found[changed] = np.where(fates.recorded(was), was, says)
    return Recognised(found, changed)


class Acknowledged:
    """When the acknowledged writes of a load were known to be there."""

    def __init__(self, writes: Writes) -> None:
        which = writes.outcome == CODES[Outcome.OK]
        self.numbers = writes.rows.numbers[which]
        """In order."""
        self.since = writes.done[which]
        """When a reader that begins then has to see this write, or a later one of its writer."""
        for its in _runs(writers_of(self.numbers)):
            self.since[its] = np.minimum.accumulate(self.since[its][::-1])[::-1]

    def newest(self, writers: Instants, at: Instants) -> Instants:
        """The place in `numbers` of the newest write of each writer that had been acknowledged
        before an instant; -1: there was none."""
        found = np.full(len(writers), -1, np.int64)
        order = np.argsort(writers, kind="stable")
        for its in _runs(writers[order]):
            rows = order[its]
            writer = int(writers[rows[0]])
            edges = [number_of(writer, 0), number_of(writer + 1, 0)]
            begin, end = np.searchsorted(self.numbers, edges).tolist()
            places = begin + np.searchsorted(self.since[begin:end], at[rows]) - 1
            found[rows] = np.where(places < begin, -1, places)
        return found


def _runs(ordered: Instants) -> list[slice]:
    """The slices in which a column in order has the same value."""
    edges = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    bounds = [0, *edges.tolist(), len(ordered)]
    return [slice(*each) for each in itertools.pairwise(bounds)] if len(ordered) else []


def writers_of(which: Instants) -> Instants:
    """The writer of each."""
    found: Instants = which // SEQUENCES
    return found


def named(which: Instants) -> tuple[WrittenRow, ...]:
    """Each by writer and sequence."""
    return tuple(WrittenRow(*divmod(number, SEQUENCES)) for number in which.tolist())


def in_order(which: Instants) -> Instants:
    """In order, each once; the column itself is sorted."""
    which.sort()
    first = np.ones(len(which), np.bool_)
    np.not_equal(which[1:], which[:-1], out=first[1:])
    return which if first.all() else which[first]


def are_among(which: Instants, ordered: Instants) -> Mask:
    """Which numbers are among others, which are in order."""
    if not len(ordered):
        return np.zeros(len(which), np.bool_)
    found = np.empty(len(which), np.bool_)
    for block in blocks_of(len(which)):
        places = np.searchsorted(ordered, which[block])
        places[places == len(ordered)] = 0
        np.equal(ordered[places], which[block], out=found[block])
    return found
