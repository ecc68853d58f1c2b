"""The lab's RDS: Aurora clusters and their instances, instances of their own, and snapshots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chaosaws_kms_lab import parameters
from chaosaws_kms_lab.calls import Call
from chaosaws_kms_lab.rds import (
    blue_green,
    clusters,
    db_snapshots,
    events,
    global_clusters,
    instances,
    limits,
    maintenance,
    proxies,
    restores,
    secondary,
    snapshots,
    subnet_groups,
)
from chaosaws_kms_lab.rds.service import DataPlane, Rds

__all__ = ["OPERATIONS", "DataPlane", "Rds", "handle"]

OPERATIONS: dict[str, Callable[[Rds, Call], dict[str, Any]]] = {
    **blue_green.OPERATIONS,
    **clusters.OPERATIONS,
    **db_snapshots.OPERATIONS,
    **events.OPERATIONS,
    **global_clusters.OPERATIONS,
    **instances.OPERATIONS,
    **maintenance.OPERATIONS,
    **proxies.OPERATIONS,
    **restores.OPERATIONS,
    **secondary.OPERATIONS,
    **snapshots.OPERATIONS,
    **subnet_groups.OPERATIONS,
}


def handle(rds: Rds, call: Call) -> dict[str, Any]:
    """Answers one call. Callers hold the world's lock."""
    parameters.check(call)
    limits.check(call.params)
    return OPERATIONS[call.operation](rds, call)
