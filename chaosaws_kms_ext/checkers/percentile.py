"""The percentile, by nearest rank."""

from __future__ import annotations

import math

from chaosaws_kms_ext.history.columns import Instants

__all__ = ["nearest_rank"]


def nearest_rank(values: Instants, share: float) -> int | None:
    """The percentile of values by nearest rank; None of none. Changes their order."""
    if not len(values):
        return None
    rank = math.ceil(share * len(values)) - 1
    values.partition(rank)
    return int(values[rank])
