"""What the summary.json of a plan holds: its runs in order, each with the figures of the trend."""

from __future__ import annotations

from typing import Any, Literal, TypedDict, get_args

from chaosaws_kms_ext.history import Utc
from chaosaws_kms_ext.report.figures import FIGURES, Number

__all__ = ["SCHEMA", "VERDICTS", "ItemVerdict", "PlanItem", "PlanSummary", "figures"]

SCHEMA: Literal[1] = 1

ItemVerdict = Literal[
    "passed", "failed", "inconclusive", "aborted", "refused", "not-run", "running", "waiting"
]
VERDICTS: tuple[str, ...] = get_args(ItemVerdict)
"""Of an item: that of its run; or that it was not run, was cut off, or is yet to be run."""


class PlanItem(TypedDict):
    """An item, and what is known of its run. `folder`: of the run; `null`: it left none."""

    name: str
    experiment: str
    region: str
    cluster: str
    reasons: list[str]
    started: Utc | None
    ended: Utc | None
    verdict: ItemVerdict
    run: str
    folder: str | None
    target: Literal["lab", "aws"] | None
    figures: dict[str, Number | None]


class PlanSummary(TypedDict):
    """The plan as a whole."""

    schema: Literal[1]
    plan: str
    file: str
    verdict: Literal["running", "passed", "failed", "aborted"]
    reasons: list[str]
    started: Utc
    ended: Utc | None
    items: list[PlanItem]


def figures(summary: Any = None) -> dict[str, Number | None]:
    """The figures of an item from the summary of its run; without one none is known."""
    return {each.name: each.read(summary) if summary else None for each in FIGURES}
