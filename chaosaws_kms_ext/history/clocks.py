"""The clock of another machine beside that of the load: how far apart they are, and how exactly.

A process on another machine asks the load for its time, again and again. The answer was made
between the question and its arrival (Cristian, Probabilistic clock synchronization, 1989): the
middle of the two is off by at most half of the time that the question took.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from chaosaws_kms_ext.history.columns import Instants
from chaosaws_kms_ext.history.records import SECOND

__all__ = ["ASK_EVERY", "SILENT", "Clock", "Sample"]

ASK_EVERY = 0.25
"""Seconds between two questions."""

SILENT = SECOND
"""ns without an answer after which a process counts as cut off."""

BEST_OF = 2 * SECOND
"""ns of which the question that took the shortest is used."""

DRIFT = 500e-6
"""Of time, by which two clocks can drift apart: the most that Linux slews one (adjtimex(2))."""


class Sample(NamedTuple):
    """One question; ns."""

    asked: int
    """On the clock of the process."""
    answer: int
    """The load's clock."""
    came: int
    """On the clock of the process."""

    @property
    def middle(self) -> int:
        """When the answer was made, on the clock of the process."""
        return (self.asked + self.came) // 2


class Clock:
    """The clock of one process; without any sample it is that of the load."""

    def __init__(self, samples: Sequence[Sample] = (), until: int = 0) -> None:
        """`samples`: in order; `until`: of its last record, on its own clock, ns."""
        self._samples = samples
        self._until = until
        best: dict[int, Sample] = {}
        for each in samples:
            of = each.middle // BEST_OF
            if of not in best or each.came - each.asked < best[of].came - best[of].asked:
                best[of] = each
        self._best = list(best.values())
        self._at = np.array([each.middle for each in self._best], np.int64)
        self._ahead = np.array([each.answer - each.middle for each in self._best], np.int64)

    def commons(self, instants: Instants) -> Instants:
        """Instants of the process on the clock of the load."""
        if not self._best:
            return instants
        # As differences: a float has no room for ns since a machine started.
        base = int(self._ahead[0])
        ahead = np.interp(instants - self._at[0], self._at - self._at[0], self._ahead - base)
        found: Instants = instants + base + np.rint(ahead).astype(np.int64)
        return found

    def common(self, instant: int) -> int:
        """One instant of the process on the clock of the load."""
        return int(self.commons(np.array([instant], np.int64))[0])

    def own(self, common: int) -> int:
        """The opposite of `common`."""
        instant = common - int(self._ahead[-1]) if self._best else common
        return instant - (self.common(instant) - common)

    @property
    def error(self) -> float:
        """Seconds by which an instant of the load's clock can be off, but for silences."""
        if not self._best:
            return 0.0
        longest = max(each.came - each.asked for each in self._best) / 2
        apart = np.diff(self._at)
        apart = apart[apart <= 2 * BEST_OF]
        return float(longest + DRIFT * apart.max(initial=0) / 2) / SECOND

    def silences(self) -> list[tuple[int, int]]:
        """From when to when nothing was heard of the load, on the clock of the process."""
        found = []
        for before, after in zip(self._samples, self._samples[1:], strict=False):
            if after.asked - before.came > SILENT:
                found.append((before.asked, after.came))
        if self._samples and self._until - self._samples[-1].came > SILENT:
            found.append((self._samples[-1].asked, self._until))
        return found
