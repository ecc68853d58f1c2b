"""A load's operations as columns: ten million of them are judged in seconds.

Instants are CLOCK_MONOTONIC ns. An outcome is a number: the place of its name in OUTCOMES.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chaosaws_kms_ext.history.database_rows import ReadBack, Rows, Stored
from chaosaws_kms_ext.history.payload import numbers
from chaosaws_kms_ext.history.records import ARRIVALS, Operation, Outcome

__all__ = [
    "BLOCK",
    "CODES",
    "OUTCOMES",
    "Absence",
    "Arrivals",
    "Attempts",
    "Codes",
    "Instants",
    "Mask",
    "ReadBack",
    "Reads",
    "Recorded",
    "Rows",
    "Said",
    "Stored",
    "Writes",
    "blocks_of",
    "label_type",
    "reorder",
]

Instants = NDArray[np.int64]
Codes = NDArray[np.int8]
Mask = NDArray[np.bool_]
Said = NDArray[Any]
"""Numbers of labels: of one byte each, or of more where there are many labels."""

OUTCOMES: tuple[str, ...] = tuple(each.value for each in Outcome)

BLOCK = 1 << 18
"""Operations that are looked at together, where what is made of all of them would need much
memory."""


def blocks_of(number: int) -> Iterator[slice]:
    """The places of so many operations, in pieces."""
    return (slice(first, min(first + BLOCK, number)) for first in range(0, number, BLOCK))


def reorder(order: NDArray[np.intp], *columns: NDArray[Any]) -> None:
    """Puts the values of columns into another order, in place."""
    for column in columns:
        column[:] = column[order]


CODES: Mapping[str, int] = {outcome: number for number, outcome in enumerate(OUTCOMES)}
"""Outcome → its number in a column."""


class Absence(NamedTuple):
    """A time in which one process of a load tells nothing of the database; instants are
    CLOCK_MONOTONIC ns."""

    worker: int
    """The number of its share, from 0 on."""
    of: int
    begin: int
    end: int
    why: str
    """`recorded nothing`, `was cut off`, or `did not run`."""


@dataclass(frozen=True, eq=False)
class Arrivals:
    """The reads and writes of one load, in the order in which they were due."""

    due: Instants
    done: Instants
    """When each was answered or given up."""
    outcome: Codes

    @classmethod
    def of(cls, operations: Sequence[Operation]) -> Arrivals:
        """These operations, which are reads and writes in order."""
        return cls(
            due=np.array([o.due for o in operations], np.int64),
            done=np.array([o.done for o in operations], np.int64),
            outcome=np.array([CODES[o.outcome] for o in operations], np.int8),
        )

    @classmethod
    def joined(cls, parts: Sequence[Arrivals]) -> Arrivals:
        """Those of all parts, of which there is one at least, in the order of the parts."""
        return cls(
            np.concatenate([each.due for each in parts]),
            np.concatenate([each.done for each in parts]),
            np.concatenate([each.outcome for each in parts]),
        )

    def __len__(self) -> int:
        return len(self.due)

    @cached_property
    def answered(self) -> Mask:
        """Which of them got an answer in time."""
        answered: Mask = self.outcome == CODES[Outcome.OK]
        return answered

    @property
    def unrecorded(self) -> Mask:
        """Of which it is not known what became of them."""
        unrecorded: Mask = self.outcome == CODES[Outcome.UNRECORDED]
        return unrecorded

    def took(self, which: Mask) -> Instants:
        """How long some of them took from when they were due, ns."""
        if which.all():  # as nearly always: without two copies
            return self.done - self.due
        found: Instants = self.done[which]
        found -= self.due[which]
        return found

    def only(self, which: Mask | slice) -> Arrivals:
        """Some of them."""
        return Arrivals(self.due[which], self.done[which], self.outcome[which])

    def due_between(self, begin: int, end: int) -> Arrivals:
        """Those that were due in [begin, end), ns: no copies."""
        return self.only(slice(*np.searchsorted(self.due, [begin, end]).tolist()))

    def blocks(self) -> Iterator[Arrivals]:
        """All of them in pieces: no copies."""
        return (self.only(block) for block in blocks_of(len(self)))


def label_type(number: int) -> np.dtype[Any]:
    """The smallest type for the numbers of so many labels, and -1."""
    return np.min_scalar_type(-max(number, 1))


def labelled(operations: Iterable[Operation]) -> tuple[Said, list[str]]:
    """What the client saw of each as a number (-1: nothing), and the names of these numbers."""
    told = [o.sqlstate or o.detail for o in operations]
    labels = sorted({each for each in told if each})
    numbers = {each: number for number, each in enumerate(labels)}
    codes = [numbers[each] if each else -1 for each in told]
    return np.array(codes, label_type(len(labels))), labels


@dataclass(frozen=True, eq=False)
class Attempts:
    """The attempts of one load to connect, in the order in which they began."""

    due: Instants
    """When each began."""
    done: Instants
    outcome: Codes
    said: Said
    """Of each its place in `labels`, or -1."""
    labels: Sequence[str]
    """SQL states, and causes where the server did not say why; of one that succeeded, the
    address."""

    @classmethod
    def of(cls, operations: Iterable[Operation]) -> Attempts:
        """These operations, which are attempts."""
        its = list(operations)
        plain = Arrivals.of(its)
        found = cls(plain.due, plain.done, plain.outcome, *labelled(its))
        return found.put_in_order()

    def put_in_order(self) -> Attempts:
        """The same, whose columns are put in order."""
        reorder(np.argsort(self.due, kind="stable"), self.due, self.done, self.outcome, self.said)
        return self

    def only(self, which: Mask | slice) -> Attempts:
        """Some of them."""
        return Attempts(
            self.due[which], self.done[which], self.outcome[which], self.said[which], self.labels
        )

    @property
    def succeeded(self) -> Mask:
        """Which led to a connection."""
        succeeded: Mask = self.outcome == CODES[Outcome.OK]
        return succeeded

    @property
    def failed(self) -> Mask:
        """Which did not, and were not cut by the end of the load."""
        failed: Mask = ~self.succeeded & (self.outcome != CODES[Outcome.ABORTED])
        return failed

    def __len__(self) -> int:
        return len(self.due)


@dataclass(frozen=True, eq=False)
class Writes:
    """The writes of one load, in the order of writers and sequences."""

    rows: Rows
    """What each writes."""
    outcome: Codes
    done: Instants

    @classmethod
    def of(cls, operations: Sequence[Operation]) -> Writes:
        """These operations, which are writes."""
        found = cls(
            Rows.of((o.writer, o.sequence) for o in operations),
            np.array([CODES[o.outcome] for o in operations], np.int8),
            np.array([o.done for o in operations], np.int64),
        )
        return found.put_in_order()

    @classmethod
    def joined(cls, parts: Sequence[Writes]) -> Writes:
        """Those of all parts, of which there is one at least."""
        found = cls(
            Rows(
                np.concatenate([each.rows.writer for each in parts]),
                np.concatenate([each.rows.sequence for each in parts]),
            ),
            np.concatenate([each.outcome for each in parts]),
            np.concatenate([each.done for each in parts]),
        )
        return found.put_in_order()

    def put_in_order(self) -> Writes:
        """The same, whose columns are put in order."""
        order = np.argsort(self.rows.numbers, kind="stable")
        reorder(order, self.rows.writer, self.rows.sequence, self.outcome, self.done)
        return self

    def __len__(self) -> int:
        return len(self.outcome)


@dataclass(frozen=True, eq=False)
class Reads:
    """What reads of registers saw, in the order of sessions, registers and time."""

    session: NDArray[np.int32]
    """The number of the connection."""
    key: NDArray[np.int32]
    """The writer whose register it was."""
    value: NDArray[np.int64]
    """The sequence that stood in it; NO_ROW, or DAMAGED."""
    sent: Instants

    @classmethod
    def of(cls, operations: Iterable[Operation]) -> Reads:
        """Those of these operations that saw a register."""
        found = [
            (o.session or 0, o.key, o.value, o.due if o.sent is None else o.sent)
            for o in operations
            if o.key is not None and o.value is not None
        ]
        table = np.array(found, np.int64).reshape(-1, 4)
        session, key, value, sent = (table[:, number].copy() for number in range(4))
        return cls(session.astype(np.int32), key.astype(np.int32), value, sent).put_in_order()

    @classmethod
    def joined(cls, parts: Sequence[Reads]) -> Reads:
        """Those of all parts, of which there is one at least."""
        found = cls(
            np.concatenate([each.session for each in parts]),
            np.concatenate([each.key for each in parts]),
            np.concatenate([each.value for each in parts]),
            np.concatenate([each.sent for each in parts]),
        )
        return found.put_in_order()

    def put_in_order(self) -> Reads:
        """The same, whose columns are put in order."""
        order = np.lexsort((self.sent, self.key, self.session))
        reorder(order, self.session, self.key, self.value, self.sent)
        return self

    def only(self, which: Mask | Instants | slice) -> Reads:
        """Some of them."""
        return Reads(self.session[which], self.key[which], self.value[which], self.sent[which])

    @property
    def numbers(self) -> Instants:
        """The write that each saw, as a number."""
        return numbers(self.key, self.value)

    def __len__(self) -> int:
        return len(self.value)


@dataclass(frozen=True, eq=False)
class Recorded:
    """Everything that was recorded of one load."""

    rate: float
    """Arrivals a second."""
    arrivals: Arrivals
    writes: Writes
    reads: Reads
    """Of the load's registers."""
    last: Mapping[int, int]
    """Writer → the last sequence of it, reads included."""
    witnessed: Sequence[Operation]
    """What the witnesses saw, in order."""
    attempts: Attempts
    """To connect."""
    said: Said
    """Of each arrival what the client saw when it failed: its place in `labels`, or -1."""
    labels: Sequence[str]
    """SQL states, and causes where the server did not say why."""
    workers: int = 1
    """Processes that the load has."""
    absences: Sequence[Absence] = ()
    """Of its processes, if it has several."""
    clock_error: float = 0.0
    """Seconds by which an instant can be off since processes have clocks of their own."""

    @classmethod
    def of(cls, rate: float, operations: Iterable[Operation] = ()) -> Recorded:
        """These operations of one load."""
        ordered = sorted(operations, key=lambda operation: operation.due)
        arrivals = [o for o in ordered if o.kind in ARRIVALS]
        last: dict[int, int] = {}
        for o in arrivals:
            last[o.writer] = max(o.sequence, last.get(o.writer, 0))
        return cls(
            rate,
            Arrivals.of(arrivals),
            Writes.of([o for o in arrivals if o.kind == "write"]),
            Reads.of(arrivals),
            last,
            [o for o in ordered if o.kind not in (*ARRIVALS, "attempt")],
            Attempts.of(o for o in ordered if o.kind == "attempt"),
            *labelled(arrivals),
        )
