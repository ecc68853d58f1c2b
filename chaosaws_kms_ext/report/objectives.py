"""What a run has to meet: objectives by the names that experiments use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chaosaws_kms_ext.settings import Settings

__all__ = ["OBJECTIVES", "Figures", "judge"]

Judged = dict[str, Any]


@dataclass(frozen=True)
class Figures:
    """What objectives are held against; None: could not be measured."""

    time_to_recovery: float | None = None
    """Seconds."""
    lost_writes: int | None = None
    """Of all loads."""
    missed_arrivals: int | None = None
    """Of the loads that nothing should happen to."""
    time_to_replacement: float | None = None
    """Seconds from the order to restore until the restored cluster's first answer."""
    wrong_contexts: int | None = None
    """Attempts to decrypt that did not go as their encryption context says."""
    misattributed_calls: int | None = None
    """DisableKey and EnableKey, where CloudTrail names somebody else than this run."""


def _within(measured: float | None, aws_seconds: float, settings: Settings) -> Judged:
    limit = settings.real(aws_seconds)
    return {
        "limit_seconds": limit,
        "limit_aws_seconds": aws_seconds,
        "measured_seconds": measured,
        "met": None if measured is None else measured <= limit,
    }


def _none(measured: int | None) -> Judged:
    return {"limit": 0, "measured": measured, "met": None if measured is None else measured == 0}


OBJECTIVES: Mapping[str, Callable[[Figures, Settings], Judged]] = {
    "rto": lambda figures, its: _within(figures.time_to_recovery, its.rto, its),
    "replacement_rto": lambda figures, its: _within(
        figures.time_to_replacement, its.replacement_rto, its
    ),
    "lost_writes": lambda figures, _: _none(figures.lost_writes),
    "missed_arrivals": lambda figures, _: _none(figures.missed_arrivals),
    "wrong_contexts": lambda figures, _: _none(figures.wrong_contexts),
    "misattributed_calls": lambda figures, _: _none(figures.misattributed_calls),
}


def judge(names: list[str], figures: Figures, settings: Settings) -> list[Judged]:
    """Each named objective with its limit, what was measured, and whether it is met.

    `met` is None where it could not be measured.
    """
    return [{"name": name, **OBJECTIVES[name](figures, settings)} for name in names]


def in_words(objective: Judged) -> str:
    """`rto 38.2 s of 60 s`."""
    if "limit_seconds" in objective:
        return (
            f"{objective['name']} {objective['measured_seconds']:.1f} s "
            f"of {objective['limit_seconds']:g} s"
        )
    return f"{objective['name']} {objective['measured']} of {objective['limit']}"
