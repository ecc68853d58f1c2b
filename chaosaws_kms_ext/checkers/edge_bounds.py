"""How far the begin and the end of an outage can be from the truth.

A total outage began after the last answer, and before the next arrival that got none. It ended
after the last thing that shows the database not answering: an attempt to connect that failed, or a
time-out. Of a partial outage an arrival says only with its depth's probability
whether it lasts. What the load's process itself was late then comes on top.
"""

from __future__ import annotations

import math

import numpy as np

from chaosaws_kms_ext.checkers.outage_windows import Load, Window, failed_arrivals, place_of
from chaosaws_kms_ext.checkers.percentile import nearest_rank
from chaosaws_kms_ext.history import SECOND, Outcome
from chaosaws_kms_ext.history.columns import CODES, Arrivals, Attempts

__all__ = ["begin_within", "end_within"]

UNLIKELY = 0.005
"""How probable it may be that a partial outage lasted longer than a bound says."""

_BUSY = 100_000_000
"""ns for which a database that is back may be busy with everybody who comes back. Measured with 16
users on two cores: 5 to 40 ms, and up to 90 where other programs kept both busy."""
_HUNG = 500_000_000
"""ns after which an attempt to connect had not been served because nobody did."""
_NEAR = 100_000_000
"""ns from an edge, in which the load's process may have been late at it."""


def begin_within(arrivals: Arrivals, load: Load, window: Window) -> float:
    """Seconds by which a window's begin can be off."""
    return _begin_within(arrivals, load, window) + _late(load, window.begin)


def _begin_within(arrivals: Arrivals, load: Load, window: Window) -> float:
    following = _between(arrivals, load, window.begin + 1, window.begin + load.silence)
    if following:
        return _partial(load, window)
    failed = failed_arrivals(arrivals, load.stalls, load.stopped)
    after = place_of(arrivals, window.begin)
    places = np.flatnonzero(failed[after : after + round(load.rate) + 10])
    if not len(places):
        return _partial(load, window)
    first = int(arrivals.due[after + int(places[0])])
    return (first - window.begin) / SECOND + load.usual


def end_within(
    arrivals: Arrivals, load: Load, window: Window, attempts: Attempts, spacing: float
) -> float:
    """Seconds by which a window's end can be off; it has one.

    `attempts`: to connect, in order; `spacing`: seconds between two that hang.
    """
    assert window.end is not None
    within = _end_within(arrivals, load, window, window.end, attempts, spacing)
    return within + _late(load, window.end)


def _end_within(
    arrivals: Arrivals, load: Load, window: Window, end: int, attempts: Attempts, spacing: float
) -> float:
    if _between(arrivals, load, end - load.silence, end - 1):
        return _partial(load, window)
    down = [*_failures(attempts, window.begin, end), _served(attempts, window.begin) - _BUSY]
    timeouts = (arrivals.outcome == CODES[Outcome.TIMEOUT]) & (arrivals.done < end)
    down.append(int(np.max(arrivals.done, where=timeouts, initial=0)) - _BUSY)
    last = max((at for at in down if window.begin < at < end), default=None)
    to_connect = _usual_connect(attempts, window.begin)
    if last is None:
        return load.apart + spacing + load.usual + to_connect
    return (end - last) / SECOND + load.usual + to_connect


def _late(load: Load, at: int) -> float:
    """Seconds by which the load's process woke up too late around an instant: so late it may have
    noticed an answer."""
    its = [o for o in load.lags if o.due < at + _NEAR and (o.sent or o.due) > at - _NEAR]
    return max((o.done - o.due for o in its), default=0) / SECOND


def _partial(load: Load, window: Window) -> float:
    """Until an arrival has failed with near certainty, if the outage lasts."""
    if not 0 < window.depth < 1:
        return load.apart + load.usual
    arrivals = math.ceil(math.log(UNLIKELY) / math.log(1 - window.depth))
    bound = arrivals * load.apart + load.usual
    length = (window.end - window.begin) / SECOND if window.end is not None else bound
    return max(min(bound, length), load.apart + load.usual)


def _between(arrivals: Arrivals, load: Load, since: int, until: int) -> bool:
    """Whether anything was answered in a time."""
    first = place_of(arrivals, since - round(load.deadline * SECOND))
    its = arrivals.only(slice(first, place_of(arrivals, until)))
    return bool(np.any(its.answered & (since <= its.done) & (its.done <= until)))


def _usual_connect(attempts: Attempts, until: int) -> float:
    """Seconds that a connection takes when nothing is wrong: twice the lower quartile.

    When a load starts, all its users connect at once: most of those take longer.
    """
    usual = attempts.succeeded & (attempts.done <= until)
    return 2 * (nearest_rank(attempts.done[usual] - attempts.due[usual], 0.25) or 0) / SECOND


def _served(attempts: Attempts, since: int) -> int:
    """When the first attempt after an instant was served that had hung; 0: there is none."""
    hung = attempts.succeeded & (attempts.done - attempts.due > _HUNG)
    hung &= attempts.done > since
    return int(attempts.done[hung].min()) if hung.any() else 0


def _failures(attempts: Attempts, begin: int, end: int) -> list[int]:
    """The last instant between two at which a failed attempt shows that the database did not
    answer, if there is one."""
    its = attempts.only(attempts.failed & (attempts.due < end))
    timed_out = its.outcome == CODES[Outcome.TIMEOUT]
    at = np.where(timed_out, np.maximum(its.due, its.done - _BUSY), its.due)
    at = at[(begin < at) & (at < end)]
    return [int(at.max())] if len(at) else []
