"""Runs Locust in processes of its own, and reads their records meanwhile."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from chaosaws_kms_ext.checkers.percentile import nearest_rank
from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.history.arrow_columns import Batch
from chaosaws_kms_ext.history.clocks import Clock, Sample
from chaosaws_kms_ext.history.columns import Arrivals, ReadBack
from chaosaws_kms_ext.history.operations_file import PREFIX, SUFFIX, GrowingFile
from chaosaws_kms_ext.history.read_recorded import arrivals_in, samples_in
from chaosaws_kms_ext.loadgen import schema
from chaosaws_kms_ext.loadgen.client import config as client
from chaosaws_kms_ext.loadgen.locust_processes import LoadConfig, LocustProcesses
from chaosaws_kms_ext.loadgen.schema import LoadFailed
from chaosaws_kms_ext.waiting import Observer, TimedOut, Wait

__all__ = ["KEPT", "Load", "LoadConfig", "Window"]

FRESHEST = 0.6
"""A window ends so many seconds ago: answers until then have been written and flushed."""

HEARD_WITHIN = 2.0
"""Seconds: a process records something each second, whatever the database does."""

MOST_SAMPLES = 240
"""Of a clock, for windows: a minute."""

KEPT = 60.0
"""Seconds of records that are kept in memory for windows."""


@dataclass(frozen=True)
class Window:
    """What became of the arrivals that were due in a period of time."""

    expected: float
    """By the rate: a load without any record has answered none of them."""
    answered: int
    failing: float
    """Unanswered arrivals a second; the time before the first arrival is not counted."""
    p99_ms: float | None
    """Of the answered ones, from the instant they were due."""

    @property
    def share(self) -> float:
        """Answered of expected."""
        return self.answered / self.expected


class Load:
    """A load: it does nothing before `start`."""

    def __init__(self, config: LoadConfig) -> None:
        self.config = config
        self._files: dict[Path, GrowingFile] = {}
        self._samples: dict[Path, list[Sample]] = {}
        self._recent = Arrivals.of([])
        self._processes = LocustProcesses(config)
        self._began: int | None = None
        """When the first arrival was due."""
        self._lock = threading.Lock()
        self._stopped = False
        self.may_start_again = False
        """Whether `Restarts` starts it again, once, if it ends by itself."""

    def start(self) -> None:
        """Makes the schema and starts Locust; raises LoadFailed."""
        if self.config.writes:
            schema.make(self.config.database, timeout=5)
        self._processes.start()

    def start_again(self) -> bool:
        """Starts Locust once more, after it has ended by itself; a second time it is not done.

        False: it was stopped, or has been started again before. Raises OSError.
        """
        with self._lock:
            if self.running or not self._can_restart:
                return False
            self._processes.start()
            return True

    @property
    def running(self) -> bool:
        """Whether Locust has not ended."""
        return self._processes.running

    @property
    def ended(self) -> bool:
        """Whether it does not run, and will not again."""
        return not self.running and not self._can_restart

    @property
    def _can_restart(self) -> bool:
        first = self._processes.starts == 1 and not self.config.master  # whose workers are gone
        return self.may_start_again and not self._stopped and first

    @property
    def present(self) -> int:
        """How many of its processes have recorded something in the last moment."""
        return sum(
            time.time() - written < HEARD_WITHIN for written in map(_written, self._recorded())
        )

    def wait_for_workers(self, timeout: float, observer: Observer) -> None:
        """Waits until all workers on other machines have begun; raises LoadFailed."""

        def there() -> bool:
            self._refuse_if_ended()
            return self.present >= self.config.workers

        of = self.config.workers
        try:
            Wait(f"{of} workers of the load {self.config.name}", timeout, 0.2, observer).until(
                there
            )
        except TimedOut:
            raise LoadFailed(
                f"of {of} workers, {self.present} came within {timeout:.0f} s: start each by "
                f"`chaos kms load-worker {self.config.master}`"
            ) from None

    def wait_until_steady(
        self, seconds: float, share: float, timeout: float, observer: Observer
    ) -> None:
        """Waits until `share` of the arrivals of the last `seconds` were answered.

        Raises LoadFailed when Locust ends or `timeout` seconds pass.
        """

        def steady() -> bool:
            self._refuse_if_ended()
            return self.window(seconds).share >= share

        try:
            Wait("the load to be steady", timeout, 0.1, observer).until(steady)
        except TimedOut:
            raise LoadFailed(self._why_not_steady(seconds, share, timeout)) from None

    def _refuse_if_ended(self) -> None:
        if self.ended:
            raise LoadFailed(f"the load ended: {self.why_ended()}")

    def window(self, seconds: float) -> Window:
        """The arrivals that were due in the last `seconds`, not counting the very last moment."""
        self._read()
        end = time.monotonic_ns() - round(FRESHEST * SECOND)
        begin = end - round(seconds * SECOND)
        due = self._recent.only((begin <= self._recent.due) & (self._recent.due < end))
        took = due.took(due.answered)
        p99 = nearest_rank(took, 0.99)
        # One arrival may lie on either side of an edge; those that were recorded were due.
        rate = self.config.rate
        if self.config.workers > 1 and (present := self.present) > 0:
            # Of what the others should have done nothing is known.
            rate *= min(present / self.config.workers, 1)
        expected = max(rate * seconds - 1, len(due), 1)
        began = (end - max(begin, self._began or end)) / SECOND
        failing = max(rate * began - 1, len(due)) - len(took)
        return Window(
            expected, len(took), max(failing, 0) / seconds, None if p99 is None else p99 / 1e6
        )

    def retire(self) -> bool:
        """Whether Locust runs; from now on it is not started again."""
        with self._lock:
            self._stopped = True
            return self.running

    def stop(self) -> None:
        """Ends Locust when it has written everything down; safe to call again."""
        self.retire()
        self._processes.stop()

    def forget(self) -> None:
        """Removes what it recorded; it has ended."""
        for path in self._recorded():
            path.unlink(missing_ok=True)

    def rows(self, timeout: float, database: str = "") -> ReadBack | None:
        """What the writes left in the database; None without writes. Raises LoadFailed.

        `database`: a conninfo, if it is another than the one that it writes to.
        """
        where = database or self.config.database
        return schema.rows(where, timeout) if self.config.writes else None

    def drop(self, timeout: float) -> None:
        """Removes what the load made in the database; raises LoadFailed."""
        if self.config.writes:
            schema.drop(self.config.database, timeout)

    def why_ended(self) -> str:
        """Why Locust ended, as far as it is known, in a sentence."""
        return self._processes.why_ended()

    def _read(self) -> None:
        """Takes what was recorded since the last time, and forgets what is old."""
        parts = [self._recent]
        for path in self._recorded():
            file = self._files.setdefault(path, GrowingFile(path))
            batch = file.read()
            if batch is None or file.header is None or file.header.load != self.config.name:
                continue
            found = arrivals_in(batch)
            parts.append(self._on_our_clock(path, batch, found) if self.config.master else found)
        recent = Arrivals.joined(parts)
        if self._began is None and len(recent):
            self._began = int(recent.due.min())
        oldest = time.monotonic_ns() - round(KEPT * SECOND)
        self._recent = recent.only(recent.done >= oldest)

    def _on_our_clock(self, path: Path, batch: Batch, found: Arrivals) -> Arrivals:
        """What a worker of another machine recorded, as far as its clock is known by now."""
        samples = self._samples.setdefault(path, [])
        samples += samples_in(batch)
        del samples[:-MOST_SAMPLES]
        clock = Clock(samples)
        return Arrivals(clock.commons(found.due), clock.commons(found.done), found.outcome)

    def _recorded(self) -> list[Path]:
        """The files of its records."""
        return list(self.config.folder.glob(f"{PREFIX}{self.config.name}-*{SUFFIX}"))

    def _why_not_steady(self, seconds: float, share: float, timeout: float) -> str:
        seen = f"{self.window(seconds).share:.0%} of the arrivals were answered"
        words = [line for line in self._processes.log() if line.startswith(client.DATABASE_SAID)]
        said = f"; the {words[-1][:300]}" if words else ""
        return f"the load was not steady within {timeout:.0f} s: {seen}, not {share:.0%}{said}"


def _written(path: Path) -> float:
    """When something was last written to a file, seconds since 1970; 0: it is not there."""
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0
