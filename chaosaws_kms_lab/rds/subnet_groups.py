"""DB subnet groups, for what makes one before its cluster: the lab has no networks, and no cluster
has to name a group that is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.rds import find
from chaosaws_kms_lab.rds.tables import PAGES
from chaosaws_kms_lab.world import Region, SubnetGroup

if TYPE_CHECKING:
    from chaosaws_kms_lab.rds.service import Rds

__all__ = ["OPERATIONS"]

DEFAULT = "default"
"""The group that is there without being made."""

FEWEST = 2
"""API reference, CreateDBSubnetGroup, DBSubnetGroupDoesNotCoverEnoughAZs: subnets in at least two
Availability Zones. The lab counts subnets."""


def create_db_subnet_group(rds: Rds, call: Call) -> dict[str, Any]:
    region, params = rds.world.region(call.region), call.params
    name = params["DBSubnetGroupName"].lower()
    if name in region.subnet_groups or name == DEFAULT:
        why = f"The DB subnet group '{name}' already exists."
        raise AwsError("DBSubnetGroupAlreadyExists", why)
    subnets = list(dict.fromkeys(params["SubnetIds"]))
    if len(subnets) < FEWEST:
        why = "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement."
        raise AwsError("DBSubnetGroupDoesNotCoverEnoughAZs", why)
    group = SubnetGroup(name, params["DBSubnetGroupDescription"], subnets)
    region.subnet_groups[name] = group
    return {"DBSubnetGroup": _describe(region, group)}


def describe_db_subnet_groups(rds: Rds, call: Call) -> dict[str, Any]:
    region = rds.world.region(call.region)
    found = list(region.subnet_groups.values())
    if wanted := call.params.get("DBSubnetGroupName"):
        found = [_group(region, wanted)]
    page, marker = PAGES.cut(found, call.params)
    return find.paged("DBSubnetGroups", [_describe(region, each) for each in page], marker)


def delete_db_subnet_group(rds: Rds, call: Call) -> dict[str, Any]:
    region = rds.world.region(call.region)
    group = _group(region, call.params["DBSubnetGroupName"])
    users = [each.id for each in region.databases() if each.subnet_group == group.name]
    if users:
        why = f"Cannot delete the subnet group '{group.name}': {users[0]} uses it."
        raise AwsError("InvalidDBSubnetGroupStateFault", why)
    del region.subnet_groups[group.name]
    return {}


def _group(region: Region, name: str) -> SubnetGroup:
    if name.lower() not in region.subnet_groups:
        why = f"DB subnet group '{name}' does not exist."
        raise AwsError("DBSubnetGroupNotFoundFault", why)
    return region.subnet_groups[name.lower()]


def _describe(region: Region, group: SubnetGroup) -> dict[str, Any]:
    return {
        "DBSubnetGroupName": group.name,
        "DBSubnetGroupDescription": group.description,
        "SubnetGroupStatus": "Complete",
        "Subnets": [{"SubnetIdentifier": each, "SubnetStatus": "Active"} for each in group.subnets],
        "DBSubnetGroupArn": region.arn("rds", f"subgrp:{group.name}"),
    }


OPERATIONS: dict[str, Callable[[Rds, Call], dict[str, Any]]] = {
    "CreateDBSubnetGroup": create_db_subnet_group,
    "DeleteDBSubnetGroup": delete_db_subnet_group,
    "DescribeDBSubnetGroups": describe_db_subnet_groups,
}
