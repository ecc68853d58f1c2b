"""An undo as data: the calls that put things back, and how to see that they did.

A fault makes one before it acts. It goes to the journal as JSON, and whoever finds it there can
replay it without knowing the fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Call", "Check", "Undo"]


@dataclass(frozen=True)
class Call:
    """One AWS call, e.g. `Call("kms", "EnableKey", {"KeyId": …})`."""

    service: str
    operation: str
    params: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "service": self.service,
            "operation": self.operation,
            "params": dict(self.params),
        }

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> Call:
        """The opposite of `as_json`."""
        return cls(said["service"], said["operation"], said["params"])


@dataclass(frozen=True)
class Check:
    """A call whose answer has `equals` at the JMESPath `jmespath` once things are back."""

    call: Call
    jmespath: str
    equals: Any


@dataclass(frozen=True)
class Undo:
    """What puts one fault back."""

    calls: tuple[Call, ...]
    checks: tuple[Check, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "calls": [call.as_json() for call in self.calls],
            "checks": [
                {"call": c.call.as_json(), "jmespath": c.jmespath, "equals": c.equals}
                for c in self.checks
            ],
        }

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> Undo:
        """The opposite of `as_json`."""
        return cls(
            calls=tuple(Call.of_json(call) for call in said["calls"]),
            checks=tuple(
                Check(Call.of_json(c["call"]), c["jmespath"], c["equals"]) for c in said["checks"]
            ),
        )
