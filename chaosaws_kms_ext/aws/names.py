"""What we call and tag things on AWS, so that everybody finds them again, whoever made them."""

from __future__ import annotations

__all__ = [
    "ALLOW",
    "GROUP",
    "MOST_CALLS",
    "PREFIX",
    "SCHEDULER",
    "TAG",
    "schedule_arns",
    "schedules",
]

ALLOW = ("chaos:allow", "kms")
"""The tag that a key and its cluster have to carry before the key may be taken away."""

TAG = "chaos:run"
"""The tag with the run's id that everything carries which a run makes."""

PREFIX = "chaos-"
"""What the names of all of that begin with."""

GROUP = "chaos-kms"
"""The group of EventBridge Scheduler in which the schedules of the dead man's switch are."""

SCHEDULER = "scheduler.amazonaws.com"
"""Who assumes the switch's role."""

MOST_CALLS = 2
"""Calls that the undo of one fault can have."""


def schedules(key: str, calls: int = MOST_CALLS) -> tuple[str, ...]:
    """The schedules of a key whose undo has so many calls, the one first that is the lock."""
    key_id = key.rsplit("/", 1)[-1]
    undoing = (f"undo-{key_id}", *(f"undo-{n}-{key_id}" for n in range(2, calls + 1)))
    return *undoing, f"start-{key_id}"


def schedule_arns(key: str, calls: int = MOST_CALLS) -> tuple[str, ...]:
    """Of the group, and of the schedules of a key (its ARN) whose undo has so many calls."""
    _, partition, _, region, account, _ = key.split(":", 5)
    place = f"arn:{partition}:scheduler:{region}:{account}"
    named = (f"{place}:schedule/{GROUP}/{name}" for name in schedules(key, calls))
    return f"{place}:schedule-group/{GROUP}", *named
