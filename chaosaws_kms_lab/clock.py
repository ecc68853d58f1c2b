"""The lab's clock: it counts AWS seconds, several in one real second."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

__all__ = ["Clock"]


class Clock:
    """Lab time: AWS seconds since the start, `speed` times as fast as real seconds."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._start = time.monotonic()
        self._born = datetime.now(UTC)

    def now(self) -> float:
        """AWS seconds since the lab's start."""
        return (time.monotonic() - self._start) * self.speed

    def utc(self) -> datetime:
        """The wall clock: all dates of the lab are in real time."""
        return self.date(self.now())

    def date(self, instant: float) -> datetime:
        """When on the wall clock the lab's clock shows `instant` (AWS seconds)."""
        try:
            return self._born + timedelta(seconds=instant / self.speed)
        except OverflowError:
            return datetime.max.replace(tzinfo=UTC)
