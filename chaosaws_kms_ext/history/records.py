"""The records a history is made of."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

from chaosaws_kms_ext.json_schema import Text

__all__ = [
    "ARRIVALS",
    "DAMAGED",
    "END_OF_TIME",
    "KINDS",
    "MAIN",
    "NO_ROW",
    "READER",
    "SECOND",
    "Anchor",
    "Event",
    "Operation",
    "Outcome",
    "Utc",
    "WrittenRow",
    "utc",
]

SECOND = 1_000_000_000
"""In nanoseconds."""

END_OF_TIME = 2**63 - 1
"""After every instant (CLOCK_MONOTONIC ns)."""

MAIN = "main"
"""The load on the cluster that a run is about: its figures are the run's."""

READER = "reader"
"""The load over the reader endpoint of the same cluster: it only reads."""

KINDS = (
    "read", "write", "session", "connect", "stall", "attempt", "server", "clock", "lag", "hung",
)  # fmt: skip

ARRIVALS = KINDS[:2]
"""Kinds of operations that the load's schedule made due. The others: the witnesses `session` and
`connect`; `attempt`, each try to connect; `server`, one that has started; `stall`: from due to
done the client itself did not run; `clock`, a question for the load's time, which is `sent`;
`lag`: how late the process itself was in a second (see `load_generator`). `hung`: a user's session
from when a query was sent that got no answer in time (`due`) until the server was heard of again;
it was opened at `sent`."""

NO_ROW, DAMAGED = 0, -1
"""What a read of a register saw where there was none, or one whose checksum is not its own;
sequences begin with 1."""


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
    UNRECORDED = "unrecorded"
    """Not known: the process of the load that had to do it was absent (see `shares`)."""


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
    """What the server called its error; of MySQL the number, and the SQL state after it."""
    detail: str | None = None
    """Of an attempt to connect: the server's address, or why there is no connection (`Cause`). Of
    `server`: when the server process had started, seconds since 1970."""
    session: int | None = None
    """Of a read of a register: the number of the connection, which no other of the load has."""
    key: int | None = None
    """Of such a read: the writer whose register it was."""
    value: int | None = None
    """What it saw: the sequence of that writer's newest write; NO_ROW, or DAMAGED."""


class Event(NamedTuple):
    """Something that happened to the run."""

    at: int
    name: str
    details: dict[str, Any]


class WrittenRow(NamedTuple):
    """What a write leaves in the database."""

    writer: int
    sequence: int


Utc = Annotated[str, Text(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", "date-time")]
"""`2026-11-23T10:00:00.000Z`, as `utc` writes it."""


def utc(instant: datetime) -> Utc:
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

    def monotonic(self, date: datetime) -> int:
        """The opposite: when a date was."""
        return self.monotonic_ns + round(date.timestamp() * SECOND) - self.utc_ns
