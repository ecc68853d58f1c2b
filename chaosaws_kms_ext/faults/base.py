"""What a fault is: one way to lose a key. Each is a class in a file of its own, known by its name.

`docs/adding-a-fault.md` adds one. Nothing below this package knows any fault: the guard gets what a
fault needs as values (`Needs`), the undo journal, the watchdog and the switch its undo as data.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar, get_args

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.discovery import import_all
from chaosaws_kms_ext.iam.needs import Needs
from chaosaws_kms_ext.run import Instant, Refused
from chaosaws_kms_ext.undo.undo import Undo

__all__ = [
    "BROKEN",
    "FAULTS",
    "Fault",
    "On",
    "check_arguments",
    "fault",
    "load",
    "make",
    "named",
    "needs_of",
]


On = Literal["target", "own"]
"""Whose key a fault takes."""


class Fault(Protocol):
    """One way to lose a key."""

    name: ClassVar[str]
    """What `inject_fault` and `chaos kms policy --fault` call it."""
    on: ClassVar[On]
    """Whose key it takes: that of the run's cluster, which the guard has to allow; or only one that
    the run made itself."""
    needs: ClassVar[Needs]
    """The IAM actions on the key that injecting and undoing take."""

    @property
    def key(self) -> str:
        """The key's ARN."""

    @classmethod
    def of(cls, aws: Aws, key: str, /, *_: Any, **arguments: Any) -> Self:
        """The fault for this key (an ARN); further parameters are arguments of the action, but for
        those that can be given by name only: those the run gives (`make`).

        Reads here what its undo has to know. Raises AwsError or Refused.
        """

    def undo(self) -> Undo:
        """What puts it back, wherever and by whomever it is replayed."""

    def inject(self, aws: Aws) -> Instant | None:
        """Does it; raises AwsError. Returns since when the key is away, where it is not at once."""

    def shows(self, aws: Aws) -> bool:
        """Whether AWS says that it is done; raises AwsError."""


Kind = TypeVar("Kind", bound="type[Fault]")

FAULTS: dict[str, type[Fault]] = {}
"""Name → the fault."""


BROKEN: dict[str, str] = {}
"""The files of faults that cannot be imported, and why."""


def fault(kind: Kind) -> Kind:
    """Registers a fault by its name; a name twice is an error."""
    if kind.on not in get_args(On):
        raise ValueError(f"a fault is on one of {', '.join(get_args(On))}, not {kind.on!r}")
    if (name := kind.name) in FAULTS:
        raise ValueError(f"two faults are called {name}: {FAULTS[name]} and {kind}")
    FAULTS[name] = kind
    return kind


def named(name: str) -> type[Fault]:
    """The fault of this name; raises Refused."""
    if name not in FAULTS:
        known = ", ".join(sorted(FAULTS))
        if why := BROKEN.get(name.replace("-", "_")):
            raise Refused(f"the fault {name} cannot be used, its file is broken: {why}")
        raise Refused(f"there is no fault {name!r:.60}: {known}")
    return FAULTS[name]


def needs_of(names: Iterable[str]) -> tuple[list[Needs], list[Needs]]:
    """What the faults of these names need: those on the target, and those on a key of the run's."""
    kinds = [named(name) for name in names]
    target, own = ([each.needs for each in kinds if each.on == on] for on in get_args(On))
    return target, own


def make(
    kind: type[Fault],
    aws: Aws,
    key: str,
    arguments: Mapping[str, Any],
    material: bytes | None = None,
) -> Fault:
    """The fault for a key, with the arguments of an experiment; raises AwsError or Refused.

    What the run gives, to a fault that asks for it: `material`, the key's material if the run made
    it itself.
    """
    check_arguments(kind, arguments)
    given = {"material": material}
    return kind.of(aws, key, **arguments, **{name: given[name] for name in _given(kind)})


def check_arguments(kind: type[Fault], arguments: Mapping[str, Any]) -> None:
    """Raises Refused for arguments that the fault does not take, or lacks."""
    try:
        given = dict.fromkeys(_given(kind))
        inspect.signature(kind.of).bind(None, "", **arguments, **given)
    except TypeError as problem:
        raise Refused(f"the fault {kind.name} does not take these arguments: {problem}") from None


def _given(kind: type[Fault]) -> list[str]:
    """The names of what a fault gets of the run."""
    parameters = inspect.signature(kind.of).parameters.values()
    return [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]


def load(folders: Iterable[str], package: str) -> None:
    """Registers the faults in a package's folders; BROKEN says which cannot be."""
    BROKEN.update(import_all(folders, package))
