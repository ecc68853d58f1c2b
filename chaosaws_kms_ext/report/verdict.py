"""The verdict of a run: `passed` only if nothing speaks against it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.history.history import History

__all__ = ["Course", "Verdict", "decide", "of_journal", "of_loads"]

CLASSES = re.compile(r"^(?:(?:\w+\.)+\w+: )+")
"""What a traceback's last line begins with."""

NOT_HELD = "the steady-state hypothesis did not hold"


@dataclass(frozen=True)
class Course:
    """How the run went, apart from its figures."""

    refused: str = ""
    interrupted: bool = False
    by: str = ""
    """What interrupted it."""
    failures: tuple[str, ...] = ()
    """What failed of the steady-state hypothesis, the actions and the rollbacks, in sentences."""
    doubts: tuple[str, ...] = ()
    """What went wrong at the end, when the records were collected."""
    killed: bool = False
    """It ended without its last event."""

    def with_failures(self, failures: Iterable[str]) -> Course:
        """The same with more failures."""
        return replace(self, failures=(*self.failures, *failures))

    def details(self) -> dict[str, Any]:
        """For the event ENDED: what `of` finds again."""
        return {
            "interrupted": self.interrupted,
            "by": self.by,
            "failures": self.failures,
            "doubts": self.doubts,
        }

    @classmethod
    def of(cls, history: History) -> Course:
        """As the run's last event says it; a run without one was killed."""
        ended = history.first(EventName.ENDED)
        if ended is not None:
            said = ended.details
            try:
                return cls(
                    interrupted=bool(said["interrupted"]),
                    by=str(said["by"]),
                    failures=_sentences(said["failures"]),
                    doubts=_sentences(said["doubts"]),
                )
            except (KeyError, TypeError):
                return cls(doubts=("how the run ended is not known: its last event is damaged",))
        away = [
            f"the records do not show that the key {key} was put back: `chaos kms restore` does "
            "it, if nobody has"
            for key in _keys_away(history)
        ]
        return cls(killed=True, interrupted=True, failures=tuple(away))


@dataclass(frozen=True)
class Verdict:
    """`passed`, `failed`, `inconclusive`, `aborted` or `refused`, and why."""

    word: str
    reasons: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the exit status is 0."""
        return self.word == "passed"

    def with_doubt(self, why: str) -> Verdict:
        """The same with one more reason, with which nothing passes."""
        return Verdict("inconclusive" if self.passed else self.word, (*self.reasons, why))

    def as_json(self) -> dict[str, Any]:
        """As summary.json has it."""
        return {"verdict": self.word, "reasons": list(self.reasons)}


def _sentences(said: Any) -> tuple[str, ...]:
    """A list of texts; raises TypeError where it is none."""
    if not isinstance(said, list | tuple) or not all(isinstance(each, str) for each in said):
        raise TypeError
    return tuple(said)


def _keys_away(history: History) -> list[str]:
    """The keys that were taken away, or were to be, and not put back after that."""
    last: dict[str, str] = {}
    for event in history.events:
        if "seen_by" in event.details:
            continue  # others took it
        if event.name in (EventName.JOURNAL_OPENED, EventName.INJECTED, EventName.PUT_BACK):
            last[str(event.details.get("key"))] = event.name
    return [key for key, name in last.items() if name != EventName.PUT_BACK]


def decide(
    course: Course,
    objectives: Sequence[Mapping[str, Any]],
    doubts: Sequence[str],
    causes: Sequence[str] = (),
) -> Verdict:
    """The verdict: the first of these that applies.

    `doubts`: what could not be measured, or cannot be trusted, each in a sentence. `causes`:
    what went wrong with the measuring itself; it comes first, since the rest may follow from it.
    """
    if course.refused:
        return Verdict("refused", (course.refused,))
    if course.interrupted:
        why = f"the run was interrupted: {course.by}" if course.by else "the run was interrupted"
        if course.killed:
            why = "the run did not record its end: it was killed, or its last records are gone"
        return Verdict("aborted", (why, *causes, *course.failures, *doubts))
    missed = [f"objective missed: {in_words(o)}" for o in objectives if o["met"] is False]
    if course.failures or missed:
        return Verdict("failed", (*causes, *course.failures, *missed, *doubts))
    unknown = [
        f"objective {o['name']} could not be judged"
        for o in objectives
        if o["met"] is None and "not_judged" not in o
    ]
    if unknown or doubts or causes:
        return Verdict("inconclusive", (*causes, *doubts, *unknown))
    return Verdict("passed")


def in_words(objective: Mapping[str, Any]) -> str:
    """`rto was 70.2 s, and its limit is 60 s`; `was not within 48.2 s`, where that was measured."""
    name = f"{objective['name']}{of_loads(objective)}"
    least = "at least " if objective.get("sense") == "at least" else ""
    if "limit_seconds" in objective:
        late = objective.get("not_within_seconds")
        was = f"{objective['measured_seconds']:.1f}" if late is None else f"not within {late:.1f}"
        limit = f"{least}{objective['limit_seconds']:g}"
        return f"{name} was {was} s, and its limit is {limit} s"
    limit = f"{least}{objective['limit']}"
    return f"{name} was {objective['measured']}, and its limit is {limit}"


def of_loads(objective: Mapping[str, Any]) -> str:
    """The loads whose figure it is, if it is not that of `main` alone."""
    names = objective.get("loads") or ()
    return f" of the load{'s' if len(names) > 1 else ''} {', '.join(names)}" if names else ""


def of_journal(journal: dict[str, Any], status: str) -> Course:
    """What Chaos Toolkit's journal says of the course; `status` is what it set itself."""
    failures = []
    checked = journal.get("steady_states") or {}
    before, after = checked.get("before") or {}, checked.get("after") or {}
    not_held = bool(before) and before.get("steady_state_met") is not True
    if not_held:
        failures.append(f"{NOT_HELD} before the method{_unmet(before)}")
    elif after and after.get("steady_state_met") is not True:
        failures.append(f"{NOT_HELD} after the method{_unmet(after)}")
    elif not before and not after and status == "completed":
        failures.append("the steady-state hypothesis was never checked")
    declared = journal.get("experiment") or {}
    for part, runs, all_declared in (
        ("action", journal.get("run"), [] if not_held else declared.get("method")),
        ("rollback", journal.get("rollbacks"), declared.get("rollbacks")),
    ):
        before_part = len(failures)
        for ran in runs or []:
            if ran.get("status") != "succeeded":
                failures.append(f"{part} {ran['activity']['name']}: {_why(ran)}")
            elif "tolerance" in ran["activity"] and ran.get("tolerance_met") is not True:
                failures.append(f"{part} {_outside(ran)}")
        if status == "completed" and len(failures) == before_part:  # else it need not all have run
            missing = _names(all_declared) - Counter(
                each["activity"]["name"] for each in runs or []
            )
            failures += [f"{part} {name} did not run" for name in missing.elements()]
    if status == "failed" and not failures:
        failures.append("Chaos Toolkit says that the experiment failed")
    if journal.get("deviated") and not after:
        failures.append(f"{NOT_HELD} after the method")
    return Course(interrupted=status in ("interrupted", "aborted"), failures=tuple(failures))


def _names(activities: Sequence[dict[str, Any]] | None) -> Counter[str | None]:
    return Counter(each.get("name") or each.get("ref") for each in activities or [])


def _unmet(hypothesis: dict[str, Any]) -> str:
    """Which probe it was, as the end of a sentence; empty if none is to blame."""
    for probe in hypothesis.get("probes", []):
        name = probe["activity"]["name"]
        if probe.get("status") != "succeeded":
            return f": {name}: {_why(probe)}"
        if not probe.get("tolerance_met", True):
            return f": {_outside(probe)}"
    return ""


def _outside(probe: dict[str, Any]) -> str:
    name, output = probe["activity"]["name"], probe.get("output")
    return f"{name} returned {output!r}, and its tolerance is not met"


def _why(ran: dict[str, Any]) -> str:
    """The last line of the exception, which is its sentence."""
    lines = [str(line).strip() for line in ran.get("exception") or [] if str(line).strip()]
    return CLASSES.sub("", lines[-1]) if lines else str(ran.get("status", "did not run"))
