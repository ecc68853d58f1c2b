"""After a failed invocation: when to try again, or why not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

__all__ = ["Exhausted", "RetryPolicy", "backoff", "next_attempt"]

FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(minutes=5)
"""Both assumed: AWS documents that the waits grow exponentially, and no figures."""


class Exhausted(StrEnum):
    """The limit of a RetryPolicy that ended the retries, as a dead letter names it."""

    ATTEMPTS = "MaximumRetryAttempts"
    AGE = "MaximumEventAgeInSeconds"


@dataclass(frozen=True)
class RetryPolicy:
    """How long to go on; AWS' defaults."""

    attempts: int = 185
    """Retries after the first try."""
    age: timedelta = timedelta(seconds=86400)


def backoff(failures: int) -> timedelta:
    """How long to wait after so many failures (1 or more)."""
    factor: int = 2 ** min(failures - 1, 30)
    return min(FIRST_WAIT * factor, LONGEST_WAIT)


def next_attempt(
    policy: RetryPolicy, scheduled: datetime, failures: int, now: datetime
) -> datetime | Exhausted:
    """When to try again an invocation that was due at `scheduled`, or why not."""
    if failures > policy.attempts:
        return Exhausted.ATTEMPTS
    again = now + backoff(failures)
    return Exhausted.AGE if again - scheduled > policy.age else again
