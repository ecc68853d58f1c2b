"""The load for a database of which nothing is known: it reads the catalogue and its own writes."""

from __future__ import annotations

from chaosaws_kms_ext.loadgen.client.connection import DeadlineConnection
from chaosaws_kms_ext.loadgen.client.user import QueryUser, read

__all__ = ["Catalogue"]


class Catalogue(QueryUser):
    """Cheap reads that every PostgreSQL answers."""

    @read(weight=3)
    def one_relation(self, connection: DeadlineConnection) -> None:
        """A row by its key."""
        connection.execute(
            "SELECT relname FROM pg_catalog.pg_class WHERE oid = %s", (1259,), prepare=True
        ).fetchone()

    @read(weight=1)
    def now(self, connection: DeadlineConnection) -> None:
        """No table at all."""
        connection.execute("SELECT now()").fetchone()
