"""What a fault is: one way to lose a key. Each is a class in a file of its own, known by its name.

`docs/adding-a-fault.md` adds one. Nothing below this package knows any fault: the guard gets what a
fault needs as values (`Needs`), the undo journal, the watchdog and the switch its undo as data.
"""

from __future__ import annotations

import importlib.util
import pkgutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar

from chaosaws_kms_ext.aws import Aws
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.safety.needs import Needs
from chaosaws_kms_ext.safety.undo import Undo

__all__ = ["FAULTS", "Fault", "On", "fault", "load", "make", "named"]


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
        """The fault for this key (an ARN); further parameters are arguments of the action.

        Reads here what its undo has to know. Raises AwsError or Refused.
        """

    def undo(self) -> Undo:
        """What puts it back, wherever and by whomever it is replayed."""

    def inject(self, aws: Aws) -> None:
        """Does it; raises AwsError."""

    def shows(self, aws: Aws) -> bool:
        """Whether AWS says that it is done; raises AwsError."""


Kind = TypeVar("Kind", bound="type[Fault]")

FAULTS: dict[str, type[Fault]] = {}
"""Name → the fault."""


def fault(kind: Kind) -> Kind:
    """Registers a fault by its name; a name twice is an error."""
    if (name := kind.name) in FAULTS:
        raise ValueError(f"two faults are called {name}: {FAULTS[name]} and {kind}")
    FAULTS[name] = kind
    return kind


def named(name: str) -> type[Fault]:
    """The fault of this name; raises Refused."""
    if name not in FAULTS:
        raise Refused(f"there is no fault {name!r:.60}: {', '.join(sorted(FAULTS))}")
    return FAULTS[name]


def make(kind: type[Fault], aws: Aws, key: str, arguments: Mapping[str, Any]) -> Fault:
    """The fault for a key, with the arguments of an experiment; raises AwsError or Refused."""
    try:
        return kind.of(aws, key, **arguments)
    except TypeError as problem:
        raise Refused(f"the fault {kind.name} does not take these arguments: {problem}") from None


def load(folders: Iterable[str | Path], package: str = "") -> None:
    """Imports every module of these folders, so that the faults in them are registered."""
    for found in pkgutil.iter_modules(map(str, folders), f"{package}." if package else ""):
        if package:
            importlib.import_module(found.name)
            continue
        spec = found.module_finder.find_spec(found.name, None)
        assert spec
        assert spec.loader
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
