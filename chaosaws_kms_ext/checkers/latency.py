"""How long answers took, from the instant at which they were due."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaosaws_kms_ext.history import Operation, Outcome

__all__ = ["Latency", "judge", "nearest_rank"]


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
    return Latency(_ms(nearest_rank(took, 0.50)), _ms(nearest_rank(took, 0.99)))


def nearest_rank(ordered: Sequence[int], share: float) -> int | None:
    """The percentile of ordered values by nearest rank; None of none."""
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else None


def _ms(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else round(nanoseconds / 1e6, 3)
