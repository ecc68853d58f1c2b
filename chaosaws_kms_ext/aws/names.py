"""What we call and tag things on AWS, so that everybody finds them again, whoever made them."""

from __future__ import annotations

__all__ = [
    "ALLOW",
    "GROUP",
    "MOST_CALLS",
    "MOST_CLUSTERS",
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

MOST_CLUSTERS = 20
"""Clusters under one key that a run can bring back, its own among them. Assumed to be enough: each
takes a schedule, a watcher and some calls before the fault."""


def schedules(key: str, calls: int = MOST_CALLS, clusters: int = MOST_CLUSTERS) -> tuple[str, ...]:
    """The schedules of a key whose undo has so many calls and that encrypts so many clusters, the
    one first that is the lock; by default all that there can be."""
    key_id = key.rsplit("/", 1)[-1]
    undoing = (f"undo-{key_id}", *(f"undo-{n}-{key_id}" for n in range(2, calls + 1)))
    starting = (f"start-{key_id}", *(f"start-{n}-{key_id}" for n in range(2, clusters + 1)))
    return *undoing, *starting


def schedule_arns(key: str, calls: int, clusters: int) -> tuple[str, ...]:
    """Of the group, and of the schedules of a key (its ARN), as `schedules`."""
    _, partition, _, region, account, _ = key.split(":", 5)
    place = f"arn:{partition}:scheduler:{region}:{account}"
    named = (f"{place}:schedule/{GROUP}/{name}" for name in schedules(key, calls, clusters))
    return f"{place}:schedule-group/{GROUP}", *named
