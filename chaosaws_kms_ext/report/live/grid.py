"""Counts by time in as little memory however long it gets: rows of one width, which doubles.

Rows lie on a grid that begins at one instant, so that what comes out depends on what was counted,
and neither on its order nor on the pieces in which it came.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chaosaws_kms_ext.history.columns import Instants

__all__ = ["Grid"]

ROOM = 64
"""Rows that are made at once, at least."""


class Grid:
    """Columns of numbers, one row for each slice of time."""

    def __init__(
        self, zero: int, width: int, most: int, largest: Collection[str] = (), **sizes: int
    ) -> None:
        """`zero`: where the grid begins, ns; `width`: of a row at first, ns; `most`: rows at most.

        `sizes`: how many numbers a row has in each column; when rows are joined they are added up,
        but those of the columns `largest`, of which the largest stays.
        """
        self._zero, self._most, self._largest = zero, most, largest
        self.width = width
        self._first = 0
        """The number of the first row, counted from the begin of the grid."""
        self.length = 0
        self._columns: dict[str, NDArray[np.int64]] = {
            name: np.zeros((0, size), np.int64) for name, size in sizes.items()
        }

    def __getitem__(self, column: str) -> NDArray[np.int64]:
        """A column as far as it is used: no copy, and only until more is counted."""
        return self._columns[column][: self.length]

    @property
    def edges(self) -> Instants:
        """Where each row begins, and where the last one ends, ns."""
        numbers = np.arange(self._first, self._first + self.length + 1, dtype=np.int64)
        found: Instants = self._zero + numbers * self.width
        return found

    def places(self, instants: Instants) -> Instants:
        """The row of each instant (ns); makes room for them."""
        if not len(instants):
            return np.zeros(0, np.int64)
        earliest, latest = int(instants.min()) - self._zero, int(instants.max()) - self._zero
        while True:
            first, last = earliest // self.width, latest // self.width
            if self.length:
                first, last = min(first, self._first), max(last, self._first + self.length - 1)
            if last - first < self._most:
                break
            self._double()
        self._grow(first, last + 1 - first)
        found: Instants = (instants - self._zero) // self.width - self._first
        return found

    def _grow(self, first: int, length: int) -> None:
        before = self._first - first if self.length else 0
        rows = len(next(iter(self._columns.values())))
        if before or length > rows:
            rows = min(max(length + length // 4, ROOM), self._most)
            for name, its in self._columns.items():
                larger = np.zeros((rows, its.shape[1]), np.int64)
                larger[before : before + self.length] = its[: self.length]
                self._columns[name] = larger
        self._first, self.length = first, length

    def _double(self) -> None:
        """Joins each two rows."""
        self.width *= 2
        before = self._first % 2
        pairs = (before + self.length + 1) // 2
        for name, its in self._columns.items():
            padded = np.zeros((2 * pairs, its.shape[1]), np.int64)
            padded[before : before + self.length] = its[: self.length]
            joined: Any = padded.reshape(pairs, 2, its.shape[1])
            self._columns[name] = joined.max(1) if name in self._largest else joined.sum(1)
        self._first //= 2
        self.length = pairs
