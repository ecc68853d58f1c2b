"""What several processes record of one load, each on its own clock: made from what one process
would have recorded, arrival by arrival."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chaosaws_kms_ext.history import SECOND, Operation
from chaosaws_kms_ext.history.columns import Recorded
from chaosaws_kms_ext.history.combined import combine
from chaosaws_kms_ext.history.operations_file import Header
from tests.support import histories
from tests.support.histories import RATE

ASK_EVERY = SECOND // 4
MS = 1_000_000


@dataclass(frozen=True)
class Away:
    """When a process was absent, ns of the load's clock, and how."""

    worker: int
    begin: int
    end: int
    how: str
    """`killed` (at `begin`), `cut-off` or `stalled`."""


@dataclass(frozen=True)
class Clockwork:
    """The clock of a process beside that of the load."""

    behind: int = 0
    drift: float = 0.0
    took: int = 0
    """ns that a question for the time takes; it is made in the first tenth of that."""

    def own(self, common, start):
        return common - self.behind + round((common - start) * self.drift)


def split(operations, rate, of, start, clocks=(), away=()):
    """The arrivals of one load, `sequence` being their number, as its processes record them."""
    return [
        _one(operations, Header("main", rate, number, of), start, clock, away)
        for number, clock in zip(range(of), clocks or [None] * of, strict=True)
    ]


def _one(operations, header, start, clock, away):
    number, of = header.worker, header.workers
    mine = [each for each in away if each.worker == number]
    its = [each for each in operations if each.sequence % of == number]
    for each in mine:
        its = [o for one in its for o in _under(one, each)]
        if each.how == "stalled":
            stall = ("stall", each.begin, each.begin, each.end)
            its.append(Operation("main", 0, 1, *stall, "ok", None))
    if clock is None:
        return header._replace(start=start), Recorded.of(header.rate, its)
    last = max((o.done for o in its), default=start)
    its += _questions(clock, mine, start - 2 * SECOND, last)

    def own(common):
        return clock.own(common, start)

    told = [
        o._replace(
            due=own(o.due),
            # The time that it was told is that of the load.
            sent=o.sent if o.kind == "clock" or o.sent is None else own(o.sent),
            done=own(o.done),
        )
        for o in its
    ]
    return header._replace(start=own(start)), Recorded.of(header.rate, told)


def _under(o, away):
    """What is recorded of an operation of a process that is absent for a time."""
    if o.kind not in ("read", "write"):
        return [o]
    if away.how == "killed":
        return [o] if o.done < away.begin else []
    if not (away.begin <= o.done and o.due <= away.end):
        return [o]
    if away.how == "stalled":
        return [o._replace(outcome="unsent", done=max(o.done, away.end))]
    return [o._replace(outcome="timeout", done=o.due + 500 * MS)]


def _questions(clock, away, begin, end):
    found = []
    for at in range(begin, end, ASK_EVERY):
        heard = not any(a.begin <= at + clock.took and at <= a.end for a in away)
        if heard:
            made = at + clock.took // 10
            what = ("clock", at, made, at + clock.took)
            found.append(Operation("main", 0, len(found), *what, "ok", None))
    return found


def history_of(operations, of, events=(), away=(), rows=None, rate=RATE, more=()):
    """The run in which a load of several processes did this; `more`: what they witnessed, as
    (worker, operation)."""
    operations = [o._replace(writer=1 + o.sequence % of) for o in operations]
    its = split(operations, rate, of, operations[0].due, (), away)
    for worker, o in more:
        header, recorded = its[worker]
        its[worker] = header, replace(recorded, witnessed=[*recorded.witnessed, o])
    found = histories.history(operations, events, rows)
    return replace(found, recorded={"main": combine(its)})
