"""The benchmark's query, by this suite's load."""

from __future__ import annotations

from bench.tool import QUERY
from chaosaws_kms_ext.loadgen.client.connection import DeadlineConnection
from chaosaws_kms_ext.loadgen.client.user import QueryUser, read


class Bench(QueryUser):
    """One row by its key."""

    @read()
    def one_row(self, connection: DeadlineConnection) -> None:
        """As the other tools ask it."""
        connection.execute(QUERY, prepare=True).fetchone()
