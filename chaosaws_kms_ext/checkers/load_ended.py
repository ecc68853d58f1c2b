"""Did a load end before it was stopped? Then nothing after that was recorded."""

from __future__ import annotations

from chaosaws_kms_ext.checkers.base import Checker, Result, checker
from chaosaws_kms_ext.history import END_OF_TIME, MAIN, SECOND, Conditions, Event, EventName
from chaosaws_kms_ext.history.history import History

__all__ = ["LoadEnded", "may_miss_records", "why_ended"]


@checker
class LoadEnded(Checker):
    """Names each load that did, and why: that explains why other figures are missing."""

    name = "load_ended"
    place = 10

    def check(self, history: History, conditions: Conditions) -> Result:
        """Reads the events of each load: that it died, and that it was stopped."""
        found = [why for load in history.loads for why in _why_died(history, load)]
        found += [why_ended(history, load) for load in history.loads]
        return Result(causes=[why for why in found if why])


def may_miss_records(history: History, load: str) -> bool:
    """Whether it ended by itself, also where it was started again, or one of its processes was
    absent: operations may have no record then."""
    died = history.first(EventName.LOAD_DIED, load=load)
    return died is not None or bool(history.absences(load)) or bool(why_ended(history, load))


def why_ended(history: History, load: str) -> str:
    """Why a load ended by itself and was not started again, in a sentence; empty if it did not."""
    stopped = history.first(EventName.LOAD_STOPPED, load=load)
    if stopped is None or stopped.details.get("ran", True):
        return ""
    return f"{_ended(load)}, so nothing after that was recorded: {_why(stopped)}"


def _why_died(history: History, load: str) -> list[str]:
    """The same for each time that the load died and was started again."""
    said = []
    deaths = history.all(EventName.LOAD_DIED, load=load)
    for died, (since, until) in zip(deaths, history.deaths(load), strict=True):
        seconds = f"for {(until - since) / SECOND:.1f} s" if until < END_OF_TIME else "after that"
        said.append(
            f"{_ended(load)} and was started again, so {seconds} nothing was recorded: {_why(died)}"
        )
    return said


def _ended(load: str) -> str:
    return "the load ended by itself" if load == MAIN else f"the load {load} ended by itself"


def _why(event: Event) -> str:
    return str(event.details.get("why") or "it said nothing")
