"""Refuses databases that could not be recovered: those without the recoverable state.

Aurora User Guide, Overview.Encryption and aurora-cluster-stop-start, RDS User Guide,
Overview.Encryption: only a database that can be stopped has
`inaccessible-encryption-credentials-recoverable`; any other goes straight to the terminal state,
from which only a backup helps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.guard.findings import Finding, ok, refused
from chaosaws_kms_ext.guard.inventory import listed

__all__ = ["recoverable"]


def recoverable(aws: Aws, *clusters: Database) -> list[Finding]:
    """Whether each is one that can be recovered; raises AwsError."""
    groups, deployments = listed(aws, "GlobalClusters"), listed(aws, "BlueGreenDeployments")
    return [found for each in clusters for found in _of(each, groups, deployments)]


Described = Sequence[Mapping[str, Any]]


def _of(cluster: Database, groups: Described, deployments: Described) -> list[Finding]:
    why = [*cluster.why_not_recoverable(), *_of_others(cluster, groups, deployments)]
    lost = "after a loss of the key it could not be recovered"
    if why:
        return [refused("kind", f"{cluster.id} {each}: {lost}") for each in why]
    return [
        ok(
            "kind",
            f"{cluster.id} has the recoverable state: {cluster.engine}, no global database, "
            "replica, blue/green deployment or Serverless v1",
        )
    ]


def _of_others(cluster: Database, groups: Described, deployments: Described) -> list[str]:
    why = [
        f"is a member of the global database {group['GlobalClusterIdentifier']}"
        for group in groups
        if cluster.arn in {m.get("DBClusterArn") for m in group.get("GlobalClusterMembers", [])}
    ]
    named = cluster.raw.get("GlobalClusterIdentifier")
    if named and not why:
        why.append(f"is a member of the global database {named}")
    return why + [
        f"is part of the blue/green deployment {deployment['BlueGreenDeploymentName']}"
        for deployment in deployments
        if cluster.arn in (deployment.get("Source"), deployment.get("Target"))
    ]
