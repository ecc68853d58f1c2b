"""What of a data source has to be sent so that a page shows the same as we do: as little as it is.

A timeline changes at its end: new slices come, and the last ones are filled up.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chaosaws_kms_ext.report.page.timeline import Columns, copied

__all__ = ["send"]

FEW = 64
"""Rows that are sent one by one at most."""


def send(source: Any, columns: Columns) -> None:
    """Lets a ColumnDataSource have these columns."""
    now = {name: np.asarray(its) for name, its in columns.items()}
    before = {name: np.asarray(its) for name, its in source.data.items()}
    had, has = (len(next(iter(each.values()), ())) for each in (before, now))
    same = _same_until(before, now, had) if has >= had > 0 else 0
    if had - same > FEW or not same:
        if had or has:
            source.data = copied(columns)
        return
    if same < had:
        changed = slice(same, had)
        source.patch({name: [(changed, its[changed].tolist())] for name, its in now.items()})
    if has > had:
        source.stream({name: its[had:].tolist() for name, its in now.items()})


def _same_until(before: dict[str, Any], now: dict[str, Any], length: int) -> int:
    """How many rows from the first on are the same in both."""
    same = length
    for name, its in now.items():
        old, new = before[name][:length], its[:length]
        equal = old == new
        if new.dtype.kind == "f" and old.dtype.kind == "f":
            equal = equal | (np.isnan(old) & np.isnan(new))
        differ = np.flatnonzero(~np.asarray(equal, np.bool_))
        if len(differ):
            same = min(same, int(differ[0]))
    return same
