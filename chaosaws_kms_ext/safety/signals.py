"""Signals that wait: while a key is being put back nothing may interrupt it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["deferred"]

logger = logging.getLogger("chaostoolkit")

DEFERRED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Inside, signals are recorded; the first of them is raised again afterwards.

    Only the main thread can do this; elsewhere Python delivers no signals anyway.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    recorded: list[int] = []

    def record(number: int, _: FrameType | None) -> None:
        recorded.append(number)
        logger.warning("Not now: the key is being put back. The signal is taken afterwards.")

    before = {number: signal.signal(number, record) for number in DEFERRED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if recorded:
            os.kill(os.getpid(), recorded[0])
