"""The schema that a load writes into: made, read back and dropped; others are not touched."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from chaosaws_kms_ext.history.columns import ReadBack
from chaosaws_kms_ext.loadgen.engines import engine_of
from chaosaws_kms_ext.loadgen.engines.base import Hopeless, LoadFailed, NotOurs

__all__ = ["Hopeless", "LoadFailed", "NotOurs", "drop", "make", "rows", "within"]

Answer = TypeVar("Answer")

CONNECT_AGAIN = 0.25


def make(database: str, timeout: float) -> None:
    """Makes the schema, new; raises LoadFailed within about `timeout` seconds."""
    within(database, timeout, engine_of(database).make)


def rows(database: str, timeout: float) -> ReadBack:
    """What is in the tables, at one instant; raises LoadFailed within about `timeout` seconds."""
    return within(database, timeout, engine_of(database).read_back)


def drop(database: str, timeout: float) -> None:
    """Removes the schema, if it is ours; raises LoadFailed within about `timeout` seconds."""
    within(database, timeout, engine_of(database).drop)


def within(database: str, timeout: float, work: Callable[[Any], Answer]) -> Answer:
    """Connects, again and again if it must, and works; all of it before the deadline.

    `work` gets a connection of the engine's (`engines.base.Connection`). Raises LoadFailed within
    about `timeout` seconds.
    """
    engine = engine_of(database)
    end = time.monotonic() + timeout
    while True:
        try:
            with engine.connect(database, end) as connection:
                return work(connection)
        except engine.errors as problem:
            final = engine.hopeless(problem)
            if final or time.monotonic() + CONNECT_AGAIN > end:
                kind = Hopeless if final else LoadFailed
                said = " ".join(engine.said(problem).split())
                raise kind(
                    f"the database cannot be used: {said[:300] or type(problem).__name__}"
                ) from problem
            time.sleep(CONNECT_AGAIN)
