"""What integrity and stale reads are by definition, with nothing but loops: slow, and meant to be
obvious."""

from __future__ import annotations

from collections import Counter

from chaosaws_kms_ext.history.payload import payload_of

MAY_BE_THERE = ("ok", "timeout", "lost", "aborted")


def writes_of(operations, *outcomes):
    return {
        (o.writer, o.sequence): o
        for o in operations
        if o.kind == "write" and (not outcomes or o.outcome in outcomes)
    }


def last_of(operations):
    last = {}
    for o in operations:
        last[o.writer] = max(o.sequence, last.get(o.writer, 0))
    return last


def recognised(rows, operations):
    """Each row as (which write it is, whether it was changed)."""
    by_payload = {payload_of(*pair): pair for pair in writes_of(operations, *MAY_BE_THERE)}
    found = []
    for writer, sequence, payload in rows:
        if payload == payload_of(writer, sequence):
            found.append(((writer, sequence), False))
        else:
            found.append((by_payload.get(payload, (writer, sequence)), True))
    return found


def reads_of(operations):
    return [o for o in operations if o.key is not None and o.value is not None]


def acknowledged_before(operations, writer, at):
    """The sequences of a writer that had been acknowledged before an instant."""
    return [
        o.sequence
        for (each, _), o in writes_of(operations, "ok").items()
        if each == writer and o.done < at
    ]


def lost(operations, rows):
    there = {pair for pair, _ in recognised(rows, operations)}
    return {pair for pair in writes_of(operations, "ok") if pair not in there}


def changed(operations, rows, registers):
    found = {pair for pair, bad in recognised([*rows, *registers], operations) if bad}
    for o in reads_of(operations):
        if o.value == -1:
            found.add((o.key, max(acknowledged_before(operations, o.key, o.sent), default=0)))
    return found


def duplicated(operations, rows):
    counted = Counter(pair for pair, _ in recognised(rows, operations))
    return {pair for pair, number in counted.items() if number > 1}


def reordered(operations, rows, registers):
    there = {pair for pair, _ in recognised(rows, operations)}
    newest = {}
    for writer, sequence in writes_of(operations, "ok"):
        if (writer, sequence) in there:
            newest[writer] = max(sequence, newest.get(writer, 0))
    held, unknown = {}, set()
    for (writer, sequence), bad in recognised(registers, operations):
        if bad:
            unknown.add(writer)
        else:
            held[writer] = sequence
    return {
        (writer, sequence)
        for writer, sequence in newest.items()
        if writer not in unknown and held.get(writer, 0) < sequence
    }


def possible(operations, pair, died):
    writer, sequence = pair
    if pair in writes_of(operations, *MAY_BE_THERE):
        return True
    return died and sequence > last_of(operations).get(writer, 0)


def stale(operations, died=False):
    """Of each read that can be compared, by when it was sent: (whether its session went back,
    whether it is behind, the newest it should have seen, lag, lag in writes)."""
    found, seen = {}, {}
    for o in sorted(reads_of(operations), key=lambda o: o.sent):
        if o.value < 0 or (o.value and not possible(operations, (o.key, o.value), died)):
            continue
        before = seen.get((o.session, o.key), 0)
        seen[o.session, o.key] = max(before, o.value)
        newest = max(acknowledged_before(operations, o.key, o.sent), default=0)
        missed = [
            each
            for (writer, sequence), each in writes_of(operations, "ok").items()
            if writer == o.key and sequence > o.value
        ]
        behind = newest > o.value
        found[o.sent] = (
            o.value < before,
            behind,
            max(before, newest),
            o.sent - min(each.done for each in missed) if behind else 0,
            len([each for each in missed if each.sequence <= newest]) if behind else 0,
        )
    return found
