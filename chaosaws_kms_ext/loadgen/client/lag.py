"""How late a process of the load is on its own account, and how much of a core it uses.

An arrival can be late since the database is slow, and since the load is. Only a process that waits
for nothing but the clock tells the two apart.
"""

from __future__ import annotations

import time
from typing import Any

from chaosaws_kms_ext.history import SECOND, Outcome

__all__ = ["Lag"]


class Lag:
    """Sums up what is noted a few times a second to one record a second."""

    def __init__(self) -> None:
        self._since = time.monotonic_ns()
        self._used = time.process_time_ns()
        self._worst = 0

    def note(self, due: int, awake: int) -> tuple[Any, ...] | None:
        """That the process was to wake up at an instant, and did at another (ns).

        Each second the record of it: its `sequence` is the CPU time in ms that the process used
        since the last one, and from `due` to `done` is how late it woke up at worst.
        """
        self._worst = max(self._worst, awake - due)
        if awake - self._since < SECOND:
            return None
        used = time.process_time_ns()
        row = (
            0, (used - self._used) // 1_000_000, "lag", self._since, awake,
            self._since + self._worst, Outcome.OK.value, None, None, None, None, None,
        )  # fmt: skip
        self._since, self._used, self._worst = awake, used, 0
        return row
