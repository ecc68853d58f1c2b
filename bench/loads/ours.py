"""The benchmark's query, by this suite's load."""

from __future__ import annotations

from bench.tool import QUERY
from chaosaws_kms_ext.loadgen.client.sql import Sql
from chaosaws_kms_ext.loadgen.client.user import QueryUser


class Bench(QueryUser):
    """One row by its key, as the other tools ask it."""

    one_row = Sql(QUERY)
