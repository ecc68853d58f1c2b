"""Looks at AWS that go on beside a run, each in a thread of its own, and what they record."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.run import Instant, Run

__all__ = ["HURRY", "Recorder", "Repeated", "WatcherBeside", "since"]

HURRY = 2.0
"""Seconds that the end waits for a look that is not the one at key and cluster."""


class Recorder:
    """Records what happened until it is closed: a look that ends later must change no judgement."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._closed = False

    def __call__(self, name: EventName, when: Instant | None = None, /, **details: Any) -> None:
        """As Run.event."""
        with self._lock:
            if not self._closed:
                self._run.event(name, when, **details)

    def close(self) -> None:
        """Nothing is recorded any more."""
        with self._lock:
            self._closed = True


class Repeated:
    """A thread that looks every `interval` seconds; of a row of failures the first is recorded."""

    def __init__(
        self,
        record: Recorder,
        interval: float,
        look: Callable[[], object],
        unknown: EventName,
        at_once: bool = False,
    ) -> None:
        """`unknown`: what is recorded. `at_once`: the first look is not after `interval`."""
        self._record, self._interval = record, interval
        self._look, self._unknown, self._at_once = look, unknown, at_once
        self._failing = False
        self._end = threading.Event()
        # A thread begins with no context: its calls belong to the span in which it was made.
        watch = partial(contextvars.copy_context().run, self._watch)
        self._thread = threading.Thread(target=watch, name="watcher", daemon=True)

    def start(self) -> None:
        """Goes on until its end."""
        self._thread.start()

    def end(self) -> None:
        """After the look that it takes."""
        self._end.set()

    def join(self, timeout: float) -> None:
        """Waits for that, at most `timeout` seconds."""
        with contextlib.suppress(RuntimeError):
            self._thread.join(timeout)

    def try_look(self) -> None:
        """A look that may fail."""
        try:
            self._look()
            self._failing = False
        except Exception as problem:
            # Whatever it was, the next look may succeed.
            if not self._failing:
                self._record(self._unknown, why=str(problem) or repr(problem))
            self._failing = True

    def _watch(self) -> None:
        if self._at_once:
            self.try_look()
        while not self._end.wait(self._interval):
            self.try_look()


class WatcherBeside:
    """One look that goes on beside the run's own watcher."""

    def __init__(
        self, record: Recorder, interval: float, look: Callable[[], object], unknown: EventName
    ) -> None:
        """As Repeated."""
        self._record = record
        self._watch = Repeated(record, interval, look, unknown, at_once=True)

    def start(self) -> None:
        """Goes on until its end; a look that fails is recorded, and raises nothing."""
        self._watch.start()

    def stop(self) -> None:
        """Ends the thread; safe to call again."""
        self._watch.end()
        self._watch.join(HURRY)
        self._record.close()


def since(earlier: int, at: int) -> Instant:
    """The instant of a look (ns); what it saw was not so at `earlier`."""
    return Instant(at, round((at - earlier) / 1e9, 3))
