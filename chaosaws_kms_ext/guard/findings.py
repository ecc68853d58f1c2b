"""What the guard found: one line for each check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "State", "ok", "refused", "unproven"]

State = Literal["ok", "refused", "unproven"]


@dataclass(frozen=True)
class Finding:
    """The result of one check: its subject, its state, and the reason in one sentence."""

    about: str
    state: State
    why: str


def ok(about: str, why: str) -> Finding:
    """Nothing speaks against the fault."""
    return Finding(about, "ok", why)


def refused(about: str, why: str) -> Finding:
    """The fault must not be injected; `why` also says what to do."""
    return Finding(about, "refused", why)


def unproven(about: str, why: str) -> Finding:
    """It cannot be known without changing something; this is reported, and does not refuse."""
    return Finding(about, "unproven", why)
