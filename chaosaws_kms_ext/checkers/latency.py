"""How long answers took, from the instant at which they were due."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, TypedDict

from chaosaws_kms_ext.checkers.base import (
    Checker,
    Field,
    Result,
    checker,
    every_load,
    expects_outage,
    undisturbed_until,
)
from chaosaws_kms_ext.checkers.outage import outage_of
from chaosaws_kms_ext.checkers.percentile import ranks_of_delays
from chaosaws_kms_ext.checkers.phases import recorded_span
from chaosaws_kms_ext.checkers.slices import slices_of, width_of
from chaosaws_kms_ext.history import END_OF_TIME, Conditions, EventName, Utc
from chaosaws_kms_ext.history.columns import Arrivals
from chaosaws_kms_ext.history.history import History

__all__ = ["Latency", "LatencyChecker", "latency_between", "slice_latency"]


@dataclass(frozen=True)
class Latency:
    """Percentiles (nearest rank) in milliseconds; None: there was no answer."""

    p50: float | None
    p99: float | None


class Latencies(TypedDict):
    """Without a fault, `before` is of the whole run."""

    before: Latency
    after: Latency


class LatencySlices(TypedDict):
    """In slices of one length."""

    begin: Utc
    seconds: float
    p50_ms: list[float | None]
    p99_ms: list[float | None]
    max_ms: list[float | None]


@checker
class LatencyChecker(Checker):
    """Before the fault and after the recovery; without a fault, of the whole run."""

    name = "latency"
    place = 70
    fields = {
        "latency_ms": Field(
            Latencies,
            "milliseconds from the instant an arrival was due to its answer, of those that were "
            "answered: before the fault (without one: of the whole run) and after the recovery",
            of_load=True,
        ),
        "latency_slices": Field(
            LatencySlices | None,
            "milliseconds of the answers in each of the `slices`, by when their arrivals were "
            "due: `p50_ms`, `p99_ms`, `max_ms`; `null`: nothing was answered",
            of_load=True,
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Measures each load."""
        loads = {}
        for load in every_load(history):
            hit = expects_outage(history, conditions, load)
            injected = history.first(EventName.INJECTED) if hit else None
            seen = outage_of(history, conditions, load)
            recovery = seen.recovery if seen else None
            arrivals = history.arrivals(load)
            until = undisturbed_until(history, injected.at) if injected else END_OF_TIME
            before = latency_between(arrivals, 0, until)
            after = latency_between(arrivals, recovery or END_OF_TIME, END_OF_TIME)
            loads[load] = {
                "latency_ms": {"before": asdict(before), "after": asdict(after)},
                "latency_slices": _over_time(history, load),
            }
        return Result(loads=loads)


def latency_between(arrivals: Arrivals, begin: int, end: int) -> Latency:
    """The latency of the answered arrivals that were due in [begin, end), CLOCK_MONOTONIC ns."""
    its = arrivals.due_between(begin, end)
    return Latency(*map(_ms, ranks_of_delays(its, (0.50, 0.99))))


def _over_time(history: History, load: str) -> dict[str, Any] | None:
    whole = recorded_span(history, load)
    if whole is None:
        return None
    width = width_of(whole)
    found = [slice_latency(each) for each in slices_of(history.arrivals(load), whole, width)]
    return {
        "begin": history.in_utc(whole.begin),
        "seconds": width,
        **{name: [each[name] for each in found] for name in ("p50_ms", "p99_ms", "max_ms")},
    }


def slice_latency(due: Arrivals) -> dict[str, float | None]:
    """Of the arrivals of a slice that were answered, in milliseconds; None: none was."""
    found = map(_ms, ranks_of_delays(due, (0.50, 0.99, 1.0)))
    return dict(zip(("p50_ms", "p99_ms", "max_ms"), found, strict=True))


def _ms(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else round(nanoseconds / 1e6, 3)
