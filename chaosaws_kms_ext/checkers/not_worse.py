"""Whether a figure is worse than those of the runs before: against their median."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chaosaws_kms_ext.history import Conditions
from chaosaws_kms_ext.history.earlier import Earlier, NotWorse

if TYPE_CHECKING:
    from chaosaws_kms_ext.checkers.objectives import Figure, Objective

__all__ = ["END", "KEY", "evaluate", "measured_in", "read"]

KEY = "not_worse_than"
"""The field of an objective in an experiment, and in summary.json."""
END = "_against_earlier"
"""Of the name that such an objective has in summary.json."""

MOST_RUNS, MOST_PERCENT = 100, 1000.0
DIGITS = 6
"""Of a limit."""


def read(said: Any, at_least: bool) -> NotWorse:
    """`{"last": 5, "percent": 20}` of an experiment; raises ValueError with what is wrong.

    `at_least`: the figure is worse where it is lower.
    """
    form = f'{KEY} is an object with the fields last and percent: {{"last": 5, "percent": 20}}'
    if not isinstance(said, Mapping) or set(said) != {"last", "percent"}:
        raise ValueError(f"{form}, not {said!r:.60}")
    last, percent = said["last"], said["percent"]
    if type(last) is not int or not 1 <= last <= MOST_RUNS:
        raise ValueError(f"last is how many runs, from 1 to {MOST_RUNS}, not {last!r:.60}")
    most = 100.0 if at_least else MOST_PERCENT
    if type(percent) not in (int, float) or not 0 <= percent <= most:
        raise ValueError(f"percent is a number from 0 to {most:g}, not {percent!r:.60}")
    return NotWorse(last, percent)


def evaluate(
    objective: Objective, measured: Figure, conditions: Conditions, earlier: Earlier
) -> dict[str, Any]:
    """The objective against earlier runs as summary.json has it.

    With fewer earlier runs than were asked for it is not judged: `not_judged` says so, and no
    verdict depends on it.
    """
    median, asked, settings = earlier.median, earlier.asked, conditions.settings
    its: dict[str, Any] = {KEY: earlier.as_json()}
    limit = 0.0
    if median is not None:
        sign = -1 if objective.at_least else 1
        limit = round(median * (1 + sign * asked.percent / 100), DIGITS)
    aws = settings.aws_seconds(limit) if objective.unit == "seconds" else limit
    found = objective.against(measured, limit, round(aws, DIGITS))
    found["name"] += END
    if median is None:
        found["met"] = None
        for name in ("limit", "limit_seconds", "limit_aws_seconds"):
            if name in found:
                found[name] = None
        its["not_judged"] = (
            f"{len(earlier.runs)} earlier runs of this experiment at this place passed, and "
            f"{asked.last} are needed"
        )
    return {**found, **its}


def measured_in(summary: Mapping[str, Any], name: str) -> Any:
    """What an earlier run had measured of an objective; None: it was not held to it."""
    for each in summary["objectives"]:
        if each["name"] in (name, f"{name}{END}"):
            return each.get("measured_seconds", each.get("measured"))
    return None
