"""The load for a database of which nothing is known: it reads the catalogue and its own writes."""

from __future__ import annotations

from chaosaws_kms_ext.loadgen.client.sql import Sql
from chaosaws_kms_ext.loadgen.client.user import QueryUser

__all__ = ["Catalogue"]


class Catalogue(QueryUser):
    """Cheap reads that every PostgreSQL answers: a row by its key, and no table at all."""

    one_relation = Sql("SELECT relname FROM pg_catalog.pg_class WHERE oid = 1259", weight=3)
    now = Sql("SELECT now()")
