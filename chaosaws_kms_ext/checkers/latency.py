"""How long answers took, from the instant at which they were due."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from chaosaws_kms_ext.history import Operation, Outcome

__all__ = ["Latency", "judge"]


@dataclass(frozen=True)
class Latency:
    """Percentiles (nearest rank) in milliseconds; None without a single answer."""

    p50: float | None
    p99: float | None


def judge(arrivals: Iterable[Operation], begin: int, end: int) -> Latency:
    """The latency of the answered arrivals that were due in [begin, end), CLOCK_MONOTONIC ns."""
    took = sorted(
        o.done - o.due for o in arrivals if o.outcome == Outcome.OK and begin <= o.due < end
    )
    return Latency(_rank(took, 0.50), _rank(took, 0.99))


def _rank(ordered: list[int], share: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[math.ceil(share * len(ordered)) - 1] / 1e6, 3)
