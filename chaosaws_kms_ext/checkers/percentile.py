"""The percentile, by nearest rank."""

from __future__ import annotations

import math

import numpy as np

from chaosaws_kms_ext.history.columns import Instants

__all__ = ["nearest_rank"]


def nearest_rank(values: Instants, share: float) -> int | None:
    """The percentile of values by nearest rank; None of none."""
    if not len(values):
        return None
    rank = math.ceil(share * len(values)) - 1
    return int(np.partition(values, rank)[rank])
