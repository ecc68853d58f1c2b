"""What an experiment may ask of figures, and how it says so."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

from chaosaws_kms_ext.checkers import not_worse
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.history import MAIN, Conditions
from chaosaws_kms_ext.history.earlier import EarlierJson, NotWorse

__all__ = [
    "OBJECTIVES",
    "Against",
    "AgainstSeconds",
    "BadObjective",
    "EachLoad",
    "Figure",
    "Judged",
    "JudgedSeconds",
    "NotWithin",
    "Objective",
    "read_not_worse",
    "read_objectives",
]


@dataclass(frozen=True)
class NotWithin:
    """It had so many seconds to happen, and it did not: that is measured, and meets no limit.

    Of figures in seconds only.
    """

    seconds: float


Single = float | int | NotWithin | None
"""None: could not be measured."""


class Judged(TypedDict):
    """An objective that was judged, as summary.json has it."""

    name: str
    limit: float
    measured: float | None
    met: bool | None
    sense: NotRequired[Literal["at least"]]
    loads: NotRequired[list[str]]


class JudgedSeconds(TypedDict):
    """The same of a figure in seconds."""

    name: str
    limit_seconds: float
    limit_aws_seconds: float
    measured_seconds: float | None
    not_within_seconds: NotRequired[float]
    met: bool | None
    sense: NotRequired[Literal["at least"]]
    loads: NotRequired[list[str]]


class Against(TypedDict):
    """An objective that is held against earlier runs; its limit is None if there are too few."""

    name: str
    limit: float | None
    measured: float | None
    met: bool | None
    sense: NotRequired[Literal["at least"]]
    loads: NotRequired[list[str]]
    not_worse_than: EarlierJson
    not_judged: NotRequired[str]


class AgainstSeconds(TypedDict):
    """The same of a figure in seconds."""

    name: str
    limit_seconds: float | None
    limit_aws_seconds: float | None
    measured_seconds: float | None
    not_within_seconds: NotRequired[float]
    met: bool | None
    sense: NotRequired[Literal["at least"]]
    loads: NotRequired[list[str]]
    not_worse_than: EarlierJson
    not_judged: NotRequired[str]


@dataclass(frozen=True)
class EachLoad:
    """A figure of each load that the fault hits: an objective holds for all, and the worst counts;
    or their sum does, where they are counts."""

    figures: Mapping[str, Single]
    """Load → its figure, that of `main` first."""
    summed: bool = False

    @classmethod
    def of(cls, figures: Mapping[str, Single], summed: bool = False) -> Figure:
        """The figure itself where `main` is the only load, or the only one to blame."""
        if list(figures) == [MAIN]:
            return figures[MAIN]
        each = cls(figures, summed)
        blamed = any(figure for load, figure in figures.items() if load != MAIN)
        return each if blamed or not summed else each.sum

    @property
    def sum(self) -> Single:
        """Of counts; None: there is none, or one is not known."""
        each = [it for it in self.figures.values() if isinstance(it, int)]
        return sum(each) if each and len(each) == len(self.figures) else None


Figure = Single | EachLoad
"""What an objective is compared with."""


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
        real = conditions.settings.real(asked) if self.unit == "seconds" else asked
        return self.against(measured, real, asked)

    def against(self, measured: Figure, real: float, asked: float) -> dict[str, Any]:
        """The same against a limit, which is `real` on this run's clock, and `asked` in AWS
        seconds; of a figure that is no duration, both are the number itself.

        `loads` names those whose figure it is, unless that is `main` alone."""
        if not isinstance(measured, EachLoad):
            return self._against(measured, real, asked)
        if measured.summed:
            found = self._against(measured.sum, real, asked)
            its = [load for load, figure in measured.figures.items() if figure]
        else:
            of_each = {
                load: self._against(figure, real, asked)
                for load, figure in measured.figures.items()
            }
            worst = min(of_each, key=lambda load: self._rank(of_each[load], measured.figures[load]))
            found, its = of_each[worst], [worst]
        return {**found, **({"loads": its} if its not in ([], [MAIN]) else {})}

    def _rank(self, found: Mapping[str, Any], figure: Single) -> tuple[int, float]:
        """The lower, the worse."""
        order = (False, None, True).index(found["met"])
        if isinstance(figure, NotWithin) or figure is None:
            return order, -math.inf
        return order, figure if self.at_least else -figure

    def _against(self, measured: Single, real: float, asked: float) -> dict[str, Any]:
        seconds = self.unit == "seconds"
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


FIELDS = {"name", "limit", not_worse.KEY}
"""Of an objective in an experiment."""

MOST = 1e12
"""A limit that is as good as none."""


class BadObjective(PlainError):
    """What an experiment asks for cannot be asked: one sentence."""


def read_objectives(asked: Sequence[Any]) -> dict[str, float | None]:
    """The objectives of an experiment that have a limit of its own, or None: the usual one; raises
    BadObjective.

    Each is a name, or `{"name": "availability", "limit": 0.9}`, or has `not_worse_than` beside its
    limit or in place of it.
    """
    return {
        known.name: limit
        for known, limit, held in _read(asked)
        if not (limit is None and known.limit is None and held)
    }


def read_not_worse(asked: Sequence[Any]) -> dict[str, NotWorse]:
    """The objectives that are held against earlier runs as well; raises BadObjective.

    `{"name": "rto", "not_worse_than": {"last": 5, "percent": 20}}`: not worse than the median of
    the last 5 runs by more than 20 %.
    """
    return {known.name: held for known, _, held in _read(asked) if held}


def _read(asked: Sequence[Any]) -> Iterator[tuple[Objective, float | None, NotWorse | None]]:
    """Each objective, its limit, and how it is held against earlier runs."""
    if not isinstance(asked, list | tuple):
        raise BadObjective(f"the objectives are a list, not {asked!r:.60}")
    found = set()
    for each in asked:
        its: Any = {"name": each} if isinstance(each, str) else each
        if not isinstance(its, Mapping) or "name" not in its or set(its) - FIELDS:
            raise BadObjective(
                "an objective is a name, or an object with a name and a limit (or "
                f"{not_worse.KEY}), not {each!r:.60}"
            )
        name, limit = its["name"], its.get("limit")
        if not isinstance(name, str) or name not in OBJECTIVES:
            raise BadObjective(f"no objective is called {name}: there are {', '.join(OBJECTIVES)}")
        if name in found:
            raise BadObjective(f"the objective {name} is there twice")
        found.add(name)
        known, held = OBJECTIVES[name], None
        if not_worse.KEY in its:
            try:
                held = not_worse.read(its[not_worse.KEY], known.at_least)
            except ValueError as wrong:
                raise BadObjective(f"the objective {name}: {wrong}") from None
        if limit is None and known.limit is None and held is None:
            raise BadObjective(
                f'the objective {name} needs a limit: {{"name": "{name}", "limit": …}}'
            )
        _check_limit(known, limit)
        yield known, limit, held


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
