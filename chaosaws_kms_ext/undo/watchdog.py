"""A process that lives on after its run until the run's keys are put back.

Started before the first fault, on AWS only (the lab dies with its run). It waits on a pipe, its
lifeline, whose other end only the run has: however the run ends, the kernel closes it. Then the
watchdog puts back at once every key that the undo journal still has of this run. A run that has put
its keys back itself dismisses its watchdog, which ends without a call. If the run hangs, the
watchdog puts the key back when it has been away for too long. Where a lab plays AWS, it ends with
that lab.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from chaosaws_kms_ext import processes
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.undo import journal, store
from chaosaws_kms_ext.undo.journal import Entry
from chaosaws_kms_ext.undo.played_aws import PlayedAws
from chaosaws_kms_ext.undo.restore import restore
from chaosaws_kms_ext.undo.store import JournalDamaged

__all__ = ["Watchdog", "WatchdogFailed"]

READY, DISMISSED = "ready", b"."
READY_WITHIN = 30.0
"""Seconds; about one is usual."""

AGAIN = 15.0
"""Seconds between two tries to put back."""
GIVE_UP_AFTER = 6 * 3600.0
"""Seconds: then the journal is what is left, and the switch if there is one."""
LOOK = 0.5
"""Seconds between two looks at the journal, for a key that has been away for too long."""


class WatchdogFailed(PlainError):
    """Why there is no watchdog, in one sentence."""


@dataclass(frozen=True)
class Watchdog:
    """A run's watchdog, as the run sees it."""

    child: processes.Child
    log: Path

    @property
    def running(self) -> bool:
        """Whether it still watches."""
        return self.child.running

    @classmethod
    def start(cls, run: str, region: str, longest: float) -> Watchdog:
        """Starts it and waits until it could act; raises WatchdogFailed or OSError.

        `longest`: seconds since the journal entry was made after which a key is put back anyway.
        """
        log = store.directory() / f"{run}{journal.WATCHED}"
        ours, theirs = os.pipe()
        try:
            child = processes.Child(
                [sys.executable, "-m", __name__, run, region, str(longest)], log=log, stdout=theirs
            )
        finally:
            os.close(theirs)
        try:
            said = processes.first_line(ours, READY_WITHIN)
        finally:
            os.close(ours)
        if said != READY:
            child.stop()
            last = (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
            log.unlink(missing_ok=True)
            raise WatchdogFailed(f"the watchdog did not start: {last}")
        return cls(child, log)

    def leave(self) -> None:
        """Lets it finish the undo, as if this process had ended."""
        self.child.let_go()

    def dismiss(self) -> None:
        """Ends it at once: there is nothing left to put back."""
        self.child.tell(DISMISSED)
        self.child.stop(grace=10)
        with contextlib.suppress(OSError):
            if not self.log.stat().st_size:
                self.log.unlink()


def main(run: str, region: str, longest: float) -> int:
    """Waits for the run's end, and puts back what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    lifeline = int(os.environ.pop(processes.LIFELINE))
    try:
        aws = Aws(region, os.environ.get("AWS_ENDPOINT_URL", ""))
        aws.warm("kms", "rds")
    except PlainError as problem:
        print(problem, file=sys.stderr)
        return 1
    print(READY, flush=True)
    os.close(sys.stdout.fileno())
    memory, played = Memory(run), PlayedAws.find(region)
    with selectors.DefaultSelector() as selector:
        selector.register(lifeline, selectors.EVENT_READ)
        while not selector.select(LOOK):
            memory.look()
            if overdue := memory.away_for(longest):
                _say(f"the key has been away for more than {longest:.0f} s: putting it back")
                longest += AGAIN if memory.put_back(overdue) else 0.0
    try:
        if os.read(lifeline, 1) == DISMISSED:
            return 0
        if played:
            threading.Thread(target=_end_with, args=(played, run), daemon=True).start()
        return _put_all_back(memory)
    finally:
        journal.forget_closed(run)


class Memory:
    """The run's open entries as last seen, in case the journal is deleted."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._entries: dict[Path, Entry] = {}
        self._seen: dict[Path, float] = {}
        """When each was first seen: about when it was made, on a clock that nobody sets."""

    def look(self) -> list[Entry]:
        """The entries of the journal now; where it cannot be read, those seen before."""
        for path in [path for path, entry in self._entries.items() if entry.was_closed]:
            del self._entries[path]
        paths = []
        with contextlib.suppress(OSError):
            paths = journal.paths(self._run)
        for path in paths:
            self._seen.setdefault(path, time.monotonic())
            try:
                now = journal.read(path)
            except JournalDamaged as problem:
                if path not in self._entries and path.exists():
                    _say(str(problem))
                continue
            if now.state == "closed":
                self._entries.pop(path, None)
                continue
            before = self._entries.get(path, now)
            # A key that is back stays so, even if that could not be written.
            self._entries[path] = now if before.state == "key-away" else now.without_calls()
        return list(self._entries.values())

    def away_for(self, seconds: float) -> list[Entry]:
        """The entries whose keys are still away, and have been for longer: with one fault of a key
        all of it."""
        away = {p: entry for p, entry in self._entries.items() if entry.state == "key-away"}
        now = time.monotonic()
        late = {entry.key for path, entry in away.items() if now - self._seen[path] > seconds}
        return [entry for entry in away.values() if entry.key in late]

    def put_back(self, entries: Sequence[Entry]) -> list[Entry]:
        """Puts these back; returns those that are not back yet, as they are now."""
        left = {entry.path: entry for entry in restore(entries, _say, watching=True)}
        for entry in entries:
            if entry.path in left:
                self._entries[entry.path] = left[entry.path]
            else:
                self._entries.pop(entry.path, None)
        return list(left.values())


def _put_all_back(memory: Memory) -> int:
    end = time.monotonic() + GIVE_UP_AFTER
    while left := memory.put_back(memory.look()):
        if time.monotonic() > end:
            return 1
        _say(f"{len(left)} not put back yet, trying again")
        time.sleep(AGAIN)
    return 0


def _end_with(played: PlayedAws, run: str) -> NoReturn:
    """Ends this process when the lab that played AWS is gone: whatever the run took away is gone
    with it, and would be waited for for hours."""
    while not played.is_gone():
        time.sleep(LOOK)
    _say(
        f"the lab {played.lab} that played AWS at {played.endpoint} is gone, and its keys with it: "
        "there is nothing to put back"
    )
    with contextlib.suppress(OSError):
        for path in journal.paths(run):
            with contextlib.suppress(JournalDamaged, OSError):
                entry = journal.read(path)
                if entry.run == run and not entry.lab:
                    entry.close()
    journal.forget_closed(run)
    os._exit(0)  # the other thread may wait for an answer


def _say(what: str) -> None:
    with contextlib.suppress(OSError):  # a disk that is full must not keep the key away
        print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
