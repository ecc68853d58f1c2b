"""Loads that a test starts, as it wants them; they are stopped after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.loadgen.process import Load, LoadConfig
from chaosaws_kms_ext.waiting import Observer
from tests.support.postgres import RATE

__all__ = ["starting_loads"]


@contextmanager
def starting_loads(
    database: str, folder: Path, within: float, **usual: Any
) -> Iterator[Callable[..., Load]]:
    """What starts a load on a database, and waits for at most `within` seconds until it is steady;
    `usual`: its configuration, where the test gives no other."""
    loads: list[Load] = []

    def start(steady: bool = True, **more: Any) -> Load:
        (folder / "history").mkdir(exist_ok=True)
        config = {
            "database": database,
            "rate": RATE,
            "users": 16,
            "writes": True,
            "deadline": 0.5,
            "folder": folder / "history",
            "log": folder / "load.log",
            **usual,
        }
        load = Load(LoadConfig(**{**config, **more}))
        loads.append(load)
        load.start()
        if steady:
            load.wait_until_steady(0.5, 0.99, within, Observer())
        return load

    try:
        yield start
    finally:
        for load in loads:
            load.stop()
