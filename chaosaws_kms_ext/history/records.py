"""The records a history is made of."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

__all__ = ["ARRIVALS", "SECOND", "Anchor", "Event", "History", "Operation", "Outcome", "WrittenRow"]

SECOND = 1_000_000_000
"""In nanoseconds."""

ARRIVALS = frozenset({"read", "write"})
"""Kinds of operations that the load's schedule made due. The others: the witnesses `session` and
`connect`, and `stall`: from due to done the client itself stood still."""


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


@dataclass(frozen=True)
class History:
    """Everything that was recorded of a run."""

    operations: Sequence[Operation]
    events: Sequence[Event]
    rows: dict[str, frozenset[WrittenRow]]
    """Load → its rows in the database afterwards; a load whose rows were not read is not there."""
    rates: dict[str, float]
    """Load → arrivals a second."""
    anchor: Anchor

    def arrivals(self, load: str) -> list[Operation]:
        """The load's reads and writes, in the order in which they were due."""
        mine = [o for o in self.operations if o.load == load and o.kind in ARRIVALS]
        return sorted(mine, key=lambda operation: operation.due)

    def witness(self, load: str, kind: str) -> list[Operation]:
        """What a witness of the load saw, in order."""
        mine = [o for o in self.operations if o.load == load and o.kind == kind]
        return sorted(mine, key=lambda operation: operation.due)

    def first(self, name: str, after: int = 0, **details: Any) -> Event | None:
        """The first event called `name` at or after `after` that has these details."""
        wanted = details.items()
        return next(
            (
                event
                for event in self.events
                if event.name == name and event.at >= after and wanted <= event.details.items()
            ),
            None,
        )
