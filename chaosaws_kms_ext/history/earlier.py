"""The earlier runs that a figure is held against, as they were when the run began."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, TypedDict

__all__ = ["Earlier", "EarlierJson", "EarlierRun", "NotWorse"]


@dataclass(frozen=True)
class NotWorse:
    """What an experiment asks of a figure: to be no worse than the median of the last runs, by
    more than some percent of it."""

    last: int
    percent: float


@dataclass(frozen=True)
class EarlierRun:
    """One of them: its experiment and its time with a slash between, and what it had measured."""

    run: str
    measured: float


class EarlierJson(TypedDict):
    """What a run is held against, as run.json and summary.json have it."""

    last: int
    percent: float
    median: float | None
    runs: list[EarlierRun]


@dataclass(frozen=True)
class Earlier:
    """What a run is held against: it is kept in its run.json, so that it can be judged again."""

    asked: NotWorse
    runs: Sequence[EarlierRun]
    """The newest first; no more than were asked for."""

    @property
    def median(self) -> float | None:
        """Of all of them; None: there are fewer than were asked for."""
        if len(self.runs) < self.asked.last:
            return None
        return float(median(each.measured for each in self.runs))

    def as_json(self) -> dict[str, Any]:
        """As run.json and summary.json have it."""
        runs = [asdict(each) for each in self.runs]
        return {**asdict(self.asked), "median": self.median, "runs": runs}

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> Earlier:
        """As a run has written it down; raises ValueError, KeyError or TypeError for another."""
        last, percent = said["last"], said["percent"]
        if type(last) is not int or last < 1 or not _is_number(percent):
            raise ValueError("what a figure is held against is a number of runs, and a percentage")
        runs = [EarlierRun(str(each["run"]), each["measured"]) for each in said["runs"]]
        if not all(_is_number(each.measured) for each in runs) or len(runs) > last:
            raise ValueError("the figures of earlier runs are numbers")
        found = cls(NotWorse(last, percent), runs)
        if said["median"] != found.median:
            raise ValueError("the median of the earlier runs is not that of their figures")
        return found


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
