"""AWS::RDS types."""

from __future__ import annotations

from typing import Any

from chaosaws_kms_lab.calls import AwsError
from chaosaws_kms_lab.cloudformation.kinds import Kind, Maker, Properties
from chaosaws_kms_lab.cloudformation.template import Made

__all__ = ["KINDS"]

NEVER = frozenset({"failed", "inaccessible-encryption-credentials", "incompatible-restore"})
"""Statuses from which nothing becomes available by itself."""

CLUSTER = ("DBClusterIdentifier", "DescribeDBClusters", "DBClusters", "DBClusterNotFoundFault")
INSTANCE = ("DBInstanceIdentifier", "DescribeDBInstances", "DBInstances", "DBInstanceNotFound")
"""Its identifier, its look, what the look answers, and the error if there is none."""

MODIFIABLE = (
    "BackupRetentionPeriod", "CopyTagsToSnapshot", "DeletionProtection",
    "PreferredMaintenanceWindow", "ServerlessV2ScalingConfiguration",
)  # fmt: skip


def _create_group(maker: Maker, properties: Properties) -> Made:
    name = str(properties.get("DBSubnetGroupName") or maker.name(255)).lower()
    maker.call("rds", "CreateDBSubnetGroup", **{**properties, "DBSubnetGroupName": name})
    return Made(name)


def _delete_group(maker: Maker, made: Made, _: Properties) -> None:
    maker.call("rds", "DeleteDBSubnetGroup", DBSubnetGroupName=made.ref)


def _create_cluster(maker: Maker, properties: Properties) -> Made:
    name = str(properties.get("DBClusterIdentifier") or maker.name()).lower()
    maker.call("rds", "CreateDBCluster", **{**properties, "DBClusterIdentifier": name})
    maker.begin(name)
    found = _available(maker, CLUSTER, name)
    attributes = {
        "DBClusterArn": found["DBClusterArn"],
        "DBClusterResourceId": found["DbClusterResourceId"],
        "Endpoint.Address": found["Endpoint"],
        "Endpoint.Port": str(found["Port"]),
        "ReadEndpoint.Address": found["ReaderEndpoint"],
    }
    if secret := found.get("MasterUserSecret"):
        attributes["MasterUserSecret.SecretArn"] = secret["SecretArn"]
    return Made(name, attributes)


def _update_cluster(maker: Maker, made: Made, properties: Properties) -> None:
    changed = {name: properties[name] for name in MODIFIABLE if name in properties}
    identifier = made.ref
    maker.call(
        "rds", "ModifyDBCluster", DBClusterIdentifier=identifier, ApplyImmediately=True, **changed
    )
    _available(maker, CLUSTER, identifier)


def _delete_cluster(maker: Maker, made: Made, _: Properties) -> None:
    maker.call("rds", "DeleteDBCluster", DBClusterIdentifier=made.ref, SkipFinalSnapshot=True)
    _gone(maker, CLUSTER, made.ref)


def _create_instance(maker: Maker, properties: Properties) -> Made:
    name = str(properties.get("DBInstanceIdentifier") or maker.name()).lower()
    maker.call("rds", "CreateDBInstance", **{**properties, "DBInstanceIdentifier": name})
    maker.begin(name)
    found = _available(maker, INSTANCE, name)
    return Made(
        name,
        {
            "DBInstanceArn": found["DBInstanceArn"],
            "DbiResourceId": found["DbiResourceId"],
            "Endpoint.Address": found["Endpoint"]["Address"],
            "Endpoint.Port": str(found["Endpoint"]["Port"]),
        },
    )


def _delete_instance(maker: Maker, made: Made, properties: Properties) -> None:
    alone = {} if "DBClusterIdentifier" in properties else {"SkipFinalSnapshot": True}
    maker.call("rds", "DeleteDBInstance", DBInstanceIdentifier=made.ref, **alone)
    _gone(maker, INSTANCE, made.ref)


def _available(maker: Maker, kind: tuple[str, str, str, str], name: str) -> dict[str, Any]:
    """What is said of a cluster or an instance, once it is available."""
    identifier, operation, items, _ = kind
    found: dict[str, Any] = {}

    def over() -> bool:
        found.update(maker.call("rds", operation, **{identifier: name})[items][0])
        if found["Status" if kind is CLUSTER else "DBInstanceStatus"] in NEVER:
            raise AwsError("NotStabilized", f"{name} is {found}")
        return bool(found["Status" if kind is CLUSTER else "DBInstanceStatus"] == "available")

    maker.wait(name, over)
    return found


def _gone(maker: Maker, kind: tuple[str, str, str, str], name: str) -> None:
    identifier, operation, _, code = kind
    maker.wait(name, lambda: maker.gone(code, "rds", operation, **{identifier: name}))


KINDS = {
    "AWS::RDS::DBCluster": Kind(_create_cluster, _delete_cluster, _update_cluster, MODIFIABLE),
    "AWS::RDS::DBInstance": Kind(_create_instance, _delete_instance),
    "AWS::RDS::DBSubnetGroup": Kind(_create_group, _delete_group),
}
