"""What every tool of the benchmark can do, and the table of them."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

__all__ = [
    "DEADLINE",
    "QUERY",
    "TOOLS",
    "Outage",
    "Sustained",
    "Tool",
    "cost_of",
    "from_utc",
    "register",
]

QUERY = "SELECT value FROM bench WHERE id = 4711"
"""What every tool asks: one row by its primary key."""

DEADLINE = 0.5
"""Seconds in which an answer comes in time, where a tool knows such a thing."""

Outage = tuple[float | None, float | None]
"""Begin and end, CLOCK_MONOTONIC seconds; None: the tool cannot tell, or it has not ended."""


@dataclass(frozen=True)
class Sustained:
    """How a tool did at a rate, by its own account."""

    rate: float
    """Answers a second."""
    p99_ms: float


class Tool(ABC):
    """One way to watch a database; it does nothing before `start`."""

    name: ClassVar[str]
    title: ClassVar[str]
    """As the tables have it."""
    watches: ClassVar[str] = "database"
    """`database` or `cluster`: what it asks."""
    settings: ClassVar[str]
    """What it is told, for a person."""
    measures_rate: ClassVar[bool] = False
    waits_for_answers: ClassVar[bool] = False
    """Whether each client asks only after its last answer, whatever the rate."""

    def __init__(self, folder: Path, seconds: float = 600, logs_each: bool = False) -> None:
        """`folder`: for its files; `seconds`: it ends by itself after that; `logs_each`: it also
        keeps what its p99 is made from."""
        folder.mkdir(parents=True)
        self.folder = folder
        self.seconds = seconds
        self.logs_each = logs_each

    @classmethod
    def absent(cls) -> str:
        """Why it is not here; empty if it is."""
        return ""

    @classmethod
    def version(cls) -> str:
        """What was measured."""
        return ""

    @abstractmethod
    def start(self, conninfo: str, rate: float, clients: int) -> None:
        """Begins to ask QUERY, `rate` times a second, by so many `clients`; returns at once."""

    @abstractmethod
    def stop(self) -> None:
        """Ends it; safe to call again."""

    @abstractmethod
    def outages(self) -> Sequence[Outage]:
        """After `stop`: those that can be read from what it wrote."""

    @abstractmethod
    def said(self, begin: float, end: float) -> str:
        """After `stop`: its own words about a time (CLOCK_MONOTONIC seconds)."""

    @abstractmethod
    def survived(self) -> str:
        """Before `stop`: `yes`, or why it does not go on."""

    def cpu_seconds(self) -> float:
        """What it has used until now."""
        raise NotImplementedError

    def sustained(self, begin: float, end: float) -> Sustained:
        """After `stop`: how it did in a time (CLOCK_MONOTONIC seconds)."""
        raise NotImplementedError


def cost_of(its: Tool, begin: Callable[[], None], seconds: float) -> tuple[Sustained, float]:
    """How a tool did for so many seconds, and microseconds of CPU for an operation; `begin` starts
    it and returns when it is up. It is stopped."""
    try:
        begin()
        before, since = its.cpu_seconds(), time.monotonic()
        time.sleep(seconds)
        used, until = its.cpu_seconds() - before, time.monotonic()
    finally:
        its.stop()
    did = its.sustained(since, until)
    return did, used / max(did.rate * (until - since), 1) * 1e6


TOOLS: dict[str, type[Tool]] = {}


def register(tool: type[Tool]) -> type[Tool]:
    """Puts a tool into the table."""
    TOOLS[tool.name] = tool
    return tool


def from_utc(seconds: float) -> float:
    """An instant of the wall clock as CLOCK_MONOTONIC seconds."""
    return seconds - time.time() + time.monotonic()
