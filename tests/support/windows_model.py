"""Outage windows by their definition, with nothing but loops: slow, and meant to be obvious."""

from __future__ import annotations

import itertools

SECOND = 1_000_000_000
NEAR, FEWEST, SHORTEST, IN_FLIGHT = 20, 10, 0.1, 5
NEVER = 2**63


def windows(operations, rate, window, deadline, usual):
    """Of one load's arrivals, in order: (begin, end or None, failed, depth) of each window."""
    span, late = round(window * SECOND), max(5 * usual, 10 / rate, 0.1) * SECOND
    silence = max(10 / rate, 2 * usual + 1 / rate) * SECOND
    in_flight = (3 * usual + 5 / rate) * SECOND
    number = len(operations)

    def answered(place):
        return operations[place].outcome == "ok"

    def failed(place):
        return operations[place].outcome not in ("ok", "aborted")

    def due(place):
        return operations[place].due

    def stretch(begin):
        return [p for p in range(begin, number) if due(p) < due(begin) + span]

    def good(begin):
        its = stretch(begin)
        if not answered(begin) or its[-1] == number - 1:
            return False
        well = [p for p in its if not failed(p)]
        return len(well) / max(len(its), int(rate * span / SECOND) - 1) >= 0.99

    covered = {p for begin in range(number) if good(begin) for p in stretch(begin)}
    found = []
    place = 0
    while place < number:
        if place in covered:
            place += 1
            continue
        run = [place]
        while run[-1] + 1 < number and run[-1] + 1 not in covered:
            run.append(run[-1] + 1)
        place = run[-1] + 1
        its = {p for p in run if failed(p)}
        grown = bool(its)
        while grown:  # with those that are near
            near = {
                p
                for p in range(number)
                if failed(p) and p not in its and any(abs(p - other) <= NEAR for other in its)
            }
            grown = bool(near)
            its |= near
        if not its:
            continue
        if found and min(its) <= found[-1][1]:
            found[-1] = (found[-1][0], max(max(its), found[-1][1]), place)
        else:
            found.append((min(its), max(its), place))

    answers = sorted(o.done for o in operations if o.outcome == "ok")

    def begin_of(first):
        near = sorted(
            o.done
            for o in operations
            if o.outcome == "ok" and o.due >= due(first) - 2 * deadline * SECOND
        )
        for answer, following in zip(near, [*near[1:], NEVER], strict=False):
            if answer > due(first) + in_flight:
                break
            if following > due(first) and following - answer >= silence:
                before = [
                    p for p in range(first, number) if failed(p) and due(p) < answer - in_flight
                ]
                return answer if len(before) <= IN_FLIGHT else due(first)
        return due(first)

    def end_of(last, again):
        until = max(due(again) + span, due(last) + deadline * SECOND)
        first = min(
            operations[p].done for p in range(again, number) if answered(p) and due(p) < until
        )
        earlier = [
            operations[p].done
            for p in range(again)
            if answered(p)
            and operations[p].done < first
            and due(p) >= due(last) - 2 * deadline * SECOND
        ]
        if not earlier:
            return first
        back = min(earlier)
        for answer, following in itertools.pairwise(sorted([*earlier, first])):
            if following - answer >= silence:
                back = following
        if back > due(last):
            return back
        hung = [
            operations[p].done
            for p in range(last + 1, number)
            if answered(p)
            and due(p) < due(last) + deadline * SECOND
            and operations[p].done - due(p) > late
        ]
        return min(hung, default=first)

    told = []
    for first, last, stop in found:
        lost = [p for p in range(first, last + 1) if failed(p)]
        if len(lost) < max(FEWEST, rate * SHORTEST):
            continue
        begin = begin_of(first)
        end = end_of(last, max(stop, last + 1)) if stop < number else None
        until = max(o.done for o in operations[first:]) if end is None else end
        within = [answer for answer in answers if begin < answer < until]
        depth = 1 - len(within) / max((until - begin) / SECOND * rate, 1)
        told.append((begin, end, len(lost), min(max(depth, 0), 1)))
    return told
