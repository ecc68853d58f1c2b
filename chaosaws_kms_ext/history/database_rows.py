"""Rows of a load's tables as columns: what its writes are to leave, and what was found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chaosaws_kms_ext.history.payload import numbers, payloads

__all__ = ["ReadBack", "Rows", "Stored"]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a load, each known by its writer and its sequence."""

    writer: NDArray[np.int32]
    sequence: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Iterable[tuple[int, int]]) -> Rows:
        """Rows that are given as writer and sequence; raises ValueError."""
        pairs = np.array(list(rows), np.int64).reshape(-1, 2)
        return cls(pairs[:, 0].astype(np.int32), pairs[:, 1])

    @property
    def numbers(self) -> NDArray[np.int64]:
        """One number for each, in the order of writer and sequence."""
        return numbers(self.writer, self.sequence)

    def __len__(self) -> int:
        return len(self.writer)


@dataclass(frozen=True, eq=False)
class Stored:
    """Rows of a table of the load, as they were found in the database."""

    rows: Rows
    payload: NDArray[np.int64]
    """The checksum that stands in each."""

    @classmethod
    def of(cls, found: Iterable[tuple[int, ...]]) -> Stored:
        """Rows that are given as writer, sequence and checksum, or without the checksum: they have
        the right one then. Raises ValueError."""
        table = np.array(list(found), np.int64)
        if not len(table):
            table = table.reshape(-1, 2)
        rows = Rows(table[:, 0].astype(np.int32), table[:, 1].copy())
        given = table.shape[1] == 3
        return cls(rows, table[:, 2].copy() if given else payloads(rows.numbers))

    @classmethod
    def joined(cls, parts: Sequence[Stored]) -> Stored:
        """Those of all parts, of which there is one at least."""
        return cls(
            Rows(
                np.concatenate([each.rows.writer for each in parts]),
                np.concatenate([each.rows.sequence for each in parts]),
            ),
            np.concatenate([each.payload for each in parts]),
        )

    def __len__(self) -> int:
        return len(self.payload)


@dataclass(frozen=True, eq=False)
class ReadBack:
    """What a load's writes left in the database, all at one instant."""

    rows: Stored
    """One for each write."""
    registers: Stored
    """One for each writer: its `sequence` is that of the writer's newest write."""

    @classmethod
    def of(
        cls, rows: Iterable[tuple[int, ...]], registers: Iterable[tuple[int, ...]] | None = None
    ) -> ReadBack:
        """As in `Stored.of`; the registers are by default those that such rows leave."""
        found = list(rows)
        newest: dict[int, int] = {}
        for writer, sequence, *_ in found:
            newest[writer] = max(sequence, newest.get(writer, 0))
        its = newest.items() if registers is None else registers
        return cls(Stored.of(found), Stored.of(its))
