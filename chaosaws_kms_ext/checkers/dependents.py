"""What else the key protects: when each failed without it, with which error, when it was back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker
from chaosaws_kms_ext.checkers.exactness import Durations, in_words
from chaosaws_kms_ext.checkers.objectives import Figure, NotWithin, Objective
from chaosaws_kms_ext.history import SECOND, Conditions, Event, EventName
from chaosaws_kms_ext.history.canaries import CanaryTry
from chaosaws_kms_ext.history.history import History

__all__ = ["Dependents"]

EVERY = 1.0
"""Seconds from one try of a canary to the next."""


class DependentFigures(TypedDict):
    """One of them; a figure that does not apply is None."""

    service: str
    kind: str
    name: str
    arn: str
    canary: str | None
    first_failure_seconds: float | None
    first_failure_bound: float | None
    error: str | None
    back_seconds: float | None
    back_bound: float | None
    why: str | None
    tries: dict[str, int]


@checker
class Dependents(Checker):
    """Looks at what the canaries tried before, while and after the key was away."""

    name = "dependents"
    place = 36
    objectives = (Objective("dependents_rto", "dependents_back_seconds", "rto", "seconds"),)
    fields = {
        "dependents": Field(
            list[DependentFigures] | None,
            "what else was found under the key, each with what its `canary` tried once a second "
            "(`null`: it was not tried, and `why` says why not); the first failure in seconds "
            "after the key was taken away, and its `error`; and when it was answered again for "
            "good, in seconds after the key was put back; how far either can be off (`…_bound`: "
            "the tries before and after); `why` one that was tried never failed; and how its "
            "`tries` ended. `null`: nobody looked",
        ),
        "dependents_unknown": Field(
            dict[str, str] | None,
            "services and other sources of which it is not known whether they have something "
            "under the key, each with the reason; `null`: nobody looked",
        ),
        "dependents_back_seconds": Field(
            float | None,
            "the longest of their `back_seconds`; `null` also where one was never back",
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """Only tries are judged: of what was not tried it is only said that it is there."""
        found = {each.details["arn"]: each.details for each in history.all(EventName.DEPENDENT)}
        canaries = {each.details["dependent"]: each.details for each in _canaries(history)}
        unknown = history.first(EventName.DEPENDENTS_UNKNOWN)
        if unknown is None and not found:
            return Result(
                figures=dict.fromkeys(self.fields), measured={"dependents_back_seconds": None}
            )
        its = _Judged(history, conditions)
        figures = [its.of(found[arn], canaries.get(arn, {})) for arn in found]
        worst = _worst(figures, its.never_back)
        causes = []
        if conditions.settings.canaries == "yes" and not history.canary_tries:
            causes.append("no canary has tried anything")
        return Result(
            figures={
                "dependents": figures,
                "dependents_unknown": dict(unknown.details["unknown"]) if unknown else {},
                "dependents_back_seconds": worst if isinstance(worst, float) else None,
            },
            measured={"dependents_back_seconds": worst},
            doubts=its.doubts,
            causes=causes,
            rows=list(_rows(figures, unknown)),
        )


@dataclass(frozen=True)
class _Span:
    """The key's absence, CLOCK_MONOTONIC ns, and how exact its ends are."""

    begin: int
    begin_within: float
    end: int | None
    end_within: float


class _Judged:
    """The tries of a run, judged for one dependent after the other."""

    def __init__(self, history: History, conditions: Conditions) -> None:
        self._settings = conditions.settings
        self._durations = Durations(EVERY + conditions.settings.query_deadline)
        self._own: list[str] = []
        self.never_back: list[float] = []
        """Seconds that those which were never back had, each."""
        self._tries: dict[str, list[CanaryTry]] = {}
        for each in history.canary_tries:
            self._tries.setdefault(each.dependent, []).append(each)
        self._away = _away(history)

    @property
    def doubts(self) -> list[str]:
        """What is not known, each in a sentence."""
        return [*self._own, *self._durations.doubts]

    def of(self, said: Mapping[str, Any], canary: Mapping[str, Any]) -> DependentFigures:
        """The figures of one, as the events describe it."""
        tries = sorted(self._tries.get(said["arn"], ()), key=lambda each: each.at)
        figures = DependentFigures(
            service=said["service"], kind=said["kind"], name=said["name"], arn=said["arn"],
            canary=canary.get("operation") or None,
            first_failure_seconds=None, first_failure_bound=None, error=None,
            back_seconds=None, back_bound=None, why=None,
            tries=dict(sorted(Counter(each.outcome for each in tries).items())),
        )  # fmt: skip
        if not canary.get("operation"):
            figures["why"] = canary.get("why_not") or "no canaries were wanted"
        elif self._away and tries:
            self._judge(figures, said, tries, self._away)
        return figures

    def _judge(
        self,
        figures: DependentFigures,
        said: Mapping[str, Any],
        tries: Sequence[CanaryTry],
        away: _Span,
    ) -> None:
        name = f"{said['kind']} {said['name']}"
        earliest = away.begin - round(away.begin_within * SECOND)
        before = [each for each in tries if each.done <= earliest]
        since = [each for each in tries if each.done > earliest]
        if not before or not before[-1].ok:
            how = before[-1].outcome if before else "was not tried"
            self._own.append(f"the {name} did not work before the key was taken away ({how})")
            return
        if all(each.ok for each in since):
            figures["why"] = self._why_never(name, said["keep"], away, tries[-1].done)
            return
        lost = _lost(since, away)
        if not lost:
            figures["why"] = "it failed, but not until the key was back"
            self._own.append(f"the {name} failed, but not until the key was back")
            return
        first = lost[0]
        last_ok = [*before, *since][len(before) + since.index(first) - 1]
        bound = (first.done - last_ok.at) / SECOND + away.begin_within
        seconds = max(round((first.at - away.begin) / SECOND, 3), 0.0)
        figures["error"] = first.outcome
        figures["first_failure_bound"] = round(bound, 3)
        figures["first_failure_seconds"] = self._durations.keep(
            f"the first failure of the {name}", seconds, bound
        )
        if away.end is not None:
            self._judge_return(figures, name, since, away.end, away.end_within)

    def _judge_return(
        self,
        figures: DependentFigures,
        name: str,
        since: Sequence[CanaryTry],
        end: int,
        within: float,
    ) -> None:
        """When it was answered for good; `end`: the key's return, CLOCK_MONOTONIC ns."""
        last = [each for each in since if not each.ok][-1]
        again = [each for each in since if each.at > last.at]
        if not again:
            lasted = round((last.done - end) / SECOND, 3)
            figures["why"] = f"it was not back {lasted:g} s after the key"
            self.never_back.append(lasted)
            return
        bound = (again[0].done - last.at) / SECOND + within
        seconds = max(round((again[0].done - end) / SECOND, 3), 0.0)
        figures["back_bound"] = round(bound, 3)
        figures["back_seconds"] = self._durations.keep(f"the return of the {name}", seconds, bound)

    def _why_never(self, name: str, keep: float | None, away: _Span, last: int) -> str:
        """Why it never failed: documented, or a doubt."""
        end = away.end if away.end is not None else last
        lasted = self._settings.aws_seconds((end - away.begin) / SECOND)
        if keep is None:
            return "its service goes on with a data key that it has, for a time that is not said"
        if lasted < keep:
            return (
                f"its service goes on for {keep:g} AWS seconds with a data key that it has, and "
                f"the key was away for {lasted:.0f}"
            )
        self._own.append(
            f"the {name} never failed, although its key was away for {lasted:.0f} AWS seconds: "
            "whether it needs the key is not known"
        )
        return "not known"


def _lost(since: Sequence[CanaryTry], away: _Span) -> list[CanaryTry]:
    """The failures without an answer between them, the last of which was when the key came back: a
    failure before those, after which it was answered, had another reason."""
    end = away.end
    cut = None if end is None else end - round(away.end_within * SECOND)
    lost: list[CanaryTry] = []
    for each in since:
        if cut is not None and each.done > cut:
            break
        lost = [] if each.ok else [*lost, each]
    return lost


def _away(history: History) -> _Span | None:
    """From the first fault to the last time that the key was put back."""
    begin = history.first(EventName.INJECTED)
    ends = list(history.all(EventName.PUT_BACK))
    if begin is None:
        return None
    end = ends[-1] if ends else None
    return _Span(begin.at, _within(begin), end.at if end else None, _within(end) if end else 0.0)


def _within(event: Event) -> float:
    return float(event.details.get("within_seconds", 0.0))


def _canaries(history: History) -> Iterator[Event]:
    return history.all(EventName.CANARY)


def _worst(figures: Sequence[DependentFigures], never: Sequence[float]) -> Figure:
    if never:
        return NotWithin(max(never))
    back = [each["back_seconds"] for each in figures if each["back_seconds"] is not None]
    failed = [each for each in figures if each["error"] is not None]
    return max(back) if back and len(back) == len(failed) else None


def _rows(figures: Sequence[DependentFigures], unknown: Event | None) -> Iterator[tuple[str, str]]:
    for each in figures:
        if each["canary"]:
            yield "dependents", f"{each['kind']} {each['name']} {_told(each)}"
    rest = Counter(each["kind"] for each in figures if not each["canary"])
    if rest:
        counted = ", ".join(f"{kind}: {number}" for kind, number in sorted(rest.items()))
        yield "dependents", f"not tried: {counted}"
    if unknown and unknown.details["unknown"]:
        yield "dependents", f"not known: {', '.join(unknown.details['unknown'])}"


def _told(each: DependentFigures) -> str:
    if each["error"] is None:
        return f"never failed ({each['why']})" if each["why"] else "was tried"
    after = in_words(each["first_failure_seconds"], each["first_failure_bound"])
    failed = f"failed after {after} ({each['error']})"
    if each["back_bound"] is None:
        return f"{failed}, {each['why'] or 'and the key was not put back'}"
    if each["back_seconds"] is None:
        return f"{failed}; when it was back is not known exactly enough"
    return f"{failed}, back {in_words(each['back_seconds'], each['back_bound'])} after the key"
