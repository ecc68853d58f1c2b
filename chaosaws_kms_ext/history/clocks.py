"""The clock of another machine beside that of the load: how far apart they are, and how exactly.

A process on another machine asks the load for its time, again and again. The answer was made
between the question and its arrival (Cristian, Probabilistic clock synchronization, 1989): the
middle of the two is off by at most half of the time that the question took. Two clocks also drift
apart no faster than DRIFT, so that each question says something of the time around it: what agrees
with all questions is used.
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

DRIFT = 1000e-6
"""Of time, by which two clocks can drift apart: Linux slews one by half of that at most
(adjtimex(2))."""

TURNS = 8
"""Times that `own` comes nearer: each time by a factor of 1 / DRIFT."""


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

    @property
    def ahead(self) -> int:
        """By how much the load's clock was ahead."""
        return self.answer - self.middle

    @property
    def error(self) -> float:
        """By how much that can be off; they drift while the answer is on its way, too."""
        return (self.came - self.asked) / 2 * (1 + DRIFT) + 1


class Clock:
    """The clock of one process; without any sample it is that of the load."""

    def __init__(self, samples: Sequence[Sample] = (), until: int = 0) -> None:
        """`samples`: in the order in which they came; `until`: of its last record, on its own
        clock, ns."""
        self._until = until
        self._pieces = [_Piece(its) for its in _without_jumps(samples)]
        none = np.zeros(0, np.int64)
        self._at = np.concatenate([none, *(each.at for each in self._pieces)])
        self._ahead = np.concatenate([none, *(each.ahead for each in self._pieces)])

    def commons(self, instants: Instants) -> Instants:
        """Instants of the process on the clock of the load."""
        if not self._pieces:
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
        """The opposite of `common`, but for an instant at which the process's clock jumped."""
        if not self._pieces:
            return common
        instant = common - int(self._ahead[-1])
        for _ in range(TURNS):
            instant += common - self.common(instant)
        return instant

    @property
    def error(self) -> float:
        """Seconds by which an instant of the load's clock can be off outside silences and jumps."""
        return max((each.error(self._until) for each in self._pieces), default=0.0) / SECOND

    def silences(self) -> list[tuple[int, int]]:
        """From when to when nothing was heard of the load, on the clock of the process."""
        found = [silence for each in self._pieces for silence in each.silences()]
        if self._pieces and self._until - self._pieces[-1].samples[-1].came > SILENT:
            found.append((self._pieces[-1].samples[-1].asked, self._until))
        return sorted(found)

    def jumps(self) -> list[tuple[int, int]]:
        """Between which instants its clock jumped, on the clock of the process: a machine that
        sleeps has no monotonic time (CLOCK_MONOTONIC in clock_gettime(2))."""
        return [
            (before.samples[-1].asked, after.samples[0].came)
            for before, after in zip(self._pieces, self._pieces[1:], strict=False)
        ]


class _Piece:
    """Samples between which the clock did not jump."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples
        by_middle = sorted(samples, key=lambda sample: sample.middle)
        self.at = np.array([each.middle for each in by_middle], np.int64)
        base = by_middle[0].ahead
        ahead = np.array([each.ahead - base for each in by_middle], np.float64)
        error = np.array([each.error for each in by_middle])
        drift = (self.at - self.at[0]) * DRIFT
        # Each sample bounds all that come after it, and all before.
        most = np.minimum(
            np.minimum.accumulate(ahead + error - drift) + drift,
            np.minimum.accumulate((ahead + error + drift)[::-1])[::-1] - drift,
        )
        least = np.maximum(
            np.maximum.accumulate(ahead - error + drift) - drift,
            np.maximum.accumulate((ahead - error - drift)[::-1])[::-1] + drift,
        )
        self.ahead = base + np.rint((most + least) / 2).astype(np.int64)
        self._within = float(np.max(most - least)) / 2

    def error(self, until: int) -> float:
        """ns by which an instant of it can be off, outside of silences. Its edges are drifted away
        from, and between two samples the way is longest in the middle."""
        first, last = self.samples[0], self.samples[-1]
        edges = [int(self.at[0]) - first.asked, min(until, last.came + SILENT) - int(self.at[-1])]
        apart = np.diff(self.at)
        between = int(apart[apart <= 2 * SILENT].max(initial=0)) / 2
        return self._within + DRIFT * max(between, *edges) + 1

    def silences(self) -> list[tuple[int, int]]:
        """See `Clock.silences`."""
        return [
            (before.asked, after.came)
            for before, after in zip(self.samples, self.samples[1:], strict=False)
            if after.asked - before.came > SILENT
        ]


def _without_jumps(samples: Sequence[Sample]) -> list[list[Sample]]:
    """The samples in pieces, each of which one clock without any jump can have given."""
    pieces: list[list[Sample]] = []
    base = samples[0].ahead if samples else 0
    at, least, most = 0, 0.0, 0.0
    for each in samples:
        low, high = each.ahead - base - each.error, each.ahead - base + each.error
        drift = abs(each.middle - at) * DRIFT
        if pieces and least - drift <= high and low <= most + drift:
            pieces[-1].append(each)
            least, most = max(least - drift, low), min(most + drift, high)
        else:
            pieces.append([each])
            least, most = low, high
        at = each.middle
    return pieces
