"""How the service came back: the first answer, half of them, all of them, as fast as before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from chaosaws_kms_ext.checkers.base import (
    Checker,
    Field,
    Result,
    checker,
    every_load,
    expects_outage,
    hit_loads,
)
from chaosaws_kms_ext.checkers.degraded import latency_slices, normal_latency, slice_width
from chaosaws_kms_ext.checkers.key_events import KeyEvents
from chaosaws_kms_ext.checkers.objectives import EachLoad, Objective
from chaosaws_kms_ext.checkers.outage import outage_of, put_back_by_others
from chaosaws_kms_ext.checkers.outage_windows import STARTS, number_of
from chaosaws_kms_ext.checkers.phases import Span, recorded_span
from chaosaws_kms_ext.history import END_OF_TIME, MAIN, SECOND, Conditions
from chaosaws_kms_ext.history.columns import Arrivals
from chaosaws_kms_ext.history.history import History

__all__ = ["AS_BEFORE", "RecoveryCurve", "answered_share_from"]

AS_BEFORE = 1.2
"""Times the 99th percentile before the fault."""


class Curve(TypedDict):
    """Seconds from the key being put back; None: not before the load was stopped."""

    first_answer: float | None
    half: float | None
    all: float | None
    normal_latency: float | None


@checker
class RecoveryCurve(Checker):
    """Measures each step from the instant at which the key was put back."""

    name = "recovery_curve"
    place = 46
    objectives = (
        Objective("time_to_normal_latency", "time_to_normal_latency_seconds", None, "seconds"),
    )
    fields = {
        "recovery_curve": Field(
            Curve | None,
            "seconds from the key being put back to: `first_answer`; `half` and `all` (the first "
            "answer of the first 10 AWS seconds, or 20 arrivals, in which 50 % or 99 % were "
            "answered, and the database stayed so); `normal_latency` (the first second, or 100 "
            "arrivals, from which on the 99th percentile is at most 1.2 times that before the "
            "fault; `null`: not before the load was stopped)",
            of_load=True,
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Only of the loads that the fault affects."""
        loads = {
            load: {"recovery_curve": _of(history, conditions, load)} for load in every_load(history)
        }
        hit = {load: loads[load]["recovery_curve"] for load in hit_loads(history, conditions)}
        normal = {load: its["normal_latency"] if its else None for load, its in hit.items()}
        return Result(
            loads=loads,
            measured={"time_to_normal_latency_seconds": EachLoad.of(normal)},
            rows=[
                ("recovery" if load == MAIN else f"recovery ({load})", _in_words(its))
                for load, its in hit.items()
                if its
            ],
        )


def _in_words(found: Mapping[str, float | None]) -> str:
    normal = found["normal_latency"]
    after = (
        "the latency of before not reached while the load ran"
        if normal is None
        else f"{normal:.2f} s to the latency of before"
    )
    return f"{found['first_answer']:.2f} s to the first answer · {after}"


def _of(history: History, conditions: Conditions, load: str) -> dict[str, float | None] | None:
    if not expects_outage(history, conditions, load):
        return None
    seen, back = outage_of(history, conditions, load), KeyEvents.of(history).put_back
    whole = recorded_span(history, load)
    if seen is None or seen.recovery is None or back is None or whole is None:
        return None
    if put_back_by_others(history, conditions) or seen.recovery < back.at:
        return None
    arrivals, rate = history.arrivals(load), history.recorded[load].rate
    answers = arrivals.answered & (arrivals.done >= back.at)
    span = round(conditions.settings.steady_window_at(rate) * SECOND)
    half = answered_share_from(arrivals, back.at, span, 0.5)
    normal = _normal(history, load, Span(seen.recovery, whole.end))
    instants = {
        "first_answer": int(np.min(arrivals.done, where=answers, initial=END_OF_TIME)),
        "half": None if half is None else min(half, seen.recovery),
        "all": seen.recovery,
        "normal_latency": normal,
    }
    return {
        name: None if at is None else round(max(at - back.at, 0) / SECOND, 3)
        for name, at in instants.items()
    }


def answered_share_from(arrivals: Arrivals, since: int, span: int, share: float) -> int | None:
    """The first answer of the first stretch of `span` ns in which that share was answered, of the
    arrivals of which something is known.

    Of the stretches that begin with an arrival that was due at `since` or later; None: there is
    none.
    """
    due, answered, unknown = arrivals.due, arrivals.answered, arrivals.unrecorded
    for first in range(int(np.searchsorted(due, since)), len(due), STARTS):
        begins = np.arange(first, min(first + STARTS, len(due)))
        ends = np.searchsorted(due, due[begins] + span)
        counts = number_of(answered[first : ends[-1]], begins - first, ends - first)
        not_known = number_of(unknown[first : ends[-1]], begins - first, ends - first)
        found = np.flatnonzero((counts >= share * (ends - begins - not_known)) & (counts > 0))
        if len(found):
            stretch = arrivals.only(slice(int(begins[found[0]]), int(ends[found[0]])))
            return int(stretch.done[stretch.answered].min())
    return None


def _normal(history: History, load: str, after: Span) -> int | None:
    """From when on the latency is as before and stays so; None: it is not at the end."""
    slices = latency_slices(history.arrivals(load), after, slice_width(history.recorded[load].rate))
    before = normal_latency(history, load, [])
    if before is None:
        return None
    since = None
    for each in reversed(slices):
        if each.p99 is None or each.p99 > AS_BEFORE * before:
            break
        since = each.span.begin
    return since
