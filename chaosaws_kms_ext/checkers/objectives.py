"""What an experiment may ask of figures, and how it says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.history import Conditions

__all__ = [
    "OBJECTIVES",
    "BadObjective",
    "Figure",
    "Judged",
    "JudgedSeconds",
    "NotWithin",
    "Objective",
    "read_objectives",
]


@dataclass(frozen=True)
class NotWithin:
    """It had so many seconds to happen, and it did not: that is measured, and meets no limit.

    Of figures in seconds only.
    """

    seconds: float


Figure = float | int | NotWithin | None
"""None: could not be measured."""


class Judged(TypedDict):
    """An objective that was judged, as summary.json has it."""

    name: str
    limit: float
    measured: float | None
    met: bool | None
    sense: NotRequired[Literal["at least"]]


class JudgedSeconds(TypedDict):
    """The same of a figure in seconds."""

    name: str
    limit_seconds: float
    limit_aws_seconds: float
    measured_seconds: float | None
    not_within_seconds: NotRequired[float]
    met: bool | None
    sense: NotRequired[Literal["at least"]]


@dataclass(frozen=True)
class Objective:
    """What an experiment may ask of a figure: to be at most `limit`, or at least."""

    name: str
    """What experiments call it."""
    figure: str
    """In the `measured` of the checker's result."""
    limit: str | float | None = 0
    """A setting in AWS seconds, by its name, or the number itself, if an experiment gives none;
    None: the experiment has to give one."""
    unit: Literal["seconds", "share", ""] = ""
    """Seconds are AWS seconds; a share is from 0 to 1."""
    at_least: bool = False

    def evaluate(
        self, measured: Figure, conditions: Conditions, limit: float | None = None
    ) -> dict[str, Any]:
        """The objective as summary.json has it; `met` is None where it could not be measured.

        `limit`: that of the experiment, if it gives one.
        """
        asked = self._limit(conditions) if limit is None else limit
        seconds = self.unit == "seconds"
        real = conditions.settings.real(asked) if seconds else asked
        met, late = None, {}
        if isinstance(measured, NotWithin):
            met, late = False, {"not_within_seconds": measured.seconds}
            measured = None
        elif measured is not None:
            met = measured >= real if self.at_least else measured <= real
        sense = {"sense": "at least"} if self.at_least else {}
        if not seconds:
            return {"name": self.name, "limit": real, "measured": measured, "met": met, **sense}
        return {
            "name": self.name,
            "limit_seconds": real,
            "limit_aws_seconds": asked,
            "measured_seconds": measured,
            **late,
            "met": met,
            **sense,
        }

    def _limit(self, conditions: Conditions) -> float:
        if isinstance(self.limit, str):
            return float(getattr(conditions.settings, self.limit))
        assert self.limit is not None  # `read_objectives` has refused it
        return self.limit


MOST = 1e12
"""A limit that is as good as none."""


class BadObjective(PlainError):
    """What an experiment asks for cannot be asked: one sentence."""


def read_objectives(asked: Sequence[Any]) -> dict[str, float | None]:
    """The objectives of an experiment, each with its own limit, or None; raises BadObjective.

    Each is a name, or `{"name": "availability", "limit": 0.9}`.
    """
    found: dict[str, float | None] = {}
    if not isinstance(asked, list | tuple):
        raise BadObjective(f"the objectives are a list, not {asked!r:.60}")
    for each in asked:
        its: Any = {"name": each} if isinstance(each, str) else each
        if not isinstance(its, Mapping) or "name" not in its or set(its) - {"name", "limit"}:
            raise BadObjective(
                f"an objective is a name, or an object with a name and a limit, not {each!r:.60}"
            )
        name, limit = its["name"], its.get("limit")
        if not isinstance(name, str) or name not in OBJECTIVES:
            raise BadObjective(f"no objective is called {name}: there are {', '.join(OBJECTIVES)}")
        if name in found:
            raise BadObjective(f"the objective {name} is there twice")
        known = OBJECTIVES[name]
        if limit is None and known.limit is None:
            raise BadObjective(
                f'the objective {name} needs a limit: {{"name": "{name}", "limit": …}}'
            )
        _check_limit(known, limit)
        found[name] = limit
    return found


def _check_limit(objective: Objective, limit: Any) -> None:
    if limit is None:
        return
    number = isinstance(limit, int | float) and not isinstance(limit, bool)
    if not number or not 0 <= limit <= MOST or (objective.unit == "share" and limit > 1):
        of = {"seconds": "AWS seconds", "share": "a share from 0 to 1", "": "a number"}
        raise BadObjective(
            f"the limit of {objective.name} is {of[objective.unit]}, not {limit!r:.60}"
        )


OBJECTIVES: dict[str, Objective] = {}
"""Name → the objective, of all checkers."""
