"""What a person sees meanwhile: a live line on a terminal, elsewhere a plain one now and then."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

from chaosaws_kms_ext.waiting import Observer

__all__ = ["PLAIN_EVERY", "Screen"]

logger = logging.getLogger("chaostoolkit")

PLAIN_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""

LIVE_EVERY = 0.1


class Screen(Observer):
    """Shows what is waited for, and beside it whatever `facts` says (key, cluster, load)."""

    def __init__(self, facts: Callable[[], str], stream: TextIO = sys.stderr) -> None:
        self._facts = facts
        self._stream = stream
        self._live = stream.isatty()
        self._shown = False
        self._next = 0.0 if self._live else time.monotonic() + PLAIN_EVERY
        self._filter = _ClearFirst(self)

    def open(self) -> None:
        """From now on other log lines do not run into the live line."""
        for handler in logger.handlers:
            handler.addFilter(self._filter)

    def close(self) -> None:
        """Undoes `open`; safe to call again."""
        self.done()
        for handler in logger.handlers:
            handler.removeFilter(self._filter)

    def waiting(self, what: str, elapsed: float, limit: float) -> None:
        """Shows a line if it is time for one."""
        now = time.monotonic()
        if now < self._next:
            return
        text = " · ".join(
            part for part in (f"{what}: {_clock(elapsed, limit)}", self._facts()) if part
        )
        if not self._live:
            self._next = now + PLAIN_EVERY
            logger.info(text)
            return
        self._next = now + LIVE_EVERY
        width = max(shutil.get_terminal_size().columns - 1, 20)
        with contextlib.suppress(OSError):
            self._stream.write(f"\r\x1b[K{text[:width]}")
            self._stream.flush()
            self._shown = True

    def done(self) -> None:
        """Takes the live line away."""
        if self._shown:
            self._shown = False
            with contextlib.suppress(OSError):
                self._stream.write("\r\x1b[K")
                self._stream.flush()


class _ClearFirst(logging.Filter):
    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def filter(self, record: logging.LogRecord) -> bool:
        self._screen.done()
        return True


def _clock(elapsed: float, limit: float) -> str:
    return f"{_span(elapsed)} of {_span(limit)}"


def _span(seconds: float) -> str:
    """`8 s`, `2:05`, `1:00:00`: as short as it is clear."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
