"""What a person sees meanwhile: a live line on a terminal, elsewhere a plain one now and then."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.text import Text

from chaosaws_kms_ext.waiting import Observer

__all__ = ["PLAIN_EVERY", "Screen", "span"]

logger = logging.getLogger("chaostoolkit")

PLAIN_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""

LIVE_EVERY = 0.1
BAR = 20
"""Characters of a deadline."""
CLEAR = "\r\x1b[K"


class Screen(Observer):
    """Shows what is waited for, and beside it whatever `facts` says (key, cluster, load)."""

    def __init__(self, facts: Callable[[], str], stream: TextIO = sys.stderr) -> None:
        self._facts = facts
        self._stream = stream
        self._live = stream.isatty()
        # Colours as the terminal can, and none with NO_COLOR. Not rich's own live display: it hides
        # the cursor, and a run that is killed would leave it so.
        self._console = Console(file=stream, highlight=False, soft_wrap=False)
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
        facts = self._facts()
        if not self._live:
            self._next = now + PLAIN_EVERY
            said = f"{what}: {_clock(elapsed, limit)}"
            logger.info(f"{said} · {facts}" if facts else said)
            return
        self._next = now + LIVE_EVERY
        with contextlib.suppress(OSError):
            self._stream.write(f"{CLEAR}{self._line(what, elapsed, limit, facts)}")
            self._stream.flush()
            self._shown = True

    def _line(self, what: str, elapsed: float, limit: float, facts: str) -> str:
        """What is waited for, its deadline as a bar, and the facts as far as there is room."""
        console, clock = self._console, _clock(elapsed, limit)
        said = Text(what, "bold")
        said.truncate(max(console.width - cell_len(f" {clock} ") - 1, 1), overflow="ellipsis")
        room = console.width - 1 - cell_len(f"{said.plain} {clock} ")
        with console.capture() as captured:
            console.print(said, end=" ", no_wrap=True)
            if room > BAR:
                bar = ProgressBar(total=limit, completed=min(elapsed, limit), width=BAR)
                console.print(bar, end="")
                console.print(end=" ")
                room -= BAR + 1
            console.print(clock, end=" ", no_wrap=True)
            if room > 0:
                told = Text(facts, "dim")
                told.truncate(room, overflow="ellipsis")
                console.print(told, end="", no_wrap=True)
        return captured.get()

    def done(self) -> None:
        """Takes the live line away."""
        if self._shown:
            self._shown = False
            with contextlib.suppress(OSError):
                self._stream.write(CLEAR)
                self._stream.flush()


class _ClearFirst(logging.Filter):
    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def filter(self, record: logging.LogRecord) -> bool:
        self._screen.done()
        return True


def _clock(elapsed: float, limit: float) -> str:
    return f"{span(elapsed)} of {span(limit)}"


def span(seconds: float) -> str:
    """`8 s`, `2:05`, `1:00:00`: as short as it is clear."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
