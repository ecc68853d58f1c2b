"""The records a history is made of."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from chaosaws_kms_ext.history.events import EventName

__all__ = [
    "ARRIVALS",
    "MAIN",
    "SECOND",
    "Anchor",
    "Event",
    "History",
    "Operation",
    "Outcome",
    "WrittenRow",
    "utc",
]

SECOND = 1_000_000_000
"""In nanoseconds."""

MAIN = "main"
"""The load on the cluster that a run is about: its figures are the run's."""

ARRIVALS = frozenset({"read", "write"})
"""Kinds of operations that the load's schedule made due. The others: the witnesses `session` and
`connect`, and `stall`: from due to done the client itself did not run."""


class Outcome(StrEnum):
    """How an operation ended."""

    OK = "ok"
    ERROR = "error"
    """The server said no."""
    TIMEOUT = "timeout"
    LOST = "lost"
    """The connection broke."""
    UNSENT = "unsent"
    """Nobody could take it in time."""
    ABORTED = "aborted"
    """Cut at shutdown."""


class Operation(NamedTuple):
    """One operation of a load. Instants are CLOCK_MONOTONIC ns."""

    load: str
    writer: int
    sequence: int
    kind: str
    """`read` or `write` for arrivals; `session`, `connect`, `stall` (see ARRIVALS)."""
    due: int
    sent: int | None
    done: int
    """When it was answered or given up."""
    outcome: str
    sqlstate: str | None


class Event(NamedTuple):
    """Something that happened to the run."""

    at: int
    name: str
    details: dict[str, Any]


class WrittenRow(NamedTuple):
    """What a write leaves in the database."""

    writer: int
    sequence: int


def utc(instant: datetime) -> str:
    """`2026-11-23T10:00:00.000Z`."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03}Z"


class Anchor(NamedTuple):
    """One instant on both clocks."""

    monotonic_ns: int
    utc_ns: int

    @classmethod
    def now(cls) -> Anchor:
        """This instant."""
        return cls(time.monotonic_ns(), time.time_ns())

    def utc(self, at: int) -> datetime:
        """The monotonic instant `at` as UTC."""
        since_epoch = self.utc_ns + at - self.monotonic_ns
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=since_epoch / 1000)


@dataclass(frozen=True, eq=False)
class History:
    """Everything that was recorded of a run."""

    operations: Sequence[Operation]
    events: Sequence[Event]
    rows: Mapping[str, frozenset[WrittenRow]]
    """Load → its rows in the database afterwards; a load whose rows were not read is not there."""
    rates: Mapping[str, float]
    """Load → arrivals a second."""
    anchor: Anchor

    @cached_property
    def loads(self) -> tuple[str, ...]:
        """The loads that were recorded and those that should have been, `main` first."""
        started = {each.details["load"] for each in self.all(EventName.LOAD_STARTED)}
        return tuple(sorted({*self.rates, *started}, key=lambda name: (name != MAIN, name)))

    def arrivals(self, load: str) -> Sequence[Operation]:
        """The load's reads and writes, in the order in which they were due."""
        return self._arrivals.get(load, ())

    def witness(self, load: str, kind: str) -> Sequence[Operation]:
        """What a witness of the load saw, in order."""
        return [each for each in self._by_load.get(load, ()) if each.kind == kind]

    def gaps(self, load: str) -> list[tuple[int, int]]:
        """When nothing of a load was recorded since it had died: from its last record before to the
        first arrival after, CLOCK_MONOTONIC ns."""
        arrivals, found = self.arrivals(load), []
        for died in self.all(EventName.LOAD_DIED, load=load):
            again = self.first(EventName.LOAD_STARTED_AGAIN, died.at, load=load)
            started = again.at if again else died.at
            begin = max((o.done for o in arrivals if o.done <= died.at), default=died.at)
            end = min((o.due for o in arrivals if o.due >= started), default=2**63)
            found.append((begin, end))
        return found

    def first(self, name: str, after: int = 0, **details: Any) -> Event | None:
        """The first event called `name` at or after `after` that has these details."""
        found = (event for event in self.all(name, **details) if event.at >= after)
        return next(found, None)

    def all(self, name: str, **details: Any) -> Iterator[Event]:
        """The events called `name` that have these details."""
        wanted = details.items()
        for event in self.events:
            if event.name == name and wanted <= event.details.items():
                yield event

    @cached_property
    def _arrivals(self) -> dict[str, list[Operation]]:
        # Every checker asks for them, and there may be millions.
        return {
            load: [each for each in its if each.kind in ARRIVALS]
            for load, its in self._by_load.items()
        }

    @cached_property
    def _by_load(self) -> dict[str, list[Operation]]:
        found: dict[str, list[Operation]] = {}
        for each in sorted(self.operations, key=lambda operation: operation.due):
            found.setdefault(each.load, []).append(each)
        return found
