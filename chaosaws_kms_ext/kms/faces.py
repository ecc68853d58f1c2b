"""The actions that inject faults, as they read in an experiment: its rules are made from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaosaws_kms_ext.faults import check_arguments, named
from chaosaws_kms_ext.inject.composition import Wanted, wanted
from chaosaws_kms_ext.run import Refused

__all__ = ["FACES", "TARGET", "Face"]

UNDO = "undo_faults"
"""The action that puts every fault back."""

TARGET = "target"
"""The key of this run's cluster, where a key can be named; an empty name is none."""


@dataclass(frozen=True)
class Face:
    """An action that injects a fault, as it reads in an experiment."""

    faults: Callable[[Mapping[str, Any]], Sequence[Wanted]]
    """What it injects with these arguments, in their order; raises Refused where they are wrong."""
    undo: str
    """The action that puts it back."""
    key_of: Callable[[Mapping[str, Any]], str] = lambda given: ""
    """Which secondary key of the cluster it takes; empty if it takes that of the storage."""


def _step(given: Mapping[str, Any]) -> Sequence[Wanted]:
    found = wanted(given.get("name", ""), given.get("arguments"), given.get("faults"))
    for each in found:
        check_arguments(named(each.name), each.arguments)
    return found


def _deletion(given: Mapping[str, Any]) -> Sequence[Wanted]:
    return [Wanted("schedule-key-deletion")] if given.get("key_id", TARGET) == TARGET else []


def _blink(given: Mapping[str, Any]) -> Sequence[Wanted]:
    found = wanted(given.get("fault", "disable-key"), None, None)
    for each in found:
        kind = named(each.name)
        if kind.on != "target":
            raise Refused(f"the fault of a blink is one of the run's cluster, not {each.name}")
        if kind.needs.reach == "store":
            raise Refused(
                f"the fault of a blink cannot be {each.name}: a key store takes minutes to "
                "connect, and until then its keys are away"
            )
        check_arguments(kind, each.arguments)
    return found


def _secondary(given: Mapping[str, Any]) -> Sequence[Wanted]:
    found = wanted(given.get("fault", "disable-key"), given.get("arguments"), None)
    for each in found:
        check_arguments(named(each.name), each.arguments)
    return found


FACES = {
    "inject_fault": Face(_step, UNDO),
    "disable_key": Face(lambda given: [Wanted("disable-key")], "enable_key"),
    "put_key_policy": Face(lambda given: [Wanted("put-key-policy")], "restore_key_policy"),
    "schedule_key_deletion": Face(_deletion, UNDO),
    "flap_key": Face(_blink, UNDO),
    "find_longest_blink": Face(_blink, UNDO),
    "lose_secondary_key": Face(_secondary, UNDO, lambda given: str(given.get("key_of", ""))),
}
"""Action → what it injects."""
