"""The shapes of outages other than the whole freeze: each has a thread while it lasts.

Every signal is sent under the lock of the servers' volume, and none after an outage's `end`.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import psutil

from chaosaws_kms_lab.data_misbehaviours import (
    FLAP,
    FREEZE_SHARE,
    LOSE_READER,
    SLOW,
)
from chaosaws_kms_lab.data_plane.client_sessions import ClientSession, ClientSessions, HeldRequests
from chaosaws_kms_lab.data_plane.dropped_packets import DroppedPackets
from chaosaws_kms_lab.data_plane.postgres import Postgres
from chaosaws_kms_lab.processes import freeze_trees, thaw_trees
from chaosaws_kms_lab.world import DataMisbehaviour

__all__ = ["KINDS", "Outage", "PortDrops", "Record"]

POLL = 0.002
"""Seconds between two looks at new sessions, and whether an order was cleared."""
PATIENCE = 0.1
"""Seconds in which a session is frozen only between two statements: in the middle of one it may
hold what all others need. Afterwards it is frozen all the same."""
ANSWERING = 0.003
"""Seconds in which slow servers work between two standstills."""

Record = Callable[..., None]


class Over(Exception):
    """The outage was ended, or its order cleared."""


class Outage:
    """An outage of these servers."""

    def __init__(
        self,
        ordered: DataMisbehaviour,
        servers: Sequence[Postgres],
        lock: threading.RLock,
        record: Record,
        real: Callable[[float], float],
    ) -> None:
        self.ordered = ordered
        self.lock = lock
        self.real = real
        """Converts AWS seconds to real seconds."""
        self.over = False
        self._servers = servers
        self._record = record
        self._stopped = False
        """The servers stand still."""
        self._begun: dict[str, Any] | None = None
        """What the beginning of that was recorded with whose end was not; None: there is none."""
        name = f"{ordered.kind} {ordered.cluster}"
        self.thread = threading.Thread(target=self._run, daemon=True, name=name)

    def end(self, thaw: bool = True) -> None:
        """No signal any more; `thaw`: everything goes on first, else it is going to be killed."""
        with self.lock:
            if self.over:
                return
            self.over = self.ordered.over = True
            self.say_end()
            self.let_go(thaw)

    # The kinds

    def go_on(self) -> None:
        """What happens, in the outage's thread; may raise `Over`, which ends it."""
        raise NotImplementedError

    def let_go(self, thaw: bool) -> None:
        """Undoes what was done; under the lock."""
        if self._stopped and thaw:
            thaw_trees(self.postmasters)
        self._stopped = False

    def result(self) -> dict[str, Any]:
        """What the end is recorded with; by default what the beginning was."""
        return self._begun or {}

    # For the kinds

    @property
    def postmasters(self) -> list[int]:
        """Of the servers that were there at the beginning, those that still are."""
        return [s.postmaster.pid for s in self._servers if s.running and s.postmaster]

    @contextlib.contextmanager
    def acting(self) -> Iterator[None]:
        """Signals may be sent; raises `Over`."""
        with self.lock:
            if self.over:
                raise Over
            yield

    def wait(self, seconds: float) -> None:
        """So many real seconds; raises `Over`."""
        end = time.monotonic() + seconds
        while True:
            if self.over or self.ordered.over:
                raise Over
            if (left := end - time.monotonic()) <= 0:
                return
            time.sleep(min(left, POLL))

    def stand_still(self, seconds: float, **details: Any) -> None:
        """The servers hang for so many real seconds; `details`: to be recorded with it, if any."""
        with self.acting():
            first = time.monotonic_ns()
            self._stopped = True
            freeze_trees(self.postmasters)
            if details:
                self.say_begin(first, **details)
                self.say("is complete", **details)
        self.wait(seconds)
        with self.acting():
            if details:
                self.say_end()
            self.let_go(thaw=True)

    def say_begin(self, at: int, **details: Any) -> None:
        """Records a beginning at the instant `at` (monotonic ns)."""
        self._begun = details
        self._record(f"{self.ordered.kind} begins", at=at, **details)

    def say(self, what: str, **details: Any) -> None:
        """Records what happens meanwhile."""
        self._record(f"{self.ordered.kind} {what}", **details)

    def say_end(self) -> None:
        """Records that what has begun ends now."""
        if self._begun is not None:
            self._record(f"{self.ordered.kind} ends", **self.result())
        self._begun = None

    def _run(self) -> None:
        try:
            self.go_on()
        except Over:
            pass
        except Exception:
            logging.exception("%s of %s failed", self.ordered.kind, self.ordered.cluster)
        finally:
            self.end()


class Flap(Outage):
    """All servers hang some times, and work between."""

    def go_on(self) -> None:
        for number in range(1, self.ordered.times + 1):
            self.stand_still(self.real(self.ordered.down), number=number)
            if number < self.ordered.times:
                self.wait(self.real(self.ordered.up))


class LoseReader(Outage):
    """These servers hang once: the cluster's readers."""

    def go_on(self) -> None:
        self.stand_still(self.real(self.ordered.seconds), servers=len(self.postmasters))


class FreezeShare(Outage):
    """Some sessions hang, and the others work."""

    def __init__(self, *common: Any) -> None:
        super().__init__(*common)
        self._frozen: list[psutil.Process] = []
        self._sessions = 0
        self._credit = Fraction(0)

    def go_on(self) -> None:
        sessions = ClientSessions()
        found = sessions.new(self.postmasters)
        with self.acting():
            chosen = self._choose(found)
            self.say_begin(time.monotonic_ns(), sessions=len(found), hang=len(chosen))
        end = time.monotonic() + self.real(self.ordered.seconds)
        while time.monotonic() < end:
            chosen = [each for each in chosen if not self._freeze(each)]
            self.wait(min(POLL, max(0.0, end - time.monotonic())))
            chosen += self._choose(sessions.new(self.postmasters))

    def let_go(self, thaw: bool) -> None:
        for process in self._frozen if thaw else ():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    def result(self) -> dict[str, Any]:
        return {"sessions": self._sessions, "hung": len(self._frozen)}

    def _choose(self, found: list[ClientSession]) -> list[ClientSession]:
        """Those of the sessions that are to hang: with a share of 0.5 every second one."""
        chosen = []
        for each in found:
            self._sessions += 1
            self._credit += Fraction(str(self.ordered.share))
            if self._credit >= 1:
                self._credit -= 1
                chosen.append(each)
        return chosen

    def _freeze(self, session: ClientSession) -> bool:
        """Freezes the session, if this is the moment; whether there is nothing more to do."""
        patient = time.monotonic() < session.found + PATIENCE
        try:
            if patient and not (session.waits and session.sleeps):
                return False
            with self.acting():
                at = time.monotonic_ns()
                session.process.suspend()
                if patient and not session.waits:
                    session.process.resume()
                    return False
                self._frozen.append(session.process)
                self.say("hangs a session", at=at, client=session.client)
        except psutil.NoSuchProcess:
            pass
        return True


class Slow(Outage):
    """Every answer takes some milliseconds."""

    def __init__(self, *common: Any) -> None:
        super().__init__(*common)
        self._held: dict[int, HeldRequests] = {}

    def go_on(self) -> None:
        delay = self.ordered.milliseconds / 1000
        exact = all(HeldRequests.possible(postmaster) for postmaster in self.postmasters)
        with self.acting():
            self.say_begin(time.monotonic_ns(), by="requests" if exact else "standstills")
        end = time.monotonic() + self.real(self.ordered.seconds)
        sessions = ClientSessions()
        while (left := end - time.monotonic()) > 0:
            if exact:
                self._look(sessions, delay)
                self.wait(min(POLL / 2, left))
            else:
                self.stand_still(min(delay, left))
                self.wait(ANSWERING)

    def let_go(self, thaw: bool) -> None:
        super().let_go(thaw)
        for held in self._held.values():
            held.let_go(wake=thaw)
        self._held.clear()

    def _look(self, sessions: ClientSessions, delay: float) -> None:
        """Holds what is asked in every session, and lets through what was held long enough."""
        found = sessions.new(self.postmasters)
        with self.acting():
            for session in found:
                with contextlib.suppress(OSError):  # it has just ended
                    self._held[session.process.pid] = HeldRequests(session, delay)
                    self.say("holds a session", client=session.client)
            now = time.monotonic()
            for pid, held in list(self._held.items()):
                try:
                    held.look(now)
                    gone = pid not in sessions.there
                except (OSError, psutil.NoSuchProcess):
                    gone = True
                if gone:
                    self._held.pop(pid).let_go(wake=False)


class PortDrops(Outage):
    """Nothing listens, and nothing is refused, until the servers are back."""

    def __init__(self, dropped: DroppedPackets, *common: Any) -> None:
        super().__init__(*common)
        self.dropped = dropped

    def go_on(self) -> None:
        self.wait(math.inf)

    def let_go(self, thaw: bool) -> None:
        self.dropped.close()


KINDS: dict[str, type[Outage]] = {
    FREEZE_SHARE: FreezeShare,
    SLOW: Slow,
    FLAP: Flap,
    LOSE_READER: LoseReader,
}
