"""Columns of Arrow as this project holds them: NumPy, and what is not null of texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["Batch", "Column", "Names", "Numbers", "Texts"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Numbers:
    """Integers, booleans, or instants; where one is null, it is any number."""

    values: NDArray[Any]
    valid: Mask | None = None
    """Where it is not null; None: everywhere."""

    @classmethod
    def of(cls, values: Sequence[int | None], dtype: DTypeLike) -> Numbers:
        """These; None is null. Raises OverflowError where one is too large."""
        nulls = values.count(None)
        if not nulls:
            return cls(np.array(values, dtype))
        its, valid = np.zeros(len(values), dtype), np.zeros(len(values), np.bool_)
        if nulls < len(values):
            known = [place for place, value in enumerate(values) if value is not None]
            its[known] = [values[place] for place in known]
            valid[known] = True
        return cls(its, valid)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def is_there(self) -> Mask:
        """Where it is not null."""
        return np.ones(len(self), np.bool_) if self.valid is None else self.valid

    def filled(self, null: int) -> NDArray[Any]:
        """With `null` where it is null."""
        if self.valid is None:
            return self.values
        found: NDArray[Any] = np.where(self.valid, self.values, self.values.dtype.type(null))
        return found

    def only(self, which: Mask) -> Numbers:
        """Those of some rows."""
        return Numbers(self.values[which], None if self.valid is None else self.valid[which])

    def to_list(self) -> list[Any]:
        """Each; None where it is null."""
        its: list[Any] = self.values.tolist()
        if self.valid is None:
            return its
        return [each if there else None for each, there in zip(its, self.valid, strict=True)]


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts, of which most are null."""

    length: int
    places: NDArray[np.int64]
    """The rows that have one, in order."""
    texts: Sequence[str]
    """Theirs."""

    @classmethod
    def of(cls, values: Sequence[str | None]) -> Texts:
        """These; None is null."""
        if values.count(None) == len(values):
            return cls(len(values), np.zeros(0, np.int64), ())
        texts = [(place, text) for place, text in enumerate(values) if text is not None]
        places = np.array([place for place, _ in texts], np.int64)
        return cls(len(values), places, [text for _, text in texts])

    def __len__(self) -> int:
        return self.length

    @property
    def is_there(self) -> Mask:
        """Where it is not null."""
        found = np.zeros(self.length, np.bool_)
        found[self.places] = True
        return found

    def only(self, which: Mask) -> Texts:
        """Those of some rows."""
        kept = which[self.places]
        places = np.cumsum(which)[self.places[kept]] - 1
        return Texts(int(np.count_nonzero(which)), places, list(compress(self.texts, kept)))

    def mapped(self, change: Callable[[str], str]) -> Texts:
        """With each text changed."""
        changed = {text: change(text) for text in set(self.texts)}
        return Texts(self.length, self.places, [changed[text] for text in self.texts])

    def to_list(self) -> list[str | None]:
        """Each; None where it is null."""
        found: list[str | None] = [None] * self.length
        for place, text in zip(self.places.tolist(), self.texts, strict=True):
            found[place] = text
        return found


@dataclass(frozen=True, eq=False)
class Names:
    """Names out of a few, none null; Arrow calls it a dictionary."""

    codes: NDArray[Any]
    """Of each row the place of its name in `names`."""
    names: tuple[str, ...]

    @classmethod
    def of(cls, values: Sequence[str]) -> Names:
        """These."""
        places = {name: place for place, name in enumerate(dict.fromkeys(values))}
        return cls(np.array([places[each] for each in values], np.int32), tuple(places))

    def __len__(self) -> int:
        return len(self.codes)

    def only(self, which: Mask) -> Names:
        """Those of some rows."""
        return Names(self.codes[which], self.names)

    def mapped(self, change: Callable[[str], str]) -> Names:
        """With each name changed."""
        return Names(self.codes, tuple(change(name) for name in self.names))

    def to_list(self) -> list[str]:
        """Each."""
        return [self.names[code] for code in self.codes.tolist()]


Column: TypeAlias = Numbers | Texts | Names


class Batch(NamedTuple):
    """Columns of one length, by name."""

    rows: int
    columns: Mapping[str, Column]

    def numbers(self, name: str) -> Numbers:
        """A column that has numbers."""
        its = self.columns[name]
        assert isinstance(its, Numbers)
        return its

    def texts(self, name: str) -> Texts:
        """A column that has texts."""
        its = self.columns[name]
        assert isinstance(its, Texts)
        return its

    def names(self, name: str) -> Names:
        """A column that has names out of a few."""
        its = self.columns[name]
        assert isinstance(its, Names)
        return its

    def only(self, which: Mask) -> Batch:
        """Some of its rows."""
        if which.all():
            return self
        return Batch(
            int(np.count_nonzero(which)),
            {name: its.only(which) for name, its in self.columns.items()},
        )
