"""A load of several processes: what each of them should have made due, and when one was absent.

Each process (Locust's *worker*) makes a share of one schedule. One that died, that was cut off or
that did not run says nothing about the database: what it should have made due in that time has the
outcome `unrecorded`, which counts neither as answered nor as failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from chaosaws_kms_ext.history.clocks import Clock
from chaosaws_kms_ext.history.columns import CODES, Absence, Arrivals, Instants, Said
from chaosaws_kms_ext.history.records import SECOND, Operation, Outcome

__all__ = [
    "Part",
    "Share",
    "absent_together",
    "complete",
    "find_absences",
    "least_present",
    "tells",
]

SHORTEST = SECOND // 2
"""ns without any record of a process that is absent: one that runs has several in that time."""

UNRECORDED = np.int8(CODES[Outcome.UNRECORDED])

COMES_BACK_WITHIN = 5 * SECOND
"""ns in which a process that was cut off has new connections."""


class Share(NamedTuple):
    """The part of a load's schedule that one process makes: every `of`-th arrival."""

    number: int
    """From 0 on: also its first arrival."""
    of: int
    start: int
    """When arrival 0 of the load is due, on the clock of the process, ns."""
    rate: float
    """Arrivals a second of the whole load."""

    def due(self, numbers: Instants) -> Instants:
        """When these arrivals are due, on the clock of the process."""
        found: Instants = self.start + np.round(numbers * (SECOND / self.rate)).astype(np.int64)
        return found

    def numbers(self, due: Instants) -> Instants:
        """The opposite of `due`."""
        found: Instants = np.rint((due - self.start) * (self.rate / SECOND)).astype(np.int64)
        return found


@dataclass(frozen=True, eq=False)
class Part:
    """What one process recorded of its share, on its own clock and in the order it was due."""

    share: Share
    arrivals: Arrivals
    said: Said
    """Of each arrival what the client saw."""
    clock: Clock
    stalls: Sequence[Operation] = ()
    """When it did not run."""


def find_absences(parts: Sequence[Part]) -> list[Absence]:
    """The absences of all processes that were started together; instants are those of the load.

    A process of which there is no part at all recorded nothing from the first arrival to the last.
    """
    found: list[Absence] = []
    first = min(part.clock.common(part.share.start) for part in parts)
    last = max(
        (part.clock.common(int(part.arrivals.due[-1])) for part in parts if len(part.arrivals)),
        default=first,
    )
    of = parts[0].share.of
    for missing in set(range(of)) - {part.share.number for part in parts}:
        found.append(Absence(missing, of, first, last, "recorded nothing"))
    for part in parts:
        found += _unheard(part, first, last)
        found += _cut_off(part)
        for stall in part.stalls:
            begin, end = (part.clock.common(at) for at in (stall.due, stall.done))
            found.append(Absence(part.share.number, of, begin, end, "did not run"))
    return sorted(found, key=lambda absence: (absence.begin, absence.worker))


def _unheard(part: Part, first: int, last: int) -> Iterable[Absence]:
    """When it recorded nothing between two instants of the load."""
    step = round(part.share.of * SECOND / part.share.rate)
    due = part.clock.commons(part.arrivals.due)
    edges = np.concatenate(([first - step], due, [last + step]))
    for place in np.flatnonzero(np.diff(edges) > SHORTEST + 2 * step):
        begin, end = int(edges[place]) + 1, int(edges[place + 1]) - 1
        yield Absence(part.share.number, part.share.of, begin, end, "recorded nothing")


def _cut_off(part: Part) -> Iterable[Absence]:
    """When it was cut off, until it was answered again."""
    its = part.arrivals
    for begin, end in part.clock.silences():
        back = its.answered & (its.done > end)
        first = int(its.done[back].min()) if back.any() else end
        until = min(max(first, end), end + COMES_BACK_WITHIN)
        yield Absence(
            part.share.number, part.share.of,
            part.clock.common(begin), part.clock.common(until), "was cut off",
        )  # fmt: skip


def complete(part: Part, absences: Sequence[Absence], last: int) -> Part:
    """The arrivals of a part on the load's clock, with those that were not recorded until `last`.

    Only in an absence: any other hole in a record stays one, and counts as not answered.
    """
    share, clock = part.share, part.clock
    own = [each for each in absences if each.worker == share.number]
    due, done = clock.commons(part.arrivals.due), clock.commons(part.arrivals.done)
    outcome, said = part.arrivals.outcome.copy(), part.said.copy()
    unknown = np.zeros(len(due), np.bool_)
    for each in own:
        unknown |= (done >= each.begin) & (due <= each.end)
    unknown &= outcome != CODES[Outcome.OK]
    outcome[unknown], said[unknown] = UNRECORDED, -1
    missing = np.setdiff1d(_every(part, last), share.numbers(part.arrivals.due))
    when = clock.commons(share.due(missing))
    absent = np.zeros(len(when), np.bool_)
    for each in own:
        absent |= (each.begin <= when) & (when <= each.end)
    when = when[absent]
    arrivals = Arrivals.joined(
        [Arrivals(due, done, outcome), Arrivals(when, when, np.full(len(when), UNRECORDED))]
    )
    said = np.concatenate((said, np.full(len(when), -1, np.int8)))
    return replace(part, arrivals=arrivals, said=said)


def _every(part: Part, last: int) -> Instants:
    """The numbers of its share, until about an instant of the load."""
    share = part.share
    seconds = (last - part.clock.common(share.start)) / SECOND
    return np.arange(share.number, int(seconds * share.rate) + 1, share.of, dtype=np.int64)


def tells(operation: Operation, worker: int, absences: Sequence[Absence]) -> bool:
    """Whether an operation of a process, on the load's clock, says something of the database."""
    return operation.outcome == Outcome.OK or not any(
        each.worker == worker and operation.done >= each.begin and operation.due <= each.end
        for each in absences
    )


def absent_together(absences: Sequence[Absence]) -> list[tuple[int, int]]:
    """From when to when all processes of a load were absent: nothing was recorded of it then."""
    found: list[tuple[int, int]] = []
    for begin, end, number in _levels(absences):
        if number < absences[0].of:
            continue
        if found and found[-1][1] >= begin:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
    return found


def least_present(absences: Sequence[Absence]) -> float:
    """The least share of the processes that was present at once; 0 does not count."""
    if not absences:
        return 1.0
    of = absences[0].of
    return 1 - max((number for _, _, number in _levels(absences) if number < of), default=0) / of


def _levels(absences: Sequence[Absence]) -> Iterable[tuple[int, int, int]]:
    """How many processes were absent, from when to when."""
    edges = sorted({at for each in absences for at in (each.begin, each.end)})
    for begin, end in pairwise(edges):
        yield begin, end, len({e.worker for e in absences if e.begin <= begin and e.end >= end})
