"""When arrivals are due: a value, without any clock.

The schedule is open loop: arrival k is due at its instant whatever became of those before it, so a
database that hangs is asked as often as one that answers, and a late answer counts as late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaosaws_kms_ext.history import SECOND

__all__ = ["Schedule", "Tickets"]

WRITE_EVERY = 10
"""One arrival in so many is a write, and one a read of what the load has written."""
PATIENCE = 0.75
"""The share of the deadline for which an arrival may wait until a user takes it.

An arrival that is taken later could not be answered in time: its connection would be closed for
nothing, and a load that reconnects slowly would never catch up with a backlog of such arrivals.
"""


@dataclass(frozen=True)
class Schedule:
    """`rate` arrivals a second from `start` (CLOCK_MONOTONIC, ns) on."""

    start: int
    rate: float
    writes: bool
    reads_registers: bool = False
    """Also where it writes none itself."""

    def due(self, number: int) -> int:
        """The instant at which arrival `number` is due, ns."""
        return self.start + round(number * SECOND / self.rate)

    def kind(self, number: int) -> str:
        """`read` or `write`."""
        return "write" if self.writes and _place(number) == WRITE_EVERY - 1 else "read"

    def of_register(self, number: int) -> bool:
        """Whether it reads a register."""
        return (self.writes or self.reads_registers) and _place(number) == WRITE_EVERY // 2 - 1


def _place(number: int) -> int:
    """The place of an arrival among the ten that it belongs to; which of them is the first changes,
    else with ten users the same one would do all the writes."""
    block, place = divmod(number, WRITE_EVERY)
    return (place - 3 * block - block // WRITE_EVERY) % WRITE_EVERY


class Tickets:
    """Gives out every arrival of a share once: to a user, or as one that no user could take."""

    def __init__(self, schedule: Schedule, deadline: int, first: int = 0, step: int = 1) -> None:
        """`deadline`: ns that an answer may take; after a part of it nobody takes an arrival.

        `first`, `step`: the share of a process, if the load has several: every `step`-th arrival.
        """
        self._schedule = schedule
        self._patience = round(PATIENCE * deadline)
        self._next, self._step = first, step
        self._returned: list[int] = []

    def overdue(self, now: int) -> Sequence[int]:
        """The arrivals that have waited too long for somebody; they are given out hereby."""
        return self.due_by(now - self._patience)

    def due_by(self, instant: int) -> Sequence[int]:
        """The arrivals due by `instant` that nobody took; they are given out hereby."""
        if not self._returned and self._schedule.due(self._next) > instant:
            return ()  # as nearly every time
        returned = [number for number in self._returned if self._schedule.due(number) <= instant]
        self._returned = [number for number in self._returned if number not in returned]
        first = self._next
        while self._schedule.due(self._next) <= instant:
            self._next += self._step
        return [*returned, *range(first, self._next, self._step)]

    def take(self) -> int:
        """The next arrival; it may be due in the past or in the future."""
        if self._returned:
            return self._returned.pop(0)
        taken = self._next
        self._next += self._step
        return taken

    def give_back(self, number: int) -> None:
        """An arrival that was taken and not done: it is given out again."""
        self._returned.append(number)
