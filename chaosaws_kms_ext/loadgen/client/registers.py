"""What the load writes into its own schema, and reads there.

A write inserts a row and brings its writer's register up to date, in one statement: one answer is
for both. A register never goes back, even if the database carries out a write late that the client
has given up.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaosaws_kms_ext.history.payload import SEQUENCES, payload_of
from chaosaws_kms_ext.history.records import DAMAGED, NO_ROW
from chaosaws_kms_ext.loadgen.client.connection import DeadlineConnection

__all__ = ["CREATE", "find_writers", "read_register", "register_to_read", "write"]

# Without a unique constraint: a row that is there twice is to be seen.
CREATE = (
    "CREATE TABLE chaos_kms.writes "
    "(writer integer NOT NULL, sequence bigint NOT NULL, payload bigint NOT NULL)",
    "CREATE TABLE chaos_kms.registers "
    "(writer integer PRIMARY KEY, value bigint NOT NULL, payload bigint NOT NULL)",
)

WRITE = """
WITH register AS (
    INSERT INTO chaos_kms.registers AS now (writer, value, payload)
    VALUES (%(writer)s, %(sequence)s, %(payload)s)
    ON CONFLICT (writer) DO UPDATE SET value = EXCLUDED.value, payload = EXCLUDED.payload
    WHERE now.value < EXCLUDED.value
)
INSERT INTO chaos_kms.writes (writer, sequence, payload)
VALUES (%(writer)s, %(sequence)s, %(payload)s)
"""
WRITERS = "SELECT writer FROM chaos_kms.registers ORDER BY writer DESC LIMIT %s"
READ = "SELECT value, payload FROM chaos_kms.registers WHERE writer = %s"

STAY = 8
"""Reads of one register, before a user goes on to the next: a session that goes back is seen by
reads of the same register."""


def write(connection: DeadlineConnection, writer: int, sequence: int) -> None:
    """Writes as `writer`; raises psycopg.Error."""
    payload = payload_of(writer, sequence)
    values = {"writer": writer, "sequence": sequence, "payload": payload}
    connection.execute(WRITE, values, prepare=True)


def read_register(connection: DeadlineConnection, writer: int) -> int:
    """The sequence in a register, NO_ROW or DAMAGED; raises psycopg.Error."""
    row = connection.execute(READ, (writer,), prepare=True).fetchone()
    if row is None:
        return NO_ROW
    value: int = row[0]
    whole = 0 < value < SEQUENCES and row[1] == payload_of(writer, value)
    return value if whole else DAMAGED


def find_writers(connection: DeadlineConnection, most: int) -> list[int]:
    """The newest writers that have a register; raises psycopg.Error."""
    return [writer for (writer,) in connection.execute(WRITERS, (most,), prepare=True).fetchall()]


def register_to_read(writers: Sequence[int], asks: int, asked: int) -> int:
    """The writer whose register is to be read, of those that have written.

    `asks`: the number of who reads; `asked`: how many registers it has read.
    """
    return writers[(asks + asked // STAY) % len(writers)]
