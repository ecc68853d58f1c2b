"""The actions that inject faults, as they read in an experiment: its rules are made from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["FACES", "TARGET", "Face"]

UNDO = "undo_faults"
"""The action that puts every fault back."""

TARGET = "target"
"""The key of this run's cluster, where a key can be named; an empty name is none."""


@dataclass(frozen=True)
class Face:
    """An action that injects a fault, as it reads in an experiment."""

    fault: Callable[[Mapping[str, Any]], str]
    """The fault's name, from the action's arguments; empty if it injects none with these."""
    undo: str
    """The action that puts it back."""
    key_of: Callable[[Mapping[str, Any]], str] = lambda given: ""
    """Which secondary key of the cluster it takes; empty if it takes that of the storage."""


FACES = {
    "inject_fault": Face(lambda given: str(given.get("name", "")), UNDO),
    "disable_key": Face(lambda given: "disable-key", "enable_key"),
    "put_key_policy": Face(lambda given: "put-key-policy", "restore_key_policy"),
    "schedule_key_deletion": Face(
        lambda given: "schedule-key-deletion" if given.get("key_id", TARGET) == TARGET else "", UNDO
    ),
    "lose_secondary_key": Face(
        lambda given: str(given.get("fault", "disable-key")),
        UNDO,
        lambda given: str(given.get("key_of", "")),
    ),
}
"""Action → what it injects."""
