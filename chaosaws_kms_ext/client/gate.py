"""Spaces the attempts to reconnect: a recovered database is noticed at once, and not stormed.

While attempts fail, one begins every `spacing` seconds, whoever makes it: a refused port gets no
more than that, and even when every attempt hangs a fresh one is never far away. Once one succeeds,
everybody may connect.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Spacing", "spacing_for"]


def spacing_for(deadline: float, users: int) -> float:
    """Seconds between two attempts of `users` users that each hang for up to `deadline` seconds."""
    return max(0.010, min(0.050, deadline / users))


@dataclass
class Spacing:
    """When the next attempt may begin; seconds of one clock."""

    spacing: float
    free: bool = True
    """The last attempt succeeded."""
    _next: float = 0.0

    def delay(self, now: float) -> float:
        """Reserves the next attempt and says in how many seconds it may begin."""
        if self.free:
            return 0.0
        begin = max(now, self._next)
        self._next = begin + self.spacing
        return begin - now

    def tell(self, succeeded: bool) -> None:
        """How an attempt ended."""
        self.free = succeeded
        if succeeded:
            self._next = 0.0
