"""What the load writes into its own schema, and reads there.

A write inserts a row and brings its writer's register up to date, both or none: one answer is for
both. The statements are the engine's.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaosaws_kms_ext.history.payload import SEQUENCES, payload_of
from chaosaws_kms_ext.history.records import DAMAGED, NO_ROW
from chaosaws_kms_ext.loadgen.engines.base import Connection, Engine

__all__ = ["read_register", "register_to_read", "write"]

STAY = 8
"""Reads of one register, before a user goes on to the next: a session that goes back is seen by
reads of the same register."""


def write(engine: Engine, connection: Connection, writer: int, sequence: int) -> None:
    """Writes as `writer`; raises the engine's errors."""
    engine.write(connection, writer, sequence, payload_of(writer, sequence))


def read_register(engine: Engine, connection: Connection, writer: int) -> int:
    """The sequence in a register, NO_ROW or DAMAGED; raises the engine's errors."""
    row = engine.read_register(connection, writer)
    if row is None:
        return NO_ROW
    value, payload = row
    whole = 0 < value < SEQUENCES and payload == payload_of(writer, value)
    return value if whole else DAMAGED


def register_to_read(writers: Sequence[int], asks: int, asked: int) -> int:
    """The writer whose register is to be read, of those that have written.

    `asks`: the number of who reads; `asked`: how many registers it has read.
    """
    return writers[(asks + asked // STAY) % len(writers)]
