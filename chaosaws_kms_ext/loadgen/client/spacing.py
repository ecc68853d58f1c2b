"""The time between attempts to reconnect: short enough to see a recovery, without a flood."""

from __future__ import annotations

__all__ = ["spacing_for"]

SPACING = 0.1
"""Seconds."""

MOST_IN_FLIGHT = 40
"""Attempts that hang at the same time; each is a connection that the server may have to serve."""


def spacing_for(deadline: float) -> float:
    """Seconds between two attempts that each hang for up to `deadline` seconds.

    >>> spacing_for(2.0), spacing_for(60.0)
    (0.1, 1.5)
    """
    return max(SPACING, deadline / MOST_IN_FLIGHT)
