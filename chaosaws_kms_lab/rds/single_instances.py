"""DB instances that are no cluster's: RDS for PostgreSQL, one server each.

Each is kept as a cluster of that one instance (world.py), so that its server, its states and its
key need no second state machine; no call tells of that cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chaosaws_kms_lab import aurora
from chaosaws_kms_lab.aurora import State
from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.rds import encryption, find
from chaosaws_kms_lab.rds.describe import describe_instance
from chaosaws_kms_lab.rds.tables import MODIFIABLE
from chaosaws_kms_lab.world import Cluster, Encryption, Instance, Region

if TYPE_CHECKING:
    from chaosaws_kms_lab.rds.service import Rds

__all__ = ["create", "delete", "modify", "start_or_stop", "wanted"]

ENGINE_VERSION = "16.4"
DEFAULT_SECURITY_GROUP = "sg-0123456789abcdef0"

REFUSED = (
    "MultiAZ",
    "ManageMasterUserPassword",
    "EnablePerformanceInsights",
    "CustomIamInstanceProfile",
    "TdeCredentialArn",
)
"""Parameters of CreateDBInstance that the lab does not do."""


def wanted(params: Mapping[str, Any]) -> bool:
    """Whether CreateDBInstance asks for one."""
    return "DBClusterIdentifier" not in params and params["Engine"] == find.SINGLE_ENGINE


def create(rds: Rds, call: Call) -> dict[str, Any]:
    """CreateDBInstance."""
    region, params = rds.world.region(call.region), call.params
    name = find.new_identifier(params["DBInstanceIdentifier"], "DBInstanceIdentifier")
    if name in region.instances:
        raise AwsError("DBInstanceAlreadyExists", "DB instance already exists")
    for parameter in REFUSED:
        if params.get(parameter):
            why = f"The lab does not do rds:{call.operation} with {parameter}."
            raise AwsError("InvalidParameterValue", why)
    resource_id = f"db-{find.resource_id()}"
    kept = _kept(rds, call, region, name, resource_id, _encryption(rds, call, resource_id))
    instance = Instance(
        id=name,
        arn=kept.arn,
        resource_id=resource_id,
        cluster=kept,
        instance_class=params["DBInstanceClass"],
        available_at=rds.now() + rds.world.profile.creating_instance,
        created=kept.created,
        tags=find.tags(params.get("Tags", [])),
    )
    kept.instances.append(instance)
    region.singles[name], region.instances[name] = kept, instance
    rds.start_when_possible(instance)
    rds.write_event("RDS-EVENT-0005", instance)
    return {"DBInstance": describe_instance(rds, instance)}


def start_or_stop(rds: Rds, call: Call, instance: Instance) -> dict[str, Any]:
    """StartDBInstance and StopDBInstance."""
    kept = instance.cluster
    find.check_single(call.operation, kept)
    if call.params.get("DBSnapshotIdentifier"):
        raise AwsError("InvalidParameterValue", "The lab stops an instance without a snapshot.")
    if call.operation == "StartDBInstance" and kept.encryption:
        encryption.unwrap(rds.world, kept.encryption)
    rds.request(kept, call.operation)
    return {"DBInstance": describe_instance(rds, instance)}


def modify(instance: Instance, call: Call) -> None:
    """ModifyDBInstance, as far as it is not as for a cluster's instance."""
    for parameter, attribute in MODIFIABLE.items():
        if parameter in call.params:
            setattr(instance.cluster, attribute, call.params[parameter])


def delete(rds: Rds, call: Call, instance: Instance) -> dict[str, Any]:
    """DeleteDBInstance."""
    kept, params = instance.cluster, call.params
    if kept.deletion_protection:
        raise AwsError(
            "InvalidParameterCombination",
            "Cannot delete protected DB Instance, please disable deletion protection and try "
            "again.",
        )
    if not params.get("SkipFinalSnapshot"):
        raise AwsError(
            "InvalidParameterCombination",
            "The lab deletes an instance that is no cluster's with SkipFinalSnapshot only.",
        )
    described = describe_instance(rds, instance) | {"DBInstanceStatus": "deleting"}
    region = rds.world.region(call.region)
    rds.servers.remove(instance)
    rds.servers.delete(kept)
    rds.release(kept.encryption)
    kept.instances.remove(instance)
    del region.singles[instance.id], region.instances[instance.id]
    rds.write_event("RDS-EVENT-0003", instance)
    return {"DBInstance": described}


# Internals


def _encryption(rds: Rds, call: Call, resource_id: str) -> Encryption | None:
    """Its grant and data key; raises for parameters that contradict each other."""
    params = call.params
    encrypted = bool(params.get("StorageEncrypted") or params.get("KmsKeyId"))
    if encrypted and params.get("StorageEncrypted") is False:
        why = "KmsKeyId can be given for an encrypted instance only."
        raise AwsError("InvalidParameterCombination", why)
    if not encrypted:
        return None
    context = {"aws:rds:db-id": resource_id}  # RDS User Guide, Overview.Encryption.Keys
    return encryption.take(rds.world, call, params.get("KmsKeyId"), context)


def _kept(
    rds: Rds, call: Call, region: Region, name: str, resource_id: str, held: Encryption | None
) -> Cluster:
    """The cluster of one that it is kept as."""
    params, now = call.params, rds.now()
    return Cluster(
        id=name,
        arn=region.arn("rds", f"db:{name}"),
        resource_id=resource_id,
        engine_version=params.get("EngineVersion", ENGINE_VERSION),
        master_username=params.get("MasterUsername", "postgres"),
        master_password=params.get("MasterUserPassword") or rds.servers.password,
        database=params.get("DBName"),
        port=rds.servers.choose_port(),
        state=State(aurora.CREATING, since=now, key_since=now),
        created=rds.world.clock.utc(),
        encryption=held,
        deletion_protection=params.get("DeletionProtection", False),
        backup_retention_days=params.get("BackupRetentionPeriod", 1),
        copy_tags_to_snapshot=params.get("CopyTagsToSnapshot", False),
        subnet_group=params.get("DBSubnetGroupName", "default").lower(),
        security_groups=params.get("VpcSecurityGroupIds", [DEFAULT_SECURITY_GROUP]),
        single=True,
    )
