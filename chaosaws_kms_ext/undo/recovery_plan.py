"""Bringing a cluster back once its key is: wait for it, or start it; a decision as a table."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Decision", "Plan"]

Decision = str
"""`wait`, `start`, `recovered` or `lost`."""


@dataclass(frozen=True)
class Plan:
    """How a cluster is brought back. Aurora's own documents say that it has to be started; it has
    been seen to come back by itself: so wait first, unless told otherwise."""

    strategy: str
    """`wait-then-start`, `start` or `self-only`."""
    self_restart_within: float
    """Seconds since the key was enabled after which `wait-then-start` starts the cluster."""

    def decide(self, meaning: str, since_enabled: float, start_called: bool) -> Decision:
        """What to do about a cluster that is `accessible`, `recoverable`, `changing`, `terminal`.

        >>> Plan("wait-then-start", 2700).decide("recoverable", 2700, start_called=False)
        'start'
        """
        if meaning == "terminal":
            return "lost"
        if meaning == "accessible":
            return "recovered"
        if meaning == "recoverable" and not start_called and self._may_start(since_enabled):
            return "start"
        return "wait"

    def _may_start(self, since_enabled: float) -> bool:
        if self.strategy == "start":
            return True
        return self.strategy == "wait-then-start" and since_enabled >= self.self_restart_within
