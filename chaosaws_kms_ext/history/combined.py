"""Puts together what the processes of one load recorded: one record, on one clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from chaosaws_kms_ext.history.clocks import Clock, Sample
from chaosaws_kms_ext.history.columns import (
    Absence,
    Arrivals,
    Attempts,
    Instants,
    Reads,
    Recorded,
    Said,
    Writes,
    label_type,
    reorder,
)
from chaosaws_kms_ext.history.operations_file import Header
from chaosaws_kms_ext.history.records import Operation, Outcome
from chaosaws_kms_ext.history.shares import Part, Share, complete, find_absences, tell_nothing

__all__ = ["combine"]

OWN = ("clock", "stall")
"""Kinds of operations that are about the process and not about the database."""

OF_PROCESS = ("lag", "hung")
"""Kinds that are looked at process by process: their writer is its number."""

NOTHING = Recorded.of(0.0)
OK = Outcome.OK.value


def combine(found: Iterable[tuple[Header, Recorded]]) -> Recorded:
    """Of the processes of one load, each on its own clock, to the record of the load.

    Of an iterator that keeps none of them it needs less memory.
    """
    ordered = sorted(found, key=lambda each: (each[0].starts, each[0].worker))
    header, whole = ordered[0][0], _Whole()
    while ordered:
        starts = ordered[0][0].starts
        number = sum(each.starts == starts for each, _ in ordered)
        whole.add(ordered[:number])
        del ordered[:number]
    return whole.finish(header)


class _Whole:
    """Grows by the processes that were started together."""

    def __init__(self) -> None:
        self._absences: list[Absence] = []
        self._arrivals: list[Arrivals] = []
        self._said: list[Said] = []
        self._labels: list[str] = []
        self._writes: list[Writes] = []
        self._reads: list[Reads] = []
        self._last: dict[int, int] = {}
        self._witnessed: list[Operation] = []
        self._attempts: list[Attempts] = []
        self._clock_error = 0.0

    def add(self, found: list[tuple[Header, Recorded]]) -> None:
        """Takes them."""
        its = [(_part(header, recorded), recorded) for header, recorded in found]
        found.clear()
        its += [(part, NOTHING) for part in _without_record([part for part, _ in its])]
        absent = find_absences([part for part, _ in its])
        last = max(_last(part) for part, _ in its)
        while its:
            part, recorded = its.pop(0)
            said, self._labels = _renamed(recorded.said, recorded.labels, self._labels)
            part = complete(replace(part, said=said), absent, last)
            self._arrivals.append(part.arrivals)
            self._said.append(part.said)
            self._witnessed += _on_its_clock(recorded.witnessed, part, absent)
            self._attempts.append(_attempts(recorded.attempts, part, absent))
            w, r = recorded.writes, recorded.reads
            self._writes.append(Writes(w.rows, w.outcome, part.clock.commons(w.done)))
            self._reads.append(Reads(r.session, r.key, r.value, part.clock.commons(r.sent)))
            for writer, sequence in recorded.last.items():
                self._last[writer] = max(sequence, self._last.get(writer, 0))
            self._clock_error = max(self._clock_error, part.clock.error)
        self._absences += absent

    def finish(self, header: Header) -> Recorded:
        """All of it, in the order in which it was due; can be called once."""
        arrivals, said = Arrivals.joined(self._arrivals), np.concatenate(self._said)
        self._arrivals, self._said = [], []
        order = np.argsort(arrivals.due, kind="stable")
        reorder(order, arrivals.due, arrivals.done, arrivals.outcome, said)
        return Recorded(
            rate=header.rate,
            arrivals=arrivals,
            writes=Writes.joined(self._writes),
            reads=Reads.joined(self._reads),
            last=self._last,
            witnessed=sorted(self._witnessed, key=lambda operation: operation.due),
            attempts=_joined(self._attempts),
            said=said,
            labels=self._labels,
            workers=header.workers,
            absences=self._absences,
            clock_error=self._clock_error,
        )


def _part(header: Header, recorded: Recorded) -> Part:
    share = Share(header.worker, header.workers, header.start, header.rate)
    samples = [Sample(o.due, o.sent or 0, o.done) for o in recorded.witnessed if o.kind == "clock"]
    newest = max(
        int(recorded.arrivals.done.max(initial=0)),
        max((o.done for o in recorded.witnessed), default=0),
    )
    stalls = [o for o in recorded.witnessed if o.kind == "stall"]
    return Part(share, recorded.arrivals, recorded.said, Clock(samples, newest), stalls)


def _without_record(parts: Sequence[Part]) -> list[Part]:
    """The processes of a load that left no record at all: killed, or cut off, from the begin on."""
    one = parts[0]
    of = one.share.of
    start = one.clock.common(one.share.start)
    return [
        Part(Share(number, of, start, one.share.rate), NOTHING.arrivals, NOTHING.said, Clock())
        for number in range(of)
        if number not in {part.share.number for part in parts}
    ]


def _last(part: Part) -> int:
    """When its last arrival was due, on the load's clock."""
    due = part.arrivals.due
    return part.clock.common(int(due[-1])) if len(due) else 0


def _on_its_clock(
    witnessed: Sequence[Operation], part: Part, absences: Sequence[Absence]
) -> list[Operation]:
    """What tells something of the database, on the load's clock."""
    its = [o for o in witnessed if o.kind not in OWN]
    if not its:
        return []
    due = _commons(part.clock, [o.due for o in its])
    done = _commons(part.clock, [o.done for o in its])
    sent = _commons(part.clock, [o.due if o.sent is None else o.sent for o in its])
    found = [
        o._replace(
            writer=part.share.number if o.kind in OF_PROCESS else o.writer,
            due=int(d),
            sent=None if o.sent is None else int(s),
            done=int(e),
        )
        for o, d, s, e in zip(its, due, sent, done, strict=True)
    ]
    nothing = tell_nothing(due, done, part.share.number, absences)
    return [
        o
        for o, not_known in zip(found, nothing, strict=True)
        # Of a session that hangs, the time is taken off in which its process was absent.
        if o.outcome == OK or o.kind == "hung" or not not_known
    ]


def _attempts(its: Attempts, part: Part, absences: Sequence[Absence]) -> Attempts:
    """The attempts of a process that tell something of the database, on the load's clock."""
    due, done = part.clock.commons(its.due), part.clock.commons(its.done)
    tells = ~tell_nothing(due, done, part.share.number, absences) | its.succeeded
    return Attempts(due, done, its.outcome, its.said, its.labels).only(tells)


def _joined(parts: Sequence[Attempts]) -> Attempts:
    """Those of all processes."""
    said, labels = [], list[str]()
    for each in parts:
        renamed, labels = _renamed(each.said, each.labels, labels)
        said.append(renamed)
    return Attempts(
        np.concatenate([each.due for each in parts]),
        np.concatenate([each.done for each in parts]),
        np.concatenate([each.outcome for each in parts]),
        np.concatenate(said),
        labels,
    ).put_in_order()


def _commons(clock: Clock, instants: Sequence[int]) -> Instants:
    return clock.commons(np.array(instants, np.int64))


def _renamed(said: Said, its: Sequence[str], labels: list[str]) -> tuple[Said, list[str]]:
    """Numbers of a process' own labels as those of the load, to which its labels are added."""
    whole = [*labels, *(label for label in its if label not in labels)]
    # The last is for those that said nothing.
    codes = np.array([*(whole.index(label) for label in its), -1], label_type(len(whole)))
    renamed: Said = codes[said]
    return renamed, whole
