"""How long the key can be away without an outage, by the blinks that were tried."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from chaosaws_kms_ext.checkers import exactness
from chaosaws_kms_ext.checkers.base import Checker, Field, Result, checker, undisturbed_until
from chaosaws_kms_ext.checkers.exactness import Durations
from chaosaws_kms_ext.checkers.objectives import Objective
from chaosaws_kms_ext.checkers.outage import all_windows
from chaosaws_kms_ext.history import END_OF_TIME, MAIN, Conditions, Event, EventName
from chaosaws_kms_ext.history.history import History

__all__ = ["Blinks"]


class BlinkFigures(TypedDict):
    """One blink: as it was asked for in AWS seconds, and as it was."""

    asked_aws_seconds: float
    key_unusable_seconds: float | None
    error_bound_seconds: float | None
    outage: bool | None


WITHOUT, WITH = "longest_blink_without_outage_seconds", "shortest_blink_with_outage_seconds"
WITHIN = "longest_blink_known_within_seconds"


@checker
class Blinks(Checker):
    """Measures each blink, and looks in the records whether an outage came of it."""

    name = "blinks"
    place = 35
    objectives = (Objective("longest_blink", "longest_blink", None, "seconds", at_least=True),)
    fields = {
        "blinks": Field(
            list[BlinkFigures] | None,
            "each time that the key was taken away for a short time only, in their order: for how "
            "long, and whether an outage came of it, by the cluster's status and the load's "
            "answers (`null`: the run ended before that was known)",
        ),
        "blink_steps": Field(int | None, "how many of them there were; `null`: none was asked for"),
        WITHOUT: Field(
            float | None, "the longest of them without an outage; `null`: there was none"
        ),
        WITH: Field(float | None, "the shortest with one, which ended when it was certain"),
        WITHIN: Field(
            float | None,
            "how exact that is: what lies between both, and how far each can be off; `null`: one "
            "of both is not known",
        ),
    }

    def check(self, history: History, conditions: Conditions) -> Result:
        """From the records alone; where they contradict what the run saw, that is a doubt."""
        began = list(history.all(EventName.BLINK_BEGAN))
        if not began:
            nothing = dict.fromkeys(self.fields)
            return Result(figures=nothing, measured={"longest_blink": None})
        durations = Durations(conditions.settings.status_poll)
        found = list(_each(history, conditions, began, durations))
        doubts = [*durations.doubts, *_contradictions(history, began, found)]
        lasted = [(each, each["key_unusable_seconds"]) for each in found]
        without = [s for each, s in lasted if s is not None and each["outage"] is False]
        with_one = [s for each, s in lasted if s is not None and each["outage"]]
        lower, upper = max(without, default=None), min(with_one, default=None)
        if lower is not None and upper is not None and upper <= lower:
            doubts.append(
                f"a blink of {upper:.2f} s had an outage, and one of {lower:.2f} s had none: how "
                "long the key can be away is not always the same"
            )
        within = _within(found, lower, upper)
        limit = conditions.settings.longest_key_unusable
        longest = max((seconds for _, seconds in lasted if seconds is not None), default=0.0)
        figures = {
            "blinks": found,
            "blink_steps": len(found),
            WITHOUT: lower,
            WITH: upper,
            WITHIN: within,
        }
        said = "none was without one" if lower is None else f"{lower:.2f} s"
        more = "no blink had one" if upper is None else f"{upper:.2f} s had one"
        return Result(
            figures=figures,
            measured={"longest_blink": 0.0 if lower is None and upper is not None else lower},
            doubts=doubts,
            failures=(
                [f"a blink lasted {longest:.1f} s, longer than CHAOS_MAX_KEY_UNUSABLE={limit:g}"]
                if longest > limit
                else []
            ),
            rows=[("longest blink without an outage", f"{said} ({more})")],
        )


# Internals


def _each(
    history: History, conditions: Conditions, began: list[Event], durations: Durations
) -> Iterator[BlinkFigures]:
    first = history.first(EventName.INJECTED)
    for place, begin in enumerate(began):
        until = began[place + 1].at if place + 1 < len(began) else END_OF_TIME
        injected = history.first(EventName.INJECTED, begin.at)
        if injected is None or injected.at >= until or first is None:
            injected = None
        back = history.first(EventName.PUT_BACK, injected.at) if injected else None
        over = history.first(EventName.BLINK, begin.at)
        name = f"blink_{place + 1}_seconds"
        seconds = durations.between(name, exactness.of(injected), exactness.of(back))
        known = injected is not None and over is not None and over.at < until
        yield {
            "asked_aws_seconds": float(begin.details["asked_aws_seconds"]),
            "key_unusable_seconds": seconds,
            "error_bound_seconds": durations.bounds.get(name),
            "outage": (
                _outage(
                    history,
                    conditions,
                    undisturbed_until(history, first.at),
                    injected.at,
                    until,
                )
                if known and injected and first
                else None
            ),
        }


def _outage(history: History, conditions: Conditions, usual: int, begin: int, end: int) -> bool:
    """Whether the cluster or the load shows an outage between two instants (ns); nothing was wrong
    until `usual`."""
    for event in history.all(EventName.STATUS):
        lost = event.details.get("meaning") in ("recoverable", "terminal")
        if lost and begin <= event.at < end:
            return True
    if MAIN not in history.recorded or not len(history.arrivals(MAIN)):
        return False
    _, windows = all_windows(history, conditions, MAIN, usual)
    return any(each.begin < end and (each.end is None or each.end > begin) for each in windows)


def _contradictions(
    history: History, began: list[Event], found: list[BlinkFigures]
) -> Iterator[str]:
    """What the run took for an outage and the records do not show, or the other way round: then
    its steps were not the right ones."""
    for place, (begin, each) in enumerate(zip(began, found, strict=True)):
        over = history.first(EventName.BLINK, begin.at)
        if over is None or each["outage"] is None:
            yield f"what came of blink {place + 1} is not known: the run ended before"
        elif over.details["outage"] and not each["outage"]:
            yield f"blink {place + 1} was taken for an outage, and the records show none"
        elif each["outage"] and not over.details["outage"]:
            yield f"the records show an outage after blink {place + 1}, which the run did not see"


def _within(found: list[BlinkFigures], lower: float | None, upper: float | None) -> float | None:
    if lower is None or upper is None:
        return None
    bounds = [
        each["error_bound_seconds"] or 0.0
        for each in found
        if each["key_unusable_seconds"] in (lower, upper)
    ]
    return round(abs(upper - lower) + sum(bounds), 3)
