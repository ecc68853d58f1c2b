"""The passwords of the master users of clusters that a run made: in memory, and nowhere else."""

from __future__ import annotations

import secrets

__all__ = ["USER", "MasterPasswords"]

USER = "chaos"
"""The master user of every cluster that a run makes from nothing."""

STRENGTH = 24
"""Bytes of chance in a password; Aurora takes 8 to 41 letters (API reference, CreateDBCluster)."""


class MasterPasswords(dict[str, tuple[str, str]]):
    """Cluster id → (user, password); a part of the run, and never shown."""

    def new(self, cluster_id: str) -> tuple[str, str]:
        """A user and a password that nobody has, remembered for this cluster."""
        self[cluster_id] = (USER, secrets.token_urlsafe(STRENGTH))
        return self[cluster_id]

    def inherit(self, cluster_id: str, source_id: str) -> None:
        """A cluster restored from a snapshot has the user and the password of its source."""
        if source_id in self:
            self[cluster_id] = self[source_id]

    def __repr__(self) -> str:
        return f"MasterPasswords of {', '.join(self) or 'no cluster'}"
