"""Restarts a load that died, once, so that the recovery is still measured."""

from __future__ import annotations

import contextlib
import logging
import threading
import time

from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.loadgen.process import Load
from chaosaws_kms_ext.run import Instant, Run

__all__ = ["Restarts"]

logger = logging.getLogger("chaostoolkit")

EVERY = 0.25
"""Seconds between two looks."""


class Restarts:
    """A thread: it restarts a load that was steady once, was not stopped, and does not run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._end = threading.Event()
        self._present: dict[str, int] = {}
        self._thread = threading.Thread(target=self._watch, name="restarts", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; safe to call again."""
        self._end.set()
        with contextlib.suppress(RuntimeError):
            self._thread.join(timeout=60)

    def _watch(self) -> None:
        looked = time.monotonic_ns()
        while not self._end.wait(EVERY):
            before, looked = looked, time.monotonic_ns()
            for load in self._run.loads:
                steady = self._run.last(EventName.LOAD_STEADY, load=load.config.name)
                load.may_start_again = steady is not None
                if steady and load.config.workers > 1:
                    self._note_present(load)
                if steady and not load.running:
                    self._start_again(load, Instant.now(before))

    def _note_present(self, load: Load) -> None:
        """Says when a process of a load is not heard of any more, and when it is again."""
        name, of = load.config.name, load.config.workers
        before, present = self._present.get(name, of), load.present
        if present == before or not load.running:
            return
        self._present[name] = present
        self._run.event(EventName.LOAD_PROCESSES, load=name, present=present, of=of)
        say = logger.warning if present < before else logger.info
        say(f"of {of} processes of the load {name}, {present} are heard of")

    def _start_again(self, load: Load, died: Instant) -> None:
        if load.ended:  # for good
            return
        name, why = load.config.name, load.why_ended()
        try:
            if not load.start_again():
                return
        except OSError as problem:
            logger.error(f"the load {name} ended by itself and cannot be started again: {problem}")
            return
        self._run.event(EventName.LOAD_DIED, died, load=name, why=why)
        self._run.event(EventName.LOAD_STARTED_AGAIN, load=name)
        logger.warning(f"the load {name} ended by itself, and was started again: {why}")
