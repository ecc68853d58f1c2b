"""The passwords of the master users of clusters that a run made: in memory, and nowhere else."""

from __future__ import annotations

import secrets

from chaosaws_kms_ext.run import Run

__all__ = ["USER", "inherit", "new"]

USER = "chaos"
"""The master user of every cluster that a run makes from nothing."""

STRENGTH = 24
"""Bytes of chance in a password; Aurora takes 8 to 41 letters (API reference, CreateDBCluster)."""


def new(run: Run, cluster_id: str) -> tuple[str, str]:
    """A user and a password that nobody has, remembered for this cluster."""
    run.master_passwords[cluster_id] = (USER, secrets.token_urlsafe(STRENGTH))
    return run.master_passwords[cluster_id]


def inherit(run: Run, cluster_id: str, source_id: str) -> None:
    """A cluster restored from a snapshot has the user and the password of its source."""
    if source_id in run.master_passwords:
        run.master_passwords[cluster_id] = run.master_passwords[source_id]
