"""Waiting: what for, how long, how often; and telling somebody meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.tracing import in_span

__all__ = ["Observer", "TimedOut", "Wait"]

Answer = TypeVar("Answer")


class TimedOut(PlainError):
    """The deadline passed before the condition held."""


class Observer:
    """Is told, at every look, what is waited for; this one keeps it to itself."""

    def waiting(self, what: str, elapsed: float, limit: float) -> None:
        """`elapsed` of at most `limit` seconds have been waited for `what`."""

    def done(self) -> None:
        """The wait is over."""


@dataclass(frozen=True)
class Wait:
    """A condition's deadline and the interval between two looks, in seconds."""

    what: str
    limit: float
    interval: float
    observer: Observer

    def until(self, condition: Callable[[], Answer | None]) -> Answer:
        """The first answer of `condition` that is not None or False; else raises TimedOut.

        The condition is asked once more when the deadline has passed, so that a slow last look
        does not turn a success into a failure.
        """
        return self.found(condition)[0]

    def found(self, condition: Callable[[], Answer | None]) -> tuple[Answer, int]:
        """As `until`; and when the look before began, which did not find it (CLOCK_MONOTONIC, ns).

        It held at the earliest from then on. Without a look before: when the wait began.
        """
        with self._span():
            return self._found(condition)

    def _found(self, condition: Callable[[], Answer | None]) -> tuple[Answer, int]:
        start = time.monotonic()
        before = looked = time.monotonic_ns()
        try:
            while True:
                elapsed = time.monotonic() - start
                before, looked = looked, time.monotonic_ns()
                answer = condition()
                if answer is not None and answer is not False:
                    return answer, before
                if elapsed >= self.limit:
                    raise TimedOut(f"{self.what}: not within {self.limit:.0f} s")
                self.observer.waiting(self.what, elapsed, self.limit)
                time.sleep(min(self.interval, max(self.limit - elapsed, 0.001)))
        finally:
            self.observer.done()

    def out(self) -> None:
        """Waits for the whole time."""
        start = time.monotonic()
        try:
            with self._span():
                while (elapsed := time.monotonic() - start) < self.limit:
                    self.observer.waiting(self.what, elapsed, self.limit)
                    time.sleep(min(self.interval, self.limit - elapsed))
        finally:
            self.observer.done()

    def _span(self) -> AbstractContextManager[None]:
        """The wait in a tracing system."""
        return in_span(f"wait: {self.what}", chaos_wait_limit=self.limit)
