"""What is known of the arrivals of a load of several processes, one by one: slow, and obvious."""

from __future__ import annotations

import itertools

SECOND = 1_000_000_000


def outcomes(recorded, absences, *, of, rate, start, last):
    """Number of an arrival → its outcome, for all until `last` that the record has.

    `recorded`: worker → number → the operation; `absences`: (worker, begin, end, why).
    """
    found = {}
    for number in itertools.count():
        if start + round(number * SECOND / rate) > last:
            return found
        worker = number % of
        mine = [each for each in absences if each[0] == worker]
        o = recorded.get(worker, {}).get(number)
        if o is None:
            due = start + round(number * SECOND / rate)
            longest = max((o.done - o.due for o in recorded.get(worker, {}).values()), default=0)
            for _, begin, end, why in mine:
                since = begin - longest if why == "recorded nothing" else begin
                if since <= due <= end:
                    found[number] = "unrecorded"
        else:
            under = any(
                o.done >= begin and o.due <= end
                for _, begin, end, why in mine
                if why != "recorded nothing"
            )
            found[number] = "unrecorded" if under and o.outcome != "ok" else o.outcome
    raise AssertionError
