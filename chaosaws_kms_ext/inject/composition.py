"""Several faults of one step: read from the experiment, and checked before any is injected.

What cannot be composed is refused here, from the faults' own data alone: nothing is asked of AWS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaosaws_kms_ext.faults import Fault, named
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo.undo import UNDOES

__all__ = ["MOST", "Wanted", "check", "wanted"]

MOST = 5
"""Faults of one step. Assumed to be enough: there are fewer of one key that can be composed."""

FIELDS = {"name", "arguments"}
"""Of one fault in a list."""

POLICY_ALONE = frozenset({"kms:PutKeyPolicy"})
"""What KMS takes of all that a fault may call, in every state of a key (KMS Developer Guide,
key-state)."""

TAKEN_AFTER: Mapping[str, tuple[frozenset[str], str]] = {
    "kms:CancelKeyDeletion": (POLICY_ALONE, "pending deletion"),
    "kms:ConnectCustomKeyStore": (POLICY_ALONE, "Unavailable"),
    "kms:ImportKeyMaterial": (POLICY_ALONE, "without its material"),
}
"""A call of a fault's undo → the calls that may follow while that fault lasts, and what the key is
then. After any other fault the key is Enabled or Disabled, and KMS takes all.

Of a key that is Unavailable KMS takes more, but shows nothing of it until its store is connected;
and one that is pending deletion stays so when its store is disconnected (notes 12 and 13 there)."""


@dataclass(frozen=True)
class Wanted:
    """A fault as an experiment asks for it."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


def wanted(name: object, arguments: object, faults: object) -> list[Wanted]:
    """The faults of a step, from the arguments of `inject_fault`: one by `name`, or a list.

    Raises Refused for what is neither, and for faults that cannot be composed.
    """
    if faults is None:
        found = [_one({"name": name, "arguments": arguments})]
    elif name or arguments is not None:
        raise Refused("a step names one fault by `name`, or several by `faults`, and not both")
    elif not isinstance(faults, list) or not 0 < len(faults) <= MOST:
        raise Refused(
            f'`faults` is a list of 1 to {MOST} faults, as [{{"name": "disable-key"}}, '
            '{"name": "deny-rds"}]'
        )
    else:
        found = [_one(each) for each in faults]
    check([named(each.name) for each in found])
    return found


def check(kinds: Sequence[type[Fault]]) -> None:
    """Raises Refused for faults that cannot be injected on one key in this order.

    They must be different, of one key, and each such that KMS takes it while those before it last;
    and no undo may overwrite what another puts back.
    """
    names = [kind.name for kind in kinds]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise Refused(f"the fault {twice} is twice in one step: leave one out")
    if len({kind.on for kind in kinds}) > 1:
        target = ", ".join(kind.name for kind in kinds if kind.on == "target")
        own = ", ".join(kind.name for kind in kinds if kind.on == "own")
        raise Refused(
            f"{target} is for the key of the run's cluster, and {own} for one that the run made: "
            "make a step of its own for each key"
        )
    for place, later in enumerate(kinds):
        for earlier in kinds[:place]:
            _check_pair(earlier, later)


# Internals


def _one(said: object) -> Wanted:
    """Raises Refused for what names no fault."""
    if not isinstance(said, Mapping) or set(said) - FIELDS or "name" not in said:
        raise Refused(
            'a fault in a list is an object with its name, as {"name": "disable-key"}, and with '
            f"`arguments` if it takes some, not {said!r:.60}"
        )
    arguments = said.get("arguments")
    if arguments is not None and not isinstance(arguments, Mapping):
        raise Refused("the arguments of a fault are a JSON object")
    name = said["name"]
    if not isinstance(name, str):
        raise Refused(f"the name of a fault is a text, not {name!r:.60}")
    return Wanted(name, dict(arguments or {}))


def _check_pair(earlier: type[Fault], later: type[Fault]) -> None:
    for action in earlier.needs.undo:
        taken, state = TAKEN_AFTER.get(action, (frozenset(later.needs.inject), ""))
        if calls := set(later.needs.inject) - taken:
            raise Refused(
                f"{later.name} cannot follow {earlier.name}: KMS does not take "
                f"{', '.join(sorted(calls))} for a key that is {state}, or does not show it"
            )
    both = set(earlier.needs.undo) & set(later.needs.undo)
    if clash := sorted(filter(_overwrites, both)):
        raise Refused(
            f"{earlier.name} and {later.name} cannot be composed: both are undone by "
            f"{', '.join(clash)}, and each would overwrite what the other puts back"
        )


def _overwrites(action: str) -> bool:
    """Whether two such calls on one key can differ: then the order in which they are replayed
    decides what stays."""
    service, _, operation = action.partition(":")
    known = UNDOES.get((service, operation))
    return known is None or bool(known.params)
