"""Maintenance of a database: what RDS has pending, and the statuses in which it is applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.aws.instance import INSTANCE

__all__ = ["Pending", "pending"]

DATES = ("CurrentApplyDate", "AutoAppliedAfterDate", "ForcedApplyDate")
"""API reference, PendingMaintenanceAction: the date that counts first."""


class Pending(NamedTuple):
    """One action."""

    resource: str
    """The id of the cluster or of the instance."""
    action: str
    """`system-update`, say."""
    when: str
    """When it is applied, UTC; empty: RDS does not say."""

    def __str__(self) -> str:
        when = f", to be applied on {self.when} UTC" if self.when else ""
        return f"{self.action} of {self.resource}{when}"


def pending(aws: Aws, database: Database) -> list[Pending]:
    """What is pending for a database and its instances; raises AwsError.

    RDS may go on to name an action for some time that it has applied (Aurora User Guide,
    USER_UpgradeDBInstance.Maintenance). IAM: rds:DescribePendingMaintenanceActions.
    """
    found = []
    for name, values in _asked(database).items():
        only = {"Filters": [{"Name": name, "Values": values}]}
        operation = "DescribePendingMaintenanceActions"
        for each in aws.pages("rds", operation, only, "PendingMaintenanceActions"):
            resource = str(each.get("ResourceIdentifier", "")).rpartition(":")[2]
            details = each.get("PendingMaintenanceActionDetails") or ()
            found += [Pending(resource, str(its.get("Action", "")), _date(its)) for its in details]
    return list(dict.fromkeys(found))


def _asked(database: Database) -> dict[str, list[str]]:
    instances = {"db-instance-id": list(database.instances)} if database.instances else {}
    if database.kind is INSTANCE:
        return instances
    return {"db-cluster-id": [database.id], **instances}


def _date(its: Mapping[str, Any]) -> str:
    when = next((its[name] for name in DATES if its.get(name)), None)
    return f"{when:%Y-%m-%d %H:%M}" if when else ""
