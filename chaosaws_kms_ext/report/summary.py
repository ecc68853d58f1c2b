"""Judges a run: every checker's result on its history, composed into summary.json and a verdict.

Whatever is judged here can be judged again from the run's folder alone (`chaos kms report`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from chaosaws_kms_ext.checkers import (
    BROKEN,
    CHECKERS,
    OBJECTIVES,
    Checker,
    Field,
    Result,
    not_worse,
)
from chaosaws_kms_ext.checkers.base import every_load
from chaosaws_kms_ext.checkers.objectives import (
    Against,
    AgainstSeconds,
    Figure,
    Judged,
    JudgedSeconds,
)
from chaosaws_kms_ext.files import write_whole
from chaosaws_kms_ext.history import (
    MAIN,
    CannotBeJudged,
    Conditions,
    EventName,
    Utc,
    read_conditions,
    utc,
)
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.history.reader import read_what_is_there
from chaosaws_kms_ext.report.journal import read_journal
from chaosaws_kms_ext.report.run_files import SUMMARY
from chaosaws_kms_ext.report.setups import lab_of
from chaosaws_kms_ext.report.verdict import Course, Verdict, decide

__all__ = [
    "HEADER",
    "SCHEMA",
    "Judgement",
    "as_json",
    "judge",
    "judge_again",
    "measure",
    "read_run",
]

SCHEMA = 1


class LabConditions(TypedDict):
    """What the figures of a lab depend on."""

    speed: float
    profile: str
    tls: NotRequired[Literal[True]]
    recoverable_for: NotRequired[float]
    faults: NotRequired[list[dict[str, Any]]]


HEADER = {
    "schema": Field(Literal[1], "the version of this format"),
    "experiment": Field(str, "the name of the experiment"),
    "target": Field(Literal["lab", "aws"], "where it ran: `lab` or `aws`"),
    "lab": Field(
        LabConditions | None,
        "the lab's speed, timing profile, TLS, and the misbehaviours that were ordered of it; "
        "`recoverable_for`, if its clusters were recoverable for another number of AWS seconds "
        "than the 7 days of AWS: what follows from that is compressed; `null` on AWS",
    ),
    "verdict": Field(
        Literal["passed", "failed", "inconclusive", "aborted"],
        "`passed`, `failed`, `inconclusive` or `aborted`",
    ),
    "reasons": Field(list[str], "every reason why the verdict is not `passed`"),
    "started": Field(Utc, "UTC"),
    "ended": Field(Utc | None, "UTC; `null`: the run was killed"),
    "region": Field(str, "the AWS Region"),
    "cluster": Field(
        str | None,
        "the cluster that the run was about, or an instance that is no cluster's, by `db:` and its "
        "id; `null`: none",
    ),
    "key": Field(
        str | None,
        "the key of that cluster, or the key that the run was about; `null`: none",
    ),
    "loads": Field(
        dict[str, Any],
        "the fields of each other load, by name; `reader` is the one over the reader endpoint "
        "of the same cluster; one that ran on another cluster under the key before the fault is "
        "measured as `main` is; of one that the fault should not affect, those of the outage are "
        "`null`",
    ),
    "objectives": Field(
        list[Judged | JudgedSeconds | Against | AgainstSeconds],
        "each with its limit, what was measured, and whether it was met (`null`: could "
        "not be judged); `limit_aws_seconds` is the limit before it was divided by the lab's "
        "speed; `sense` says where a figure has to be at least the limit; "
        "`not_within_seconds`, that it had so long to happen and did not: the objective is missed; "
        "`loads`, whose figure it is, where it is not that of `main` alone: of loads on several "
        "clusters under the key the worst counts, of writes the sum; "
        "`…_against_earlier` is one that is held against earlier runs: `not_worse_than` has the "
        "`last` and the `percent` of the experiment, the `runs` with what each `measured`, and "
        "their `median` (`null`: there are fewer than `last`; then `not_judged` says so, and the "
        "verdict does not depend on it)",
    ),
}
"""The fields that no checker has, and what they are."""


@dataclass(frozen=True)
class Measured:
    """What all checkers found together."""

    figures: Mapping[str, Any]
    """Of the run and its load `main`, as summary.json has them at its top."""
    loads: Mapping[str, Mapping[str, Any]]
    """Of the others."""
    measured: Mapping[str, Figure]
    """The figures that objectives are compared with."""
    doubts: tuple[str, ...]
    causes: tuple[str, ...]
    failures: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Judgement:
    """A run's summary, its verdict, and what a person is shown of it."""

    summary: Mapping[str, Any]
    verdict: Verdict
    rows: Sequence[tuple[str, str]]

    def with_doubt(self, why: str) -> Judgement:
        """The same with one more reason, with which nothing passes."""
        verdict = self.verdict.with_doubt(why)
        return replace(self, verdict=verdict, summary={**self.summary, **verdict.as_json()})

    def write(self, folder: Path) -> None:
        """Into the run's folder, as summary.json; raises OSError."""
        write_whole(folder / SUMMARY, self.as_text())

    def as_text(self) -> str:
        """As summary.json has it."""
        return as_json(self.summary)


@dataclass(frozen=True)
class StoredRun:
    """What a run has recorded."""

    history: History
    conditions: Conditions
    damage: Sequence[str]
    """What is wrong with the records, or missing, each in a sentence."""
    journal: Mapping[str, Any]
    """Chaos Toolkit's; empty where there is none."""

    def judge(self, folder: Path) -> Judgement:
        """Judges it again; raises CannotBeJudged."""
        try:
            judgement = judge(self.history, self.conditions, self.damage)
            judgement.as_text().encode()
        except Exception as problem:  # the run wrote nothing of the kind: somebody changed it
            why = f"the records in {folder} are damaged: {problem!r:.200}"
            raise CannotBeJudged(why) from problem
        return judgement


def judge_again(folder: Path) -> Judgement:
    """The run that left this folder, from what it has recorded; raises CannotBeJudged."""
    return read_run(folder).judge(folder)


def read_run(folder: Path) -> StoredRun:
    """What the run that left this folder has recorded; raises CannotBeJudged."""
    history = folder / "history"
    conditions = read_conditions(history)
    if unknown := {*conditions.objectives, *conditions.earlier} - set(OBJECTIVES):
        raise CannotBeJudged(
            f"{folder} was run with the objective {', '.join(sorted(unknown))}, which is not here"
        )
    found, damage = read_what_is_there(history)
    if found.first(EventName.ENDED) is None and conditions.process.is_running:
        raise CannotBeJudged(
            f"the run in {folder} has not ended: its process {conditions.process.pid} runs"
        )
    journal, missing = read_journal(folder)
    return StoredRun(found, conditions, [*damage, *missing], journal)


def as_json(content: Mapping[str, Any]) -> str:
    """For a person to read as well."""
    return json.dumps(content, indent=2, default=str, ensure_ascii=False) + "\n"


def judge(history: History, conditions: Conditions, damage: Sequence[str] = ()) -> Judgement:
    """The run as summary.json has it.

    `damage`: what is wrong with the records, each in a sentence: nothing passes with it.
    """
    found = measure(history, conditions)
    objectives = [
        OBJECTIVES[name].evaluate(found.measured.get(OBJECTIVES[name].figure), conditions, limit)
        for name, limit in conditions.objectives.items()
    ]
    objectives += [
        not_worse.evaluate(
            its := OBJECTIVES[name], found.measured.get(its.figure), conditions, each
        )
        for name, each in conditions.earlier.items()
    ]
    course = Course.of(history).with_failures(found.failures)
    broken = [f"the checker {name} cannot be used: {why}" for name, why in BROKEN.items()]
    doubts = [*broken, *found.doubts, *damage, *course.doubts]
    verdict = decide(course, objectives, doubts, found.causes)
    settings = conditions.settings
    target = history.first(EventName.TARGET)
    ended = history.first(EventName.ENDED)
    summary = {
        "schema": SCHEMA,
        "experiment": conditions.experiment,
        "target": settings.target,
        "lab": lab_of(settings),
        **verdict.as_json(),
        "started": conditions.started,
        "ended": utc(history.anchor.utc(ended.at)) if ended else None,
        "region": conditions.region,
        "cluster": target.details["cluster"] if target else None,
        "key": target.details["key"] if target else None,
        **{name: figure for name, figure in found.figures.items() if name not in HEADER},
        "loads": found.loads,
        "objectives": objectives,
    }
    return Judgement(summary, verdict, found.rows)


def measure(
    history: History, conditions: Conditions, checkers: Mapping[str, Checker] = CHECKERS
) -> Measured:
    """Everything that is measured of a run; raises nothing that a checker raises."""
    results = [(each, _result(each, history, conditions)) for each in checkers.values()]
    figures: dict[str, Any] = {}
    loads: dict[str, dict[str, Any]] = {name: {} for name in every_load(history)}
    for _, result in results:
        figures.update(result.figures)
        for name, its in result.loads.items():
            loads.setdefault(name, {}).update(its)
    figures = {**loads.pop(MAIN), **figures}
    return Measured(
        figures=figures,
        loads=loads,
        measured={name: it for _, each in results for name, it in each.measured.items()},
        doubts=tuple(why for _, each in results for why in each.doubts),
        causes=tuple(why for _, each in results for why in each.causes),
        failures=tuple(why for _, each in results for why in each.failures),
        rows=tuple(_joined(row for _, each in results for row in each.rows)),
    )


def _result(checker: Checker, history: History, conditions: Conditions) -> Result:
    """What a checker found; one that fails leaves its own figures unknown, and is a doubt."""
    try:
        return checker.check(history, conditions)
    except Exception as problem:
        return Result(
            figures=dict.fromkeys(checker.fields),
            doubts=[f"the checker {checker.name} failed, its figures are not known: {problem!r}"],
        )


def _joined(rows: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Rows of one name as one, in the place of the first."""
    joined: list[tuple[str, str]] = []
    places: dict[str, int] = {}
    for name, said in rows:
        if name and name in places:
            place = places[name]
            joined[place] = (name, f"{joined[place][1]}; {said}")
            continue
        places[name] = len(joined)
        joined.append((name, said))
    return joined
