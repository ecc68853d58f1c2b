"""Delays signals: nothing may interrupt a run while it puts a key back."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from types import FrameType

__all__ = ["deferred"]

logger = logging.getLogger("chaostoolkit")

DEFERRED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Inside, signals are recorded; each of them is raised again afterwards, in their order.

    Only the main thread can do this; elsewhere Python delivers no signals anyway.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    recorded: list[int] = []

    def record(number: int, _: FrameType | None) -> None:
        recorded.append(number)
        logger.warning("The key is being put back: the signal is handled after that.")

    with _blocked():  # a handler that raised here would leave some of them exchanged
        before = {number: signal.signal(number, record) for number in DEFERRED}
    try:
        yield
    finally:
        with _blocked():
            for number, handler in before.items():
                signal.signal(number, handler)
        _raise(recorded)


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
    """Inside, none of the DEFERRED signals is delivered."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, DEFERRED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _raise(numbers: Sequence[int]) -> None:
    """Raises every signal, even if the handler of an earlier one raises an exception."""
    if not numbers:
        return
    try:
        signal.raise_signal(numbers[0])
    finally:
        _raise(numbers[1:])
