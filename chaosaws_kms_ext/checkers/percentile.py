"""The percentile, by nearest rank."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["nearest_rank"]


def nearest_rank(ordered: Sequence[int], share: float) -> int | None:
    """The percentile of ordered values by nearest rank; None of none."""
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else None
