"""Blue/green deployments: that a cluster is part of one; no green environment is made."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.rds import find
from chaosaws_kms_lab.rds.tables import PAGES
from chaosaws_kms_lab.world import BlueGreenDeployment

if TYPE_CHECKING:
    from chaosaws_kms_lab.rds.service import Rds

__all__ = ["OPERATIONS"]


def create_blue_green_deployment(rds: Rds, call: Call) -> dict[str, Any]:
    region, params = rds.world.region(call.region), call.params
    if not params["Source"].startswith(region.arn("rds", "cluster:")):
        raise AwsError(
            "SourceClusterNotSupportedFault", "The source is the ARN of a DB cluster here."
        )
    source = find.cluster(region, params["Source"])
    find.check_legal(call.operation, source)
    if params["BlueGreenDeploymentName"] in {d.name for d in region.deployments.values()}:
        raise AwsError(
            "BlueGreenDeploymentAlreadyExistsFault",
            f"{params['BlueGreenDeploymentName']} already exists",
        )
    made = BlueGreenDeployment(
        id=f"bgd-{secrets.token_hex(8)}",
        name=params["BlueGreenDeploymentName"],
        source=source.arn,
        created=rds.world.clock.utc(),
        tags=find.tags(params.get("Tags", [])),
    )
    region.deployments[made.id] = made
    return {"BlueGreenDeployment": _describe_deployment(made)}


def describe_blue_green_deployments(rds: Rds, call: Call) -> dict[str, Any]:
    found = list(rds.world.region(call.region).deployments.values())
    if wanted := call.params.get("BlueGreenDeploymentIdentifier"):
        found = [_deployment(rds, call, wanted)]
    found = find.filtered(found, call, DEPLOYMENT_FILTERS)
    page, marker = PAGES.cut(found, call.params)
    return find.paged("BlueGreenDeployments", [_describe_deployment(d) for d in page], marker)


def delete_blue_green_deployment(rds: Rds, call: Call) -> dict[str, Any]:
    found = _deployment(rds, call, call.params["BlueGreenDeploymentIdentifier"])
    del rds.world.region(call.region).deployments[found.id]
    return {"BlueGreenDeployment": _describe_deployment(found) | {"Status": "DELETING"}}


DEPLOYMENT_FILTERS: dict[str, Callable[[Any], set[str]]] = {
    "blue-green-deployment-identifier": lambda deployment: {deployment.id},
    "blue-green-deployment-name": lambda deployment: {deployment.name},
    "source": lambda deployment: {deployment.source},
    "target": lambda deployment: set(),
}


def _deployment(rds: Rds, call: Call, wanted: str) -> BlueGreenDeployment:
    known = rds.world.region(call.region).deployments
    if wanted not in known:
        raise AwsError("BlueGreenDeploymentNotFoundFault", f"Deployment {wanted} not found.")
    return known[wanted]


def _describe_deployment(found: BlueGreenDeployment) -> dict[str, Any]:
    return {
        "BlueGreenDeploymentIdentifier": found.id,
        "BlueGreenDeploymentName": found.name,
        "Source": found.source,
        "Status": "AVAILABLE",
        "CreateTime": found.created,
        "TagList": find.tag_list(found.tags),
    }


OPERATIONS = {
    "CreateBlueGreenDeployment": create_blue_green_deployment,
    "DeleteBlueGreenDeployment": delete_blue_green_deployment,
    "DescribeBlueGreenDeployments": describe_blue_green_deployments,
}
