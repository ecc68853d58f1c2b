"""What a checker is: one question about a run. Each is a class in a file that has its name.

`docs/adding-a-checker.md` adds one. Nothing else knows any checker: the summary, the table, the
objectives and the page of fields are made from those that are registered.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from chaosaws_kms_ext.checkers.objectives import OBJECTIVES, Figure, Objective
from chaosaws_kms_ext.discovery import import_all
from chaosaws_kms_ext.history import MAIN, READER, Conditions, EventName
from chaosaws_kms_ext.history.history import History

__all__ = [
    "BROKEN",
    "CHECKERS",
    "Checker",
    "Field",
    "Result",
    "checker",
    "cluster_beside",
    "every_load",
    "expects_outage",
    "hit_loads",
    "load",
    "never_injected",
    "of_load",
    "only_reads",
    "total",
    "undisturbed_until",
]


@dataclass(frozen=True)
class Result:
    """What a checker found."""

    figures: Mapping[str, Any] = field(default_factory=dict)
    """Of the run, as summary.json has them at its top."""
    loads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Load → its figures; those of `main` stand at the top, the others under `loads`."""
    measured: Mapping[str, Figure] = field(default_factory=dict)
    """The figures that objectives are compared with."""
    doubts: Sequence[str] = ()
    """What could not be measured, or cannot be trusted, each in a sentence: nothing passes with
    one."""
    causes: Sequence[str] = ()
    """What went wrong with the measuring itself: it explains what else is missing."""
    failures: Sequence[str] = ()
    """What is wrong with the run although no objective says so."""
    rows: Sequence[tuple[str, str]] = ()
    """For the table at the end: what it is, and what was found. Rows of one name are joined."""


@dataclass(frozen=True)
class Field:
    """A figure of summary.json."""

    kind: Any
    """What it may be, as a type; with None, if it may be not known or not apply."""
    doc: str
    of_load: bool = False
    """Whether each load has it, or only the run."""


class Checker(ABC):
    """One question about a run."""

    name: ClassVar[str]
    place: ClassVar[int] = 100
    """Where its rows and its reasons stand: those of the lowest place first."""
    objectives: ClassVar[Sequence[Objective]] = ()
    fields: ClassVar[Mapping[str, Field]] = {}
    """Its figures in summary.json: the page of fields and the schema are made from it."""

    @abstractmethod
    def check(self, history: History, conditions: Conditions) -> Result:
        """Answers the question from the records alone."""


Kind = TypeVar("Kind", bound="type[Checker]")

CHECKERS: dict[str, Checker] = {}
"""Name → the checker, the lowest place first."""

BROKEN: dict[str, str] = {}
"""The files of checkers that cannot be imported, and why: nothing passes without them."""


def checker(kind: Kind) -> Kind:
    """Registers a checker by its name, with its objectives; a name twice is an error.

    Raises ValueError and TypeError."""
    its: Checker = kind()
    if its.name in CHECKERS:
        raise ValueError(f"two checkers are called {its.name}")
    for field_name, each in its.fields.items():
        if not isinstance(each, Field):
            raise TypeError(f"the field {field_name} of {its.name} is no Field")
    if twice := set(its.fields) & {name for each in CHECKERS.values() for name in each.fields}:
        raise ValueError(f"two checkers have a field called {', '.join(sorted(twice))}")
    if twice := {each.name for each in its.objectives} & set(OBJECTIVES):
        raise ValueError(f"two checkers have an objective called {', '.join(sorted(twice))}")
    CHECKERS[its.name] = its
    ordered = sorted(CHECKERS.values(), key=lambda each: (each.place, each.name))
    CHECKERS.clear()
    CHECKERS.update({each.name: each for each in ordered})
    OBJECTIVES.clear()
    OBJECTIVES.update({its.name: its for each in ordered for its in each.objectives})
    return kind


def load(folders: Iterable[str], package: str) -> None:
    """Registers the checkers in a package's folders; BROKEN says which cannot be."""
    BROKEN.update(import_all(folders, package))


# What several of them ask


def every_load(history: History) -> tuple[str, ...]:
    """The loads, with `main` also where nothing is known of it."""
    return (MAIN, *(name for name in history.loads if name != MAIN))


def expects_outage(history: History, conditions: Conditions, load: str) -> bool:
    """Whether the fault is to hit this load; every other load should not be affected."""
    if not conditions.expects_outage:
        return False
    return load in (MAIN, READER) or _is_beside(history, load)


def hit_loads(history: History, conditions: Conditions) -> tuple[str, ...]:
    """The loads to which objectives hold alike, the worst of which counts: `main`, and those on
    other clusters that the fault is to hit. That of `reader` is the one of `main`."""
    others = (each for each in history.loads if each not in (MAIN, READER))
    return (MAIN, *(load for load in others if expects_outage(history, conditions, load)))


def cluster_beside(history: History, load: str) -> str:
    """The id of the cluster that a load is on, if that is another than the run's; else empty."""
    started = history.first(EventName.LOAD_STARTED, load=load)
    return "" if load in (MAIN, READER) or not started else started.details.get("cluster", "")


def _is_beside(history: History, load: str) -> bool:
    """Whether a load ran on another cluster under the key before that was taken away."""
    started = history.first(EventName.LOAD_STARTED, load=load)
    fault = history.first(EventName.INJECTED) or history.first(EventName.TARGET)
    if started is None or fault is None or not started.details.get("key"):
        return False
    before = fault.name == EventName.TARGET or started.at < fault.at
    return before and bool(started.details["key"] == fault.details.get("key"))


def undisturbed_until(history: History, fault_at: int) -> int:
    """Until when (ns) nothing was done to the load: until the fault, or another extension's action
    before it (a failover, say)."""
    other = history.first(EventName.OTHER_ACTION)
    return fault_at if other is None else min(fault_at, other.at)


def only_reads(load: str) -> bool:
    """Whether a load never writes, so that no write of its own can be lost."""
    return load == READER


def never_injected(history: History, conditions: Conditions) -> bool:
    """Whether a fault was expected and none was injected: nothing else is said of the loads."""
    return conditions.expects_outage and history.first(EventName.INJECTED) is None


def of_load(load: str, doubts: Iterable[str]) -> list[str]:
    """The doubts, with the name of a load that is not `main`."""
    return [why if load == MAIN else f"of the load {load}: {why}" for why in doubts]


def total(counts: Iterable[int | None]) -> int | None:
    """The sum; None: there is none, or one is not known."""
    each = list(counts)
    known = [count for count in each if count is not None]
    return sum(known) if known and len(known) == len(each) else None
