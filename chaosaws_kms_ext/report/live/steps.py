"""The steps of a run as a list to tick off: what is done, what is going on, what is to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from chaosaws_kms_ext.history import MAIN, Event, EventName

__all__ = ["Step", "steps_of"]

State = Literal["done", "failed", "now", "to come", "not done"]

FIRST, LAST = "everything is up", "measure and judge"
"""What a run does before the steps of its experiment, and after them."""


@dataclass(frozen=True)
class Step:
    """One of them."""

    part: str
    """`set-up`, `hypothesis`, `method`, `rollbacks` or `end`."""
    name: str
    state: State


def steps_of(events: Sequence[Event], over: bool) -> list[Step]:
    """All steps, in order; `over`: nothing will come any more."""
    known = {event.name for event in events}
    ready, concluded = EventName.READY in known, EventName.ENDED in known
    planned = _planned(events)
    began, ended = _seen(events, EventName.STEP_BEGAN), _seen(events, EventName.STEP_ENDED)
    stopped = any(
        e.name == EventName.LOAD_STOPPED and e.details.get("load") == MAIN for e in events
    )
    last_done = bool(planned) and planned[-1][0] in ended
    reached = max((n for n, (where, _) in enumerate(planned) if where in began), default=-1)
    found = [Step("set-up", FIRST, "done" if ready else "not done" if over else "now")]
    for number, (where, name) in enumerate(planned):
        state: State = "to come"
        if where in ended:
            state = "done" if ended[where] == "succeeded" else "failed"
        elif where in began:
            state = "failed" if over or concluded or stopped else "now"
        elif number < reached or over or concluded or stopped:
            state = "not done"
        found.append(Step(where[0], name, state))
    judging = (stopped or last_done or concluded) and not over
    end: State = "now" if judging else "to come"
    if over:
        end = "done" if concluded else "not done"
    return [*found, Step("end", LAST, end)]


Where = tuple[str, int]
"""The part of an experiment, and the place in it."""


def _planned(events: Sequence[Event]) -> list[tuple[Where, str]]:
    for event in events:
        if event.name == EventName.STEPS:
            listed = event.details.get("steps")
            return [
                ((str(each.get("part")), _place(each)), str(each.get("name")))
                for each in (listed if isinstance(listed, list) else [])
                if isinstance(each, dict)
            ]
    return []


def _seen(events: Sequence[Event], name: str) -> dict[Where, str]:
    return {
        (str(event.details.get("part")), _place(event.details)): str(event.details.get("status"))
        for event in events
        if event.name == name
    }


def _place(details: object) -> int:
    place = details.get("place") if isinstance(details, dict) else None
    return place if isinstance(place, int) else -1
