"""The lab's clock, turned by a test."""

from __future__ import annotations

from datetime import UTC, datetime

from chaosaws_kms_lab.clock import Clock


class HandClock(Clock):
    """Stands still until it is moved."""

    def __init__(self, speed: float = 1) -> None:
        super().__init__(speed)
        self.seconds = 0.0
        self._born = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> float:
        return self.seconds
