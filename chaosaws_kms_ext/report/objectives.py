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

    time_to_recovery: float | None
    """Seconds."""
    lost_writes: int | None


def _rto(figures: Figures, settings: Settings) -> Judged:
    limit, measured = settings.real(settings.rto), figures.time_to_recovery
    return {
        "limit_seconds": limit,
        "limit_aws_seconds": settings.rto,
        "measured_seconds": measured,
        "met": None if measured is None else measured <= limit,
    }


def _lost_writes(figures: Figures, settings: Settings) -> Judged:
    measured = figures.lost_writes
    return {"limit": 0, "measured": measured, "met": None if measured is None else measured == 0}


OBJECTIVES: Mapping[str, Callable[[Figures, Settings], Judged]] = {
    "rto": _rto,
    "lost_writes": _lost_writes,
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
