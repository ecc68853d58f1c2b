"""The Locust processes of one load: one, several, or a master of those on other machines."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.loadgen.client import config as client
from chaosaws_kms_ext.loadgen.client.spacing import spacing_for
from chaosaws_kms_ext.processes import Child

__all__ = ["DEFAULT_LOAD", "LoadConfig", "LocustProcesses", "for_the_load"]

DEFAULT_LOAD = Path(__file__).parent / "client" / "default_load.py"

SETTLE, SETTLE_EACH = 1.5, 0.5
"""Seconds until several processes are ready for their first arrival, and for each of them."""

STOPS_WITHIN, MASTER_STOPS_WITHIN = 10, 30
"""Seconds: users end what they do, and write it down; a master waits for the records of workers."""


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
    workers: int = 1
    """Processes that share the arrivals and the users."""
    master: str = ""
    """HOST:PORT where workers of other machines come; empty: they are started here."""

    @property
    def reconnect_spacing(self) -> float:
        """Seconds between two attempts of a process to reconnect."""
        return spacing_for(self.deadline, self.workers)

    @property
    def settle(self) -> float:
        """Seconds until the first arrival of several processes of this machine."""
        alone = self.workers == 1 or bool(self.master)
        return 0.0 if alone else SETTLE + SETTLE_EACH * self.workers


class LocustProcesses:
    """Starts them, once or again, and ends them."""

    def __init__(self, config: LoadConfig) -> None:
        self._config = config
        self.children: list[Child] = []
        self.starts = 0
        self._log_begins = 0

    def start(self) -> None:
        """Raises OSError."""
        config = self._config
        with contextlib.suppress(OSError):
            self._log_begins = config.log.stat().st_size
        here = 1 if config.master else config.workers
        start = time.monotonic_ns() + round(config.settle * SECOND) if here > 1 else 0
        for number in range(here):
            told = client.ClientConfig(
                name=config.name,
                database=config.database,
                rate=config.rate,
                users=config.users,
                writes=config.writes,
                reads_registers=config.reads_registers,
                deadline=config.deadline,
                folder=str(config.folder.resolve()),
                worker=number,
                workers=config.workers,
                start=start,
                starts=self.starts,
            )
            # Users are shared out as evenly as it goes.
            users = len(range(number, config.users, here))
            self.children.append(self._locust(told, users))
        self.starts += 1

    def _locust(self, told: client.ClientConfig, users: int) -> Child:
        config = self._config
        return Child(
            [
                sys.executable, "-m", "locust", "--locustfile", str(config.file), "--headless",
                "--users", str(users), "--spawn-rate", str(users), *self._as_master(),
                # Without its log set-up Locust writes warnings and errors only, and no tables.
                "--only-summary", "--exit-code-on-error", "0", "--skip-log-setup",
            ],
            log=config.log,
            env={**for_the_load(os.environ), **told.as_environment()},
        )  # fmt: skip

    def _as_master(self) -> Sequence[str]:
        if not self._config.master:
            return ()
        host, _, port = self._config.master.rpartition(":")
        return (
            "--master", "--master-bind-host", host.strip("[]"), "--master-bind-port", port,
            "--expect-workers", str(self._config.workers),
        )  # fmt: skip

    @property
    def running(self) -> bool:
        """Whether any has not ended."""
        return any(child.running for child in self._now)

    @property
    def _now(self) -> Sequence[Child]:
        """Those of the last start."""
        return self.children[-1 if self._config.master else -self._config.workers :]

    def stop(self) -> None:
        """Ends them when they have written everything down; safe to call again."""
        for child in self._now:
            if self._config.master:
                child.tell(client.STOP)
            else:
                with contextlib.suppress(ProcessLookupError):
                    child.process.terminate()
        grace = MASTER_STOPS_WITHIN if self._config.master else STOPS_WITHIN
        until = time.monotonic() + grace
        for child in self.children:
            child.stop(grace=max(until - time.monotonic(), 0.1), ask=lambda: None)

    def why_ended(self) -> str:
        """Why they ended, as far as it is known, in a sentence."""
        codes = [child.process.poll() for child in self._now]
        status = next((code for code in codes if code is not None), None)
        killed = status is not None and status < 0
        # What the load itself said, else how its traceback ends, else the last line.
        telling = (rf"{client.STOPPED}(.*)", r"(\w*(?:Error|Exception)\b.*)", r"(.+)")
        lines = list(_without_ignored(self.log()))
        for pattern in telling[:1] if killed else telling:
            said = [match[1] for line in lines if (match := re.match(pattern, line))]
            if said:
                return said[-1][:300]
        if status is not None and killed:
            return f"it was killed by {_name(-status)}"
        return "it said nothing"

    def log(self) -> list[str]:
        """What they have said since the last start."""
        with contextlib.suppress(OSError), self._config.log.open("rb") as log:
            log.seek(self._log_begins)
            return log.read().decode(errors="replace").strip().splitlines()
        return []


def _without_ignored(lines: Iterable[str]) -> Iterator[str]:
    """The lines but for the tracebacks that Python ignores, as when it ends with old gevent."""
    ignored = False
    for line in lines:
        if line.startswith("Exception ignored in"):
            ignored = True
        elif ignored:
            ignored = line.startswith(("Traceback", " "))
        else:
            yield line


def _name(number: int) -> str:
    """The name of a signal; a real-time signal has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


NOT_FOR_THE_LOAD = ("AWS_", "LOCUST_")
"""The load needs no AWS credentials; Locust's own variables would change what it does."""


def for_the_load(environ: Mapping[str, str]) -> dict[str, str]:
    """What a process of the load has of our environment."""
    return {k: v for k, v in environ.items() if not k.startswith(NOT_FOR_THE_LOAD)}
