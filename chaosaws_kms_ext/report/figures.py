"""The figures of a summary.json that lists, trends and comparisons show."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["FIGURES", "Figure", "Number", "exact", "is_number", "lost_writes", "number_at"]

Number = int | float


@dataclass(frozen=True)
class Figure:
    """One of them."""

    name: str
    label: str
    """For a person."""
    read: Callable[[Mapping[str, Any]], Number | None]
    """From a summary; None: it was not measured, or is no number."""
    unit: str = "s"
    objective: str = ""
    """The objective that limits it."""


def number_at(summary: Mapping[str, Any], *path: str) -> Number | None:
    """The number at a place in a summary; None: there is none."""
    found: Any = summary
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if is_number(found) else None


def lost_writes(summary: Mapping[str, Any]) -> Number | None:
    """The acknowledged writes of all loads that are not there; None: not known of one that writes.

    `writes.lost` of the summary and of its `loads`, together.
    """
    each = [
        number_at(its, "writes", "lost")
        for its in _loads(summary)
        if isinstance(its.get("writes"), Mapping)
    ]
    known = [number for number in each if number is not None]
    return sum(known) if known and len(known) == len(each) else None


def exact(value: Number | None) -> str:
    """A figure as summary.json has it; `-`: it was not measured."""
    return "-" if value is None else f"{value:.15g}" if isinstance(value, float) else str(value)


def _loads(summary: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield summary
    others = summary.get("loads")
    if isinstance(others, Mapping):
        yield from (its for its in others.values() if isinstance(its, Mapping))


def is_number(value: Any) -> bool:
    """Whether it is a number that can be shown: no infinity, and no truth value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < MOST


MOST = 10**15
"""Of a whole number, so that it is exact in any program that reads it."""


def _at(*path: str) -> Callable[[Mapping[str, Any]], Number | None]:
    def read(summary: Mapping[str, Any]) -> Number | None:
        return number_at(summary, *path)

    return read


def _known_by(source: str, label: str, objective: str = "") -> Figure:
    read = _at("time_to_know", source, "seconds")
    return Figure(f"time_to_know.{source}", f"known by {label}", read, objective=objective)


FIGURES = (
    Figure("time_to_recovery_seconds", "time to recovery", _at("time_to_recovery_seconds"),
           objective="rto"),
    Figure("outage_seconds", "outage", _at("outage_seconds")),
    Figure("lost_service_seconds", "service lost", _at("lost_service_seconds"),
           objective="lost_service"),
    _known_by("status", "status"),
    _known_by("rds_event", "RDS event"),
    _known_by("alarm", "alarm", "time_to_alarm"),
    _known_by("health_check", "health check"),
    Figure("writes.lost", "lost writes", lost_writes, "", "lost_writes"),
)  # fmt: skip
"""Those of the trend, in the order of its columns."""
