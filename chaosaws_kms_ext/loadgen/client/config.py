"""How a load is told what to do: one environment variable, without any secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

__all__ = ["DATABASE_SAID", "STOPPED", "VARIABLE", "ClientConfig"]

VARIABLE = "CHAOS_KMS_LOAD"

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
    writers_from: int = 0
    """Above which its writers are numbered: a load that is started again has other numbers, since a
    row is known by its writer and its sequence."""

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
