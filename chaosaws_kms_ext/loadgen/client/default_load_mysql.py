"""The load for a MySQL or MariaDB of which nothing is known: it reads the catalogue and its own
writes."""

from __future__ import annotations

from chaosaws_kms_ext.loadgen.client.sql import Sql
from chaosaws_kms_ext.loadgen.client.user import QueryUser

__all__ = ["Catalogue"]


class Catalogue(QueryUser):
    """Cheap reads that every one answers: a row of the catalogue, and no table at all."""

    one_schema = Sql(
        "SELECT schema_name FROM information_schema.schemata WHERE schema_name = 'mysql'", weight=3
    )
    now = Sql("SELECT now()")
