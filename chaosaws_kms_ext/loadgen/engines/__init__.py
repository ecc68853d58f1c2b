"""The database engines that a load speaks with, one file each, known by their protocol."""

from __future__ import annotations

import importlib
from functools import cache

from chaosaws_kms_ext.connection_strings import MYSQL, POSTGRESQL, protocol_of
from chaosaws_kms_ext.loadgen.engines.base import Engine, Hopeless

__all__ = ["ENGINES", "engine_of", "named"]

ENGINES = {POSTGRESQL: "PostgreSQL", MYSQL: "MySQL"}
"""Protocol → the class of its engine, in the module of that name."""


def engine_of(database: str) -> Engine:
    """The engine that a connection string leads to; raises Hopeless if its driver is missing."""
    return named(protocol_of(database))


@cache
def named(protocol: str) -> Engine:
    """The engine of a protocol; raises Hopeless if its driver is not installed."""
    # Imported when it is needed: a driver may be missing that nobody wants.
    try:
        module = importlib.import_module(f"{__name__}.{protocol}")
    except ModuleNotFoundError as missing:
        if missing.name != "pymysql":
            raise
        raise Hopeless(
            "a load on a MySQL or MariaDB database needs PyMySQL, which is not installed: "
            "pip install 'chaostoolkit-aws-kms[mysql]'"
        ) from None
    engine: Engine = getattr(module, ENGINES[protocol])()
    return engine
