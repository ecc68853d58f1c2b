"""The outages of a load as far as they are seen by now, by the definition of `outage_windows`.

It is applied to counts and not to every arrival, so an edge is off by a tick: the report has it
exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chaosaws_kms_ext.checkers.outage_windows import ANSWERED, FEWEST, SHORTEST
from chaosaws_kms_ext.history import SECOND

__all__ = ["Seen", "find_outages"]

FEWEST_A_TICK = 2.0
"""Arrivals that are due in a tick at least: those of a slow load are joined."""


class Seen(NamedTuple):
    """One outage; instants are CLOCK_MONOTONIC ns, off by `within` seconds."""

    begin: int
    end: int | None
    """None: it goes on."""
    within: float


def find_outages(
    answered: Any,
    failed: Any,
    answers: Any,
    *,
    begin: int,
    tick: int,
    rate: float,
    window: float,
) -> Sequence[Seen]:
    """The outages in columns of counts, one number a tick: of arrivals that were due in it and are
    answered, or failed; and of answers that came in it.

    `begin`: where the first tick begins, ns; `tick`: how long each is, ns; `rate`: arrivals a
    second; `window`: seconds of a good stretch. An arrival that is not recorded counts as failed,
    so the columns may only have ticks of which everything is recorded.
    """
    joined = max(math.ceil(FEWEST_A_TICK / (rate * tick / SECOND)), 1)
    whole = len(answered) // joined
    tick *= joined
    if not whole:
        return []
    answered, failed, answers = (
        np.asarray(each[: whole * joined]).reshape(whole, joined).sum(1)
        for each in (answered, failed, answers)
    )
    expected = rate * tick / SECOND
    missing = np.maximum(np.floor(expected) - answered - failed, 0)
    bad = (failed > 0) | (missing > expected / 2)
    if not bad.any():
        return []
    covered = _covered(answered, failed, expected, max(math.ceil(window * SECOND / tick), 1))
    edges = np.flatnonzero(np.diff(np.concatenate(([1], covered, [1]))))
    fewest = max(FEWEST, rate * SHORTEST)
    found = []
    for first, last in edges.reshape(-1, 2).tolist():
        its = first + np.flatnonzero(bad[first:last])
        if not len(its) or (failed + missing)[first:last].sum() < fewest:
            continue
        end = None
        if last < whole:
            # What was due last before the first answer came may still be answered in time.
            again = int(its[-1]) + np.flatnonzero(answers[its[-1] :])
            end = begin + (int(again[0]) + 1 if len(again) else last) * tick
        found.append(Seen(begin + int(its[0]) * tick, end, tick / SECOND))
    return found


def _covered(answered: Any, failed: Any, expected: float, length: int) -> Any:
    """Which ticks lie in a good stretch, as 1, or 0."""
    if len(answered) < length:
        return np.zeros(len(answered), np.int64)
    well, recorded = (_sums(each, length) for each in (answered, answered + failed))
    good = well >= ANSWERED * np.maximum(recorded, expected * length - 1)
    steps = np.zeros(len(answered) + 1, np.int64)
    starts = np.flatnonzero(good)
    np.add.at(steps, starts, 1)
    np.add.at(steps, starts + length, -1)
    return (np.cumsum(steps[:-1]) > 0).astype(np.int64)


def _sums(counts: Any, length: int) -> Any:
    """Of each stretch of so many ticks."""
    so_far = np.concatenate(([0], np.cumsum(counts)))
    return so_far[length:] - so_far[:-length]
