"""What the statuses of an Aurora cluster mean for one whose key was lost.

Source: Aurora User Guide, Overview.Encryption and accessing-monitoring ("Viewing DB cluster
status").
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["AVAILABLE", "RECOVERABLE", "RECOVERABLE_DAYS", "TERMINAL", "meaning"]

AVAILABLE = "available"
RECOVERABLE = "inaccessible-encryption-credentials-recoverable"
TERMINAL = "inaccessible-encryption-credentials"

RECOVERABLE_DAYS = 7
"""Days in which a cluster can be brought back from RECOVERABLE; then it is TERMINAL."""

MEANINGS = {
    AVAILABLE: "accessible",
    RECOVERABLE: "recoverable",
    TERMINAL: "terminal",
}

WORST_FIRST = ("terminal", "recoverable", "changing", "accessible")


def meaning(statuses: Iterable[str]) -> str:
    """The worst that they say: `terminal`, `recoverable`, `changing` or else `accessible`."""
    said = {MEANINGS.get(status, "changing") for status in statuses}
    return next((word for word in WORST_FIRST if word in said), "changing")
