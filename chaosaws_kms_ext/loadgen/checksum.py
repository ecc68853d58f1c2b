"""A checksum of a table: the same for the same rows, in whatever order they are.

The server adds up a hash of every row, so no row has to be transferred; a row that is changed, lost
or doubled changes the sum. How is the engine's.
"""

from __future__ import annotations

from chaosaws_kms_ext.loadgen.engines import engine_of
from chaosaws_kms_ext.loadgen.engines.base import Checksum
from chaosaws_kms_ext.loadgen.schema import within

__all__ = ["Checksum", "checksum"]


def checksum(database: str, table: str, timeout: float) -> Checksum:
    """The checksum of a table or view, named as in SQL.

    `database` is a connection string. Raises LoadFailed within about `timeout` seconds.
    """
    return within(database, timeout, lambda each: engine_of(database).checksum(each, table))
