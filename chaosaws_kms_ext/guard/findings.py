"""What the guard found, one line for each thing that it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "State", "ok", "refused", "unproven"]

State = Literal["ok", "refused", "unproven"]


@dataclass(frozen=True)
class Finding:
    """One check: what it is about, what came of it, and why, in one sentence."""

    about: str
    state: State
    why: str


def ok(about: str, why: str) -> Finding:
    """Nothing speaks against the fault."""
    return Finding(about, "ok", why)


def refused(about: str, why: str) -> Finding:
    """The fault must not be injected; `why` says what to do, too."""
    return Finding(about, "refused", why)


def unproven(about: str, why: str) -> Finding:
    """It cannot be known without changing something; that is said, and does not refuse."""
    return Finding(about, "unproven", why)
