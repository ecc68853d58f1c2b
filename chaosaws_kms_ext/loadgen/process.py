"""Runs Locust in a process of its own, and reads its records meanwhile."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chaosaws_kms_ext.checkers.percentile import nearest_rank
from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.history.columns import Arrivals, ReadBack
from chaosaws_kms_ext.history.operations_file import PREFIX, SUFFIX, GrowingFile
from chaosaws_kms_ext.history.read_recorded import arrivals_in
from chaosaws_kms_ext.loadgen import schema
from chaosaws_kms_ext.loadgen.client import config as client
from chaosaws_kms_ext.loadgen.client.spacing import spacing_for
from chaosaws_kms_ext.loadgen.schema import LoadFailed
from chaosaws_kms_ext.processes import Child
from chaosaws_kms_ext.waiting import Observer, TimedOut, Wait

__all__ = ["KEPT", "Load", "LoadConfig", "Window"]

DEFAULT_LOAD = Path(__file__).parent / "client" / "default_load.py"

WRITERS = 1_000_000
"""More writers than one start of a load can have: one for each user, and one after each failure."""

FRESHEST = 0.6
"""A window ends so many seconds ago: answers until then have been written and flushed."""

KEPT = 60.0
"""Seconds of records that are kept in memory for windows."""


@dataclass(frozen=True)
class LoadConfig:
    """One load. Durations are seconds, and not compressed on the lab."""

    database: str
    rate: float
    users: int
    writes: bool
    deadline: float
    folder: Path
    """The run's history."""
    log: Path
    file: Path = DEFAULT_LOAD
    name: str = "main"
    reads_registers: bool = False
    """Whether it reads the registers that the load `main` writes."""

    @property
    def reconnect_spacing(self) -> float:
        """Seconds between two attempts to reconnect."""
        return spacing_for(self.deadline)


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
        self._recent = Arrivals.of([])
        self._child: Child | None = None
        self._began: int | None = None
        """When the first arrival was due."""
        self._lock = threading.Lock()
        self._stopped = False
        self._starts = 0
        self._log_begins = 0
        self.may_start_again = False
        """Whether `Restarts` starts it again, once, if it ends by itself."""

    def start(self) -> None:
        """Makes the schema and starts Locust; raises LoadFailed."""
        if self.config.writes:
            schema.make(self.config.database, timeout=5)
        self._start_locust()

    def start_again(self) -> bool:
        """Starts Locust once more, after it has ended by itself; a second time it is not done.

        False: it was stopped, or has been started again before. Raises OSError.
        """
        with self._lock:
            if self.running or not self._can_restart:
                return False
            self._start_locust()
            return True

    def _start_locust(self) -> None:
        config = self.config
        with contextlib.suppress(OSError):
            self._log_begins = config.log.stat().st_size
        told = client.ClientConfig(
            name=config.name,
            database=config.database,
            rate=config.rate,
            users=config.users,
            writes=config.writes,
            reads_registers=config.reads_registers,
            deadline=config.deadline,
            folder=str(config.folder.resolve()),
            writers_from=self._starts * WRITERS,
        )
        self._starts += 1
        self._child = Child(
            [
                sys.executable, "-m", "locust", "--locustfile", str(config.file), "--headless",
                "--users", str(config.users), "--spawn-rate", str(config.users),
                # Without its log set-up Locust writes warnings and errors only, and no tables.
                "--only-summary", "--exit-code-on-error", "0", "--skip-log-setup",
            ],
            log=config.log,
            env={**_for_the_load(os.environ), **told.as_environment()},
        )  # fmt: skip

    @property
    def running(self) -> bool:
        """Whether Locust has not ended."""
        return self._child is not None and self._child.running

    @property
    def ended(self) -> bool:
        """Whether it does not run, and will not again."""
        return not self.running and not self._can_restart

    @property
    def _can_restart(self) -> bool:
        return self.may_start_again and not self._stopped and self._starts == 1

    def wait_until_steady(
        self, seconds: float, share: float, timeout: float, observer: Observer
    ) -> None:
        """Waits until `share` of the arrivals of the last `seconds` were answered.

        Raises LoadFailed when Locust ends or `timeout` seconds pass.
        """

        def steady() -> bool:
            if self.ended:
                raise LoadFailed(f"the load ended: {self.why_ended()}")
            return self.window(seconds).share >= share

        try:
            Wait("the load to be steady", timeout, 0.1, observer).until(steady)
        except TimedOut:
            raise LoadFailed(self._why_not_steady(seconds, share, timeout)) from None

    def window(self, seconds: float) -> Window:
        """The arrivals that were due in the last `seconds`, not counting the very last moment."""
        self._read()
        end = time.monotonic_ns() - round(FRESHEST * SECOND)
        begin = end - round(seconds * SECOND)
        due = self._recent.only((begin <= self._recent.due) & (self._recent.due < end))
        took = due.took(due.answered)
        p99 = nearest_rank(took, 0.99)
        # One arrival may lie on either side of an edge; those that were recorded were due.
        expected = max(self.config.rate * seconds - 1, len(due), 1)
        began = (end - max(begin, self._began or end)) / SECOND
        failing = max(self.config.rate * began - 1, len(due)) - len(took)
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
        if self._child is not None:
            self._child.stop(grace=10, ask=self._child.process.terminate)

    def forget(self) -> None:
        """Removes what it recorded; it has ended."""
        for path in self._recorded():
            path.unlink(missing_ok=True)

    def rows(self, timeout: float) -> ReadBack | None:
        """What the writes left in the database; None without writes. Raises LoadFailed."""
        return schema.rows(self.config.database, timeout) if self.config.writes else None

    def drop(self, timeout: float) -> None:
        """Removes what the load made in the database; raises LoadFailed."""
        if self.config.writes:
            schema.drop(self.config.database, timeout)

    def why_ended(self) -> str:
        """Why Locust ended, as far as it is known, in a sentence."""
        status = self._child.process.poll() if self._child else None
        killed = status is not None and status < 0
        # What the load itself said, else how its traceback ends, else the last line.
        telling = (rf"{client.STOPPED}(.*)", r"(\w*(?:Error|Exception)\b.*)", r"(.+)")
        for pattern in telling[:1] if killed else telling:
            said = [match[1] for line in self._log() if (match := re.match(pattern, line))]
            if said:
                return said[-1][:300]
        if status is not None and killed:
            return f"it was killed by {_name(-status)}"
        return "it said nothing"

    def _read(self) -> None:
        """Takes what was recorded since the last time, and forgets what is old."""
        parts = [self._recent]
        for path in self._recorded():
            file = self._files.setdefault(path, GrowingFile(path))
            found = [arrivals_in(batch) for batch in file.batches()]
            if file.header is not None and file.header.load == self.config.name:
                parts += found
        recent = Arrivals.joined(parts)
        if self._began is None and len(recent):
            self._began = int(recent.due.min())
        oldest = time.monotonic_ns() - round(KEPT * SECOND)
        self._recent = recent.only(recent.done >= oldest)

    def _recorded(self) -> list[Path]:
        """The files of its records."""
        return list(self.config.folder.glob(f"{PREFIX}{self.config.name}-*{SUFFIX}"))

    def _why_not_steady(self, seconds: float, share: float, timeout: float) -> str:
        seen = f"{self.window(seconds).share:.0%} of the arrivals were answered"
        words = [line for line in self._log() if line.startswith(client.DATABASE_SAID)]
        said = f"; the {words[-1][:300]}" if words else ""
        return f"the load was not steady within {timeout:.0f} s: {seen}, not {share:.0%}{said}"

    def _log(self) -> list[str]:
        """What this start of the load has said."""
        with contextlib.suppress(OSError), self.config.log.open("rb") as log:
            log.seek(self._log_begins)
            return log.read().decode(errors="replace").strip().splitlines()
        return []


def _name(number: int) -> str:
    """The name of a signal; a real-time signal has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


NOT_FOR_THE_LOAD = ("AWS_", "LOCUST_")
"""The load needs no AWS credentials; Locust's own variables would change what it does."""


def _for_the_load(environ: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in environ.items() if not k.startswith(NOT_FOR_THE_LOAD)}
