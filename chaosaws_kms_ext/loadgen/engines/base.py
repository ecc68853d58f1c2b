"""What a load needs of a database engine: one class for each protocol, in a file of its own.

An engine connects, says what a failure means, and has the statements for what a load writes. The
rest of the load does not know which it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.history import Outcome
from chaosaws_kms_ext.history.columns import ReadBack, Stored

__all__ = [
    "CHUNK",
    "OURS",
    "Cause",
    "Checksum",
    "Connection",
    "Engine",
    "Failure",
    "Hopeless",
    "LoadFailed",
    "NotOurs",
    "stored",
]

CHUNK = 20_000
"""Rows that are fetched at a time when they are read back."""

OURS = "made by chaostoolkit-aws-kms for its load; dropped by it"
"""The comment on what a load makes: what has none is never touched."""

CLIENT = Path(__file__).parents[1] / "client"


class LoadFailed(PlainError):
    """The load could not do its work: one sentence."""


class Hopeless(LoadFailed):
    """The load could not do its work, and trying again cannot help."""


class NotOurs(Hopeless):
    """There is a schema of that name that somebody else made."""

    @classmethod
    def found(cls) -> Self:
        """The schema chaos_kms is there, and is not ours."""
        return cls(
            "the database has a schema chaos_kms that is not ours: rename it, or set "
            "CHAOS_LOAD_WRITES=none"
        )


class Cause(StrEnum):
    """What the client saw where the server did not say why."""

    HANG = "hang"
    """Nothing at all, until the deadline."""
    REFUSED = "refused"
    """The address answers, and nobody listens at the port."""
    RESET = "reset"
    """The connection was there, and was closed."""
    UNREACHABLE = "unreachable"
    """There is no way to the address."""
    NO_ADDRESS = "no-address"
    """The name does not resolve."""
    NOT_READY = "not-ready"
    """The server starts, recovers or shuts down."""
    FULL = "full"
    """The server takes no more connections."""
    DENIED = "denied"
    """The password or the user is wrong."""
    PROXY_TIMEOUT = "proxy-timeout"
    """An RDS Proxy got no connection to the database in time."""
    OTHER = "other"


class Failure(NamedTuple):
    """What an error of the driver's means."""

    outcome: Outcome
    """Nobody answered, the connection broke, or the server said no."""
    code: str | None
    """What the server called it: an SQL state, or MySQL's number with it."""
    cause: Cause | None
    """What the client saw; None: the server said why, by `code`."""


class Checksum(NamedTuple):
    """Two tables with the same rows have the same one."""

    rows: int
    checksum: str
    """32 hexadecimal digits."""


class Connection(Protocol):
    """A connection in autocommit mode, no wait of which goes on after `until`."""

    until: float | None
    """CLOCK_MONOTONIC, seconds; None: no deadline."""
    number: int
    """Of the load's connections; 0: it is none of them."""
    opened: int
    """When a user got it, CLOCK_MONOTONIC ns."""
    sent: int
    """When the load's newest query was sent, CLOCK_MONOTONIC ns."""
    on_hang: Callable[[Any], None] | None
    """Is called with the connection when a query got no answer before `until`, before it is
    closed."""

    @property
    def closed(self) -> bool:
        """Whether it is not usable any more."""

    @property
    def clean(self) -> bool:
        """Whether no transaction is open, and none begins by itself: a write after a query that
        left one open would be acknowledged and then gone."""

    @property
    def address(self) -> str:
        """The server's, as the connection was made."""

    def fileno(self) -> int:
        """The descriptor of its socket; raises the engine's errors if it is closed."""

    def execute(self, query: Any, params: Any = None) -> Any:
        """Sends a query with its values; returns a cursor, for `fetchone` and `fetchall`."""

    def close(self) -> None:
        """Closes it; safe to call again."""


class Engine(ABC):
    """What a load needs of one protocol. Of connections and errors it gets its own only."""

    protocol: ClassVar[str]
    """Of `connection_strings`."""
    default_load: ClassVar[Path]
    """The Locust file for a database of which nothing is known."""
    errors: type[Exception]
    """What its driver raises when something goes wrong with a query or a connection."""
    deadline_passed: type[Exception]
    """Of those the one for no answer in time: raised with a sentence."""

    # Connecting

    @abstractmethod
    def connect(self, database: str, until: float) -> Any:
        """A new connection, until an instant (CLOCK_MONOTONIC, seconds); raises `errors`."""

    @abstractmethod
    def defaults(self) -> dict[str, str]:
        """The options that a connection string need not name, from the environment and a service
        file of the user's; `password` is among them."""

    # What an error means

    @abstractmethod
    def failure(self, problem: Any, connection: Any | None) -> Failure:
        """What it means for an operation; without a connection: for an attempt to connect."""

    @abstractmethod
    def words(self, problem: Any) -> str:
        """What was said, without what may quote the team's data."""

    def said(self, problem: Any) -> str:
        """All that was said, of what the load itself asked."""
        return str(problem)

    @abstractmethod
    def mistaken(self, problem: Any, connection: Any) -> bool:
        """Whether the driver refused to send a query: too few values, say."""

    @abstractmethod
    def hopeless(self, problem: Any) -> bool:
        """Whether trying again cannot help: no such user, password or database."""

    # What a load reads and writes

    @abstractmethod
    def started(self, connection: Any) -> str | None:
        """When the server process had started, seconds since 1970, always in the same words; None:
        it does not say."""

    @abstractmethod
    def write(self, connection: Any, writer: int, sequence: int, payload: int) -> None:
        """Inserts a row and brings the writer's register up to date, as one: both or none.

        A register never goes back, even if the database carries out a write late that the client
        has given up.
        """

    @abstractmethod
    def read_register(self, connection: Any, writer: int) -> tuple[int, int] | None:
        """The sequence and the checksum in a register; None: there is none."""

    @abstractmethod
    def newest_writers(self, connection: Any, most: int) -> Sequence[int]:
        """The newest writers that have a register."""

    # The schema chaos_kms

    @abstractmethod
    def make(self, connection: Any) -> None:
        """Makes it, new; raises NotOurs."""

    @abstractmethod
    def drop(self, connection: Any) -> None:
        """Removes it, if it is there; raises NotOurs."""

    @abstractmethod
    def has_registers(self, connection: Any) -> bool:
        """Whether the registers can be read: on a replica they may not be there yet."""

    @abstractmethod
    def read_back(self, connection: Any) -> ReadBack:
        """What is in it, at one instant."""

    # A team's tables

    @abstractmethod
    def checksum(self, connection: Any, table: str) -> Checksum:
        """That of a table's rows; raises LoadFailed if there is none."""


def stored(cursor: Any) -> Stored:
    """What a query found, a part at a time: millions of rows are not held as Python's objects."""
    parts = [Stored.of([])]
    while found := cursor.fetchmany(CHUNK):
        parts.append(Stored.of(found))
    return Stored.joined(parts)
