"""How a load is told what to do: one environment variable, without any secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

__all__ = ["DATABASE_SAID", "MOST_WORKERS", "STOP", "STOPPED", "VARIABLE", "ClientConfig"]

VARIABLE = "CHAOS_KMS_LOAD"

MOST_WORKERS = 64
"""Processes of one load."""

WRITERS, CONNECTIONS = 1_000_000, 1 << 24
"""More than one process can have: a writer for each user, and one after each failure. Both numbers
have 31 bits, for two starts of a load."""

STOP = b"stop"
"""Said to a master through its lifeline: end the load in order."""

STOPPED = "load stopped: "
"""How the line of a load's log begins that says why it ended."""

DATABASE_SAID = "database said: "
"""How lines of a load's log begin that hold the database's, or its driver's, own words."""


@dataclass(frozen=True)
class ClientConfig:
    """What a load does."""

    name: str
    database: str
    """libpq conninfo; passwords come as libpq finds them (PGPASSWORD, ~/.pgpass, a passfile)."""
    rate: float
    """Arrivals a second."""
    users: int
    writes: bool
    deadline: float
    """Seconds from the instant an arrival is due."""
    folder: str
    """Where the history goes."""
    reads_registers: bool = False
    """Whether one arrival in ten reads a register that another load of the database writes."""
    worker: int = 0
    """The number of this process among those of the load, from 0 on."""
    workers: int = 1
    """Processes of the load: each makes its share of the arrivals."""
    start: int = 0
    """When the first arrival is due, CLOCK_MONOTONIC ns; 0: as soon as the users are connected."""
    starts: int = 0
    """How often the load was started before."""

    @property
    def place(self) -> int:
        """Of this process among all of the load, also of those before it was started again: their
        writers and connections have other numbers, since a row is known by its writer and its
        sequence."""
        return self.starts * MOST_WORKERS + self.worker

    @property
    def writers_from(self) -> int:
        """Above which its writers are numbered."""
        return self.place * WRITERS

    @property
    def connections_from(self) -> int:
        """Above which its connections are numbered."""
        return self.place * CONNECTIONS

    def as_environment(self) -> dict[str, str]:
        """The variable that carries it."""
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def of_environment(cls, environ: Mapping[str, str]) -> ClientConfig:
        """The opposite of `as_environment`; raises LookupError when nobody set it."""
        if VARIABLE not in environ:
            raise LookupError(
                f"{VARIABLE} is not set: this load is started by an experiment, as in "
                "`chaos run experiments/kms-disable.json`"
            )
        return cls(**json.loads(environ[VARIABLE]))
