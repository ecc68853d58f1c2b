"""The time between attempts to reconnect: short enough to see a recovery, without a flood."""

from __future__ import annotations

__all__ = ["spacing_for"]

SPACING = 0.1
"""Seconds."""

MOST_IN_FLIGHT = 40
"""Attempts that hang at the same time; each is a connection that the server may have to serve."""


def spacing_for(deadline: float, workers: int = 1) -> float:
    """Seconds between two attempts of a process that each hang for up to `deadline` seconds.

    `workers`: processes of the load.

    >>> spacing_for(2.0), spacing_for(60.0), spacing_for(2.0, 4)
    (0.1, 1.5, 0.2)
    """
    return max(SPACING, deadline * workers / MOST_IN_FLIGHT)
