"""Was the load itself too slow? Then latency is its own, and not the database's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from chaosaws_kms_ext.checkers.base import (
    Checker,
    Field,
    Result,
    checker,
    every_load,
    never_injected,
    of_load,
)
from chaosaws_kms_ext.checkers.percentile import nearest_rank
from chaosaws_kms_ext.checkers.phases import phases_of
from chaosaws_kms_ext.history import MAIN, SECOND, Conditions, Operation
from chaosaws_kms_ext.history.history import History

__all__ = ["LoadGenerator", "Own", "own_lateness"]

CORE = 0.9
"""Of a core: a process of the load that uses more cannot do more."""

LATE = SECOND // 10
"""ns that a process wakes up late: it did not get a core."""

OFTEN = 1 / 3
"""Of the seconds in which the load is the bottleneck: no latency can be trusted then."""

CALM = ("before", "until-impact", "after", "all")
"""Phases in which the database is not what everybody waits for."""


class Lateness(TypedDict):
    """Milliseconds."""

    p50: float
    p99: float
    max: float


class OwnFigures(TypedDict):
    """How late the processes of a load were themselves."""

    lateness_ms: Lateness
    core_share: float
    bottleneck_share: float


@checker
class LoadGenerator(Checker):
    """Looks at what each process of a load says of itself, once a second."""

    name = "load_generator"
    place = 16
    fields = {
        "load_generator": Field(
            OwnFigures | None,
            "how late the processes of the load were themselves, whatever the database did: "
            "`lateness_ms`: `p50`, `p99` and `max` of the worst of each second; `core_share`: "
            "the 99th percentile of a core that a process used; `bottleneck_share`: of the "
            "seconds without an outage, in how many the slowest process used more than "
            f"{CORE:.0%} of a core or was more than {LATE // 1_000_000} ms late; more than a "
            "third is a doubt; `null`: nothing was recorded of it",
            of_load=True,
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Looks from when the load was steady until it was stopped."""
        loads, doubts, rows = {}, [], []
        for load in every_load(history):
            own = _of(history, conditions, load)
            loads[load] = {"load_generator": own.figures if own else None}
            if own and own.is_bottleneck:
                doubts += of_load(load, [own.in_words()])
                rows.append(("load" if load == MAIN else f"load {load}", own.in_words()))
        unknown = never_injected(history, conditions)
        return Result(loads=loads, doubts=() if unknown else doubts, rows=rows)


@dataclass(frozen=True)
class Own:
    """The lateness of a load's own processes."""

    figures: dict[str, Any]

    @property
    def is_bottleneck(self) -> bool:
        """Whether the load could not do more."""
        return bool(self.figures["bottleneck_share"] > OFTEN)

    def in_words(self) -> str:
        """For a person."""
        late = self.figures["lateness_ms"]
        return (
            f"the load itself was the bottleneck in {self.figures['bottleneck_share']:.0%} of the "
            f"seconds without an outage: it was up to {late['max']:.0f} ms late (99 %: "
            f"{late['p99']:.0f} ms) and used {self.figures['core_share']:.0%} of a core; use a "
            "lower CHAOS_LOAD_RATE, or more CHAOS_LOAD_PROCESSES on a machine with more cores"
        )


def own_lateness(lags: Sequence[Operation]) -> Own | None:
    """Of such records, each of one second of one process; None: there are none."""
    if not lags:
        return None
    late = np.array([o.done - o.due for o in lags], np.int64)
    share = np.array([_core_share(o) for o in lags])
    whose = np.array([o.writer for o in lags])
    bound = (late > LATE) | (share > CORE)
    # One that is, of several, is enough: a share of all arrivals is late then.
    of_each = [float(np.mean(bound[whose == process])) for process in np.unique(whose)]
    ranks = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return Own(
        {
            "lateness_ms": {
                name: round((nearest_rank(late, rank) or 0) / 1e6, 1)
                for name, rank in ranks.items()
            },
            "core_share": round(float(np.quantile(share, 0.99, method="inverted_cdf")), 3),
            "bottleneck_share": round(max(of_each), 3),
        }
    )


def _core_share(lag: Operation) -> float:
    """Its `sequence` is CPU time in ms."""
    seconds = ((lag.sent or lag.due) - lag.due) / SECOND
    return lag.sequence / 1000 / seconds if seconds > 0 else 0.0


def _of(history: History, conditions: Conditions, load: str) -> Own | None:
    spans = [s for name, s in phases_of(history, conditions, load).items() if name in CALM]
    lags = history.witness(load, "lag")
    return own_lateness([o for o in lags if any(s.begin <= o.due < s.end for s in spans)])
