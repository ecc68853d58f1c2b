"""Maintenance of a cluster that is pending: which, and applied at once, if somebody asks for it.

It is also applied when a cluster comes back that had lost its key, before its servers start: no
document says what Aurora does then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chaosaws_kms_lab.aurora import AVAILABLE
from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.rds import find
from chaosaws_kms_lab.rds.tables import PAGES
from chaosaws_kms_lab.world import Cluster

if TYPE_CHECKING:
    from chaosaws_kms_lab.rds.service import Rds

__all__ = ["OPERATIONS"]

ACTION = "system-update"
"""The only one of the lab's (Aurora User Guide, "Maintaining an Amazon Aurora DB cluster")."""

IMMEDIATE, NEXT, UNDO = "immediate", "next-maintenance", "undo-opt-in"
"""API reference, ApplyPendingMaintenanceAction, OptInType."""

# API reference, DescribePendingMaintenanceActions, Filters.
FILTERS: dict[str, Callable[[Any], set[str]]] = {
    "db-cluster-id": lambda its: set() if its.single else {its.id, its.arn},
    "db-instance-id": lambda its: {name for each in its.instances for name in (each.id, each.arn)},
}


def describe_pending_maintenance_actions(rds: Rds, call: Call) -> dict[str, Any]:
    region, wanted = rds.world.region(call.region), call.params.get("ResourceIdentifier")
    found = [each for each in region.databases() if each.maintenance_takes]
    if wanted:
        found = [each for each in found if each.arn == wanted]
    page, marker = PAGES.cut(find.filtered(found, call, FILTERS), call.params)
    return find.paged("PendingMaintenanceActions", [_describe(each) for each in page], marker)


def apply_pending_maintenance_action(rds: Rds, call: Call) -> dict[str, Any]:
    region, params = rds.world.region(call.region), call.params
    arn, how = params["ResourceIdentifier"], params["OptInType"]
    found = next((each for each in region.databases() if each.arn == arn), None)
    if found is None or not found.maintenance_takes or params["ApplyAction"] != ACTION:
        why = f"No pending action {params['ApplyAction']} of {arn} was found."
        raise AwsError("ResourceNotFoundFault", why)
    if how not in (IMMEDIATE, NEXT, UNDO):
        raise AwsError("InvalidParameterValue", f"The opt-in type is none: {how}")
    if how == IMMEDIATE:
        if found.status != AVAILABLE:
            why = f"DbCluster {found.id} is in {found.status} state but expected {AVAILABLE}."
            raise AwsError("InvalidDBClusterStateFault", why)
        rds.request(found, call.operation)
    found.maintenance_opt_in = "" if how == UNDO else how
    return {"ResourcePendingMaintenanceActions": _describe(found)}


def _describe(cluster: Cluster) -> dict[str, Any]:
    its = {"Action": ACTION, "Description": "Upgrade to the newest minor version of the system"}
    if cluster.maintenance_opt_in:
        its["OptInStatus"] = cluster.maintenance_opt_in
    return {"ResourceIdentifier": cluster.arn, "PendingMaintenanceActionDetails": [its]}


OPERATIONS: dict[str, Callable[[Rds, Call], dict[str, Any]]] = {
    "ApplyPendingMaintenanceAction": apply_pending_maintenance_action,
    "DescribePendingMaintenanceActions": describe_pending_maintenance_actions,
}
