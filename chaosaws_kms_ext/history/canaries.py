"""What the canaries of a run tried, a line each: what was asked, and how it answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from chaosaws_kms_ext.history.aws_calls import NO_ANSWER, OK
from chaosaws_kms_ext.history.lines import whole_lines

__all__ = ["CANARIES", "NO_ANSWER", "OK", "CanaryTry", "read_canaries", "try_of"]

CANARIES = "canaries.jsonl"
"""Its file in a history's folder; only a run with canaries has it."""


class CanaryTry(NamedTuple):
    """One small read or write of something that the key protects."""

    at: int
    """When it was made, CLOCK_MONOTONIC ns."""
    seconds: float
    """From then to the answer, or until it was given up."""
    dependent: str
    """Its ARN."""
    outcome: str
    """OK, NO_ANSWER or AWS' error code."""

    @property
    def ok(self) -> bool:
        """Whether it was answered as it should be."""
        return self.outcome == OK

    @property
    def done(self) -> int:
        """When it was answered, or given up, CLOCK_MONOTONIC ns."""
        return self.at + round(self.seconds * 1e9)


def read_canaries(folder: Path) -> list[CanaryTry]:
    """The tries in a run's `history/` folder, in the order in which they were answered.

    None where there is no file. A line that is torn off at the end is left out. Raises OSError,
    ValueError or TypeError.
    """
    return [try_of(line) for line in whole_lines(folder / CANARIES)]


def try_of(line: bytes) -> CanaryTry:
    """One line of it; raises ValueError or TypeError."""
    tried = CanaryTry(**json.loads(line))
    words = isinstance(tried.dependent, str) and isinstance(tried.outcome, str)
    instant = type(tried.at) is int and abs(tried.at) < 2**62
    if not words or not instant or type(tried.seconds) not in (int, float):
        raise ValueError(f"not a try: {line[:80]!r}")
    if not 0 <= tried.seconds < 1e6:  # as NaN
        raise ValueError(f"not a try: {line[:80]!r}")
    return tried
