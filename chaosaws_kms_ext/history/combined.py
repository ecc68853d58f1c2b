"""Puts together what the processes of one load recorded: one record, on one clock."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

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
)
from chaosaws_kms_ext.history.operations_file import Header
from chaosaws_kms_ext.history.records import Operation, Outcome
from chaosaws_kms_ext.history.shares import Part, Share, complete, find_absences, tell_nothing

__all__ = ["combine"]

OWN = ("clock", "stall")
"""Kinds of operations that are about the process and not about the database."""

NOTHING = Recorded.of(0.0)
OK = Outcome.OK.value


def combine(found: Sequence[tuple[Header, Recorded]]) -> Recorded:
    """Of the processes of one load, each on its own clock, to the record of the load.

    Raises HistoryDamaged.
    """
    ordered = sorted(found, key=lambda each: (each[0].starts, each[0].worker))
    absences: list[Absence] = []
    parts: list[Part] = []
    witnessed: list[Operation] = []
    writes, reads = list[Writes](), list[Reads]()
    attempts: list[Attempts] = []
    labels: list[str] = []
    for _, group in groupby(ordered, key=lambda each: each[0].starts):
        its = [(_part(header, recorded), recorded) for header, recorded in group]
        its += [(part, NOTHING) for part in _without_record([part for part, _ in its])]
        absent = find_absences([part for part, _ in its])
        last = max((_last(part) for part, _ in its), default=0)
        for part, recorded in its:
            clock = part.clock
            said, labels = _renamed(recorded.said, recorded.labels, labels)
            parts.append(complete(_with(part, said), absent, last))
            witnessed += _on_its_clock(recorded.witnessed, part, absent)
            attempts.append(_attempts(recorded.attempts, part, absent))
            w, r = recorded.writes, recorded.reads
            writes.append(Writes(w.rows, w.outcome, clock.commons(w.done)))
            reads.append(Reads(r.session, r.key, r.value, clock.commons(r.sent)))
        absences += absent
    arrivals = Arrivals.joined([part.arrivals for part in parts])
    order = np.argsort(arrivals.due, kind="stable")
    return Recorded(
        rate=ordered[0][0].rate,
        arrivals=Arrivals(arrivals.due[order], arrivals.done[order], arrivals.outcome[order]),
        writes=Writes.joined(writes),
        reads=Reads.joined(reads),
        last=_last_of_each([recorded for _, recorded in ordered]),
        witnessed=sorted(witnessed, key=lambda operation: operation.due),
        attempts=_joined(attempts),
        said=np.concatenate([part.said for part in parts])[order],
        labels=labels,
        workers=ordered[0][0].workers,
        absences=absences,
        clock_error=max(part.clock.error for part in parts),
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


def _with(part: Part, said: Said) -> Part:
    return Part(part.share, part.arrivals, said, part.clock, part.stalls)


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
            # How late a process was is looked at process by process.
            writer=part.share.number if o.kind == "lag" else o.writer,
            due=int(d),
            sent=None if o.sent is None else int(s),
            done=int(e),
        )
        for o, d, s, e in zip(its, due, sent, done, strict=True)
    ]
    nothing = tell_nothing(due, done, part.share.number, absences)
    return [
        o for o, not_known in zip(found, nothing, strict=True) if o.outcome == OK or not not_known
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


def _last_of_each(found: Sequence[Recorded]) -> dict[int, int]:
    last: dict[int, int] = {}
    for recorded in found:
        for writer, sequence in recorded.last.items():
            last[writer] = max(sequence, last.get(writer, 0))
    return last
