"""A load of several processes: what each of them should have made due, and when one was absent.

Each process (Locust's *worker*) makes a share of one schedule. One that died, that was cut off or
that did not run says nothing about the database: what it should have made due in that time has the
outcome `unrecorded`, which counts neither as answered nor as failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from chaosaws_kms_ext.history.clocks import Clock
from chaosaws_kms_ext.history.columns import (
    CODES,
    Absence,
    Arrivals,
    Instants,
    Mask,
    Said,
    blocks_of,
)
from chaosaws_kms_ext.history.records import SECOND, Operation, Outcome

__all__ = [
    "RECORDED_NOTHING",
    "Part",
    "Share",
    "absent_together",
    "complete",
    "find_absences",
    "least_present",
    "merged",
    "tell_nothing",
    "unheard_at_the_end",
]

RECORDED_NOTHING, CUT_OFF, DID_NOT_RUN = "recorded nothing", "was cut off", "did not run"
"""Why a process is absent."""

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
        found: Instants = self.start + np.round(numbers * SECOND / self.rate).astype(np.int64)
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

    A process that left no record has a part without arrivals.
    """
    found: list[Absence] = []
    first = min(part.clock.common(part.share.start) for part in parts)
    last = max(
        (part.clock.common(int(part.arrivals.due[-1])) for part in parts if len(part.arrivals)),
        default=first,
    )
    for part in parts:
        found += _unheard(part, first, last)
        found += _cut_off(part)
        found += _did_not_run(part)
    found = [each for each in found if each.end > first]
    return sorted(found, key=lambda absence: (absence.begin, absence.worker))


def _unheard(part: Part, first: int, last: int) -> Iterable[Absence]:
    """When it recorded nothing between two instants of the load."""
    step = round(part.share.of * SECOND / part.share.rate)
    due = part.clock.commons(part.arrivals.due)
    edges = np.concatenate(([first - step], due, [last + step]))
    for place in np.flatnonzero(np.diff(edges) > SHORTEST + 2 * step):
        begin, end = int(edges[place]) + 1, int(edges[place + 1]) - 1
        yield Absence(part.share.number, part.share.of, begin, end, RECORDED_NOTHING)


def _cut_off(part: Part) -> Iterable[Absence]:
    """When it was cut off, until it was answered again."""
    its = part.arrivals
    for begin, end in part.clock.silences():
        if end <= part.share.start:  # nobody answers before the first arrival
            continue
        back = its.answered & (its.done > end)
        first = int(its.done[back].min()) if back.any() else end
        until = min(max(first, end), end + COMES_BACK_WITHIN)
        yield Absence(
            part.share.number, part.share.of,
            part.clock.common(begin), part.clock.common(until), CUT_OFF,
        )  # fmt: skip


def _did_not_run(part: Part) -> Iterable[Absence]:
    """When the process had no core, or its machine slept."""
    stalls = [(stall.due, stall.done) for stall in part.stalls]
    for begin, end in [*stalls, *part.clock.jumps()]:
        yield Absence(
            part.share.number, part.share.of,
            part.clock.common(begin), part.clock.common(end), DID_NOT_RUN,
        )  # fmt: skip


def complete(part: Part, absences: Sequence[Absence], last: int) -> Part:
    """The arrivals of a part on the load's clock, with those that were not recorded until `last`.

    Only in an absence: any other hole in a record stays one, and counts as not answered.
    """
    share, clock = part.share, part.clock
    own = [each for each in absences if each.worker == share.number]
    due, done = clock.commons(part.arrivals.due), clock.commons(part.arrivals.done)
    outcome, said = part.arrivals.outcome.copy(), part.said.copy()
    unknown = tell_nothing(due, done, share.number, own) & (outcome != CODES[Outcome.OK])
    outcome[unknown], said[unknown] = UNRECORDED, -1
    when = clock.commons(share.due(_missing(part, last)))
    # What it did not end before it died has no record either.
    longest = max((int((done[its] - due[its]).max()) for its in blocks_of(len(due))), default=0)
    absent = [(e.begin - longest * (e.why == RECORDED_NOTHING), e.end) for e in own]
    when = np.concatenate((when[_overlap(when, when, absent)], _slept(part)))
    arrivals = Arrivals.joined(
        [Arrivals(due, done, outcome), Arrivals(when, when, np.full(len(when), UNRECORDED))]
    )
    said = np.concatenate((said, np.full(len(when), -1, np.int8)))
    return replace(part, arrivals=arrivals, said=said)


def _missing(part: Part, last: int) -> Instants:
    """The numbers of its share without a record, until about an instant of the load."""
    share, due = part.share, part.arrivals.due
    seconds = (last - part.clock.common(share.start)) / SECOND
    until = int(seconds * share.rate + 0.01)  # a float can be a little less
    number = len(range(share.number, until + 1, share.of))
    there = np.zeros(number, np.bool_)
    for its in blocks_of(len(due)):
        places = (share.numbers(due[its]) - share.number) // share.of
        there[places[places < number]] = True
    return share.number + share.of * np.flatnonzero(~there)


def _slept(part: Part) -> Instants:
    """When arrivals would have been due while its clock stood still, on the load's clock: none of
    its own were."""
    step = round(part.share.of * SECOND / part.share.rate)
    found = [np.zeros(0, np.int64)]
    for begin, end in part.clock.jumps():
        since, until = part.clock.common(begin), part.clock.common(end)
        number = (until - since - (end - begin)) // step
        found.append(since + step * np.arange(1, number + 1, dtype=np.int64))
    return np.concatenate(found)


def tell_nothing(due: Instants, done: Instants, worker: int, absences: Sequence[Absence]) -> Mask:
    """Which operations of a process, on the load's clock, say nothing of the database, unless it
    answered them: those that were under way in an absence. What a process had recorded when it died
    says something."""
    absent = [
        (each.begin, each.end)
        for each in absences
        if each.worker == worker and each.why != RECORDED_NOTHING
    ]
    return _overlap(due, done, absent)


def _overlap(begin: Instants, end: Instants, times: Sequence[tuple[int, int]]) -> Mask:
    """Which of the times from `begin` to `end` have an instant in common with others."""
    joined = np.array(merged(times), np.int64).reshape(-1, 2)
    if not len(joined):
        return np.zeros(len(begin), np.bool_)
    place = np.searchsorted(joined[:, 1], begin)
    found: Mask = place < len(joined)
    found &= joined[np.minimum(place, len(joined) - 1), 0] <= end
    return found


def unheard_at_the_end(
    due: Instants, rate: float, workers: int, stopped: int
) -> list[tuple[int, int]]:
    """From the last arrival of a load of several processes until it was stopped (ns), if that is
    longer than it takes to hear something: all of them had died, or their records never came."""
    if workers == 1 or not len(due):
        return []
    last = int(due[-1])
    quiet = stopped - last > SHORTEST + 2 * round(workers * SECOND / rate)
    return [(last + 1, stopped)] if quiet else []


def absent_together(absences: Sequence[Absence]) -> list[tuple[int, int]]:
    """From when to when all processes of a load were absent: nothing was recorded of it then."""
    levels = _levels(absences)
    return merged([(begin, end) for begin, end, number in levels if number >= absences[0].of])


def least_present(absences: Sequence[Absence]) -> float:
    """The least share of the processes that was present at once; 0 does not count."""
    if not absences:
        return 1.0
    of = absences[0].of
    return 1 - max((number for _, _, number in _levels(absences) if number < of), default=0) / of


def merged(times: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same time without overlaps, in order."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted(times):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def _levels(absences: Sequence[Absence]) -> Iterable[tuple[int, int, int]]:
    """How many processes were absent, from when to when."""
    edges = [(each.begin, 1, each.worker) for each in absences]
    edges += [(each.end, -1, each.worker) for each in absences]
    absent: Counter[int] = Counter()
    number = 0
    for (at, step, worker), (until, _, _) in pairwise(sorted(edges)):
        absent[worker] += step
        # One process can be absent for two reasons at once.
        if absent[worker] == max(step, 0):
            number += step
        if until > at:
            yield at, until, number
