"""Writes down every operation, a few times a second, and the last ones at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent

from chaosaws_kms_ext.history.writer import OperationStream

__all__ = ["AT_ONCE", "FLUSH_EVERY", "Recorder"]

FLUSH_EVERY = 0.2
"""Seconds: records of at most this time are lost by a SIGKILL of the load."""
AT_ONCE = 1000
"""Records that are written without letting the users go on: it takes about 2 ms."""
BETWEEN = 0.001
"""Seconds for the users, until the next ones are written."""


class Recorder:
    """Collects operations and hands them to the history."""

    def __init__(self, writer: OperationStream, failed: Callable[[str], None]) -> None:
        """`failed` is told in a sentence when nothing can be written any more."""
        self._writer = writer
        self._failed = failed
        self._waiting: list[tuple[Any, ...]] = []
        self.add = self._waiting.append
        """Takes one, with the fields of an Operation but for its load."""

    def flush_for_ever(self) -> None:
        """A greenlet's work."""
        while True:
            gevent.sleep(FLUSH_EVERY)
            try:
                self._flush()
            except OSError as problem:
                self._failed(f"operations cannot be recorded: {problem}")
                return

    def close(self) -> None:
        """Writes the last ones; nothing is added after that. Raises OSError."""
        self._write(len(self._waiting))
        self._writer.close()

    def _flush(self) -> None:
        """Writes the operations that were added since the last flush."""
        left = len(self._waiting)
        while left > AT_ONCE:
            self._write(AT_ONCE)
            left -= AT_ONCE
            gevent.sleep(BETWEEN)
        self._write(left)

    def _write(self, number: int) -> None:
        """Writes the oldest ones."""
        if number:
            its = self._waiting[:number]
            del self._waiting[:number]
            self._writer.write(its)
