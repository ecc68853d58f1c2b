"""The lab's RDS: Aurora clusters, their instances, tags and events."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from chaosaws_kms_ext.lab import aurora
from chaosaws_kms_ext.lab.aurora import AVAILABLE, RECOVERABLE, TERMINAL, Effect, State
from chaosaws_kms_ext.lab.kms import key_for_aurora
from chaosaws_kms_ext.lab.world import Call, Cluster, Event, Fault, Instance, Paging, Region, World

__all__ = ["OPERATIONS", "DataPlane", "Rds"]

Handler = Callable[["Rds", Call], dict[str, Any]]

# Operation → the cluster statuses in which it is legal, as InvalidDBClusterStateFault tells.
LEGAL: dict[str, tuple[str, ...]] = {
    "StartDBCluster": ("stopped", RECOVERABLE),
    "StopDBCluster": (AVAILABLE,),
    "CreateDBInstance": (AVAILABLE, aurora.CREATING),
    # Instances "can be deleted without a start", and a cluster that will never come back too.
    "DeleteDBInstance": (AVAILABLE, "stopped", RECOVERABLE, TERMINAL, aurora.CREATING),
    "DeleteDBCluster": (AVAILABLE, "stopped", RECOVERABLE, TERMINAL, aurora.CREATING),
}

# Amazon RDS events, AuroraUserGuide/USER_Events.Messages: id → source, categories, message.
EVENTS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "RDS-EVENT-0170": ("db-cluster", ("creation",), "DB cluster created."),
    "RDS-EVENT-0171": ("db-cluster", ("deletion",), "DB cluster deleted."),
    "RDS-EVENT-0150": ("db-cluster", ("notification",), "DB cluster stopped."),
    "RDS-EVENT-0151": ("db-cluster", ("notification",), "DB cluster started."),
    "RDS-EVENT-0005": ("db-instance", ("creation",), "DB instance created."),
    "RDS-EVENT-0003": ("db-instance", ("deletion",), "DB instance deleted."),
    "RDS-EVENT-0418": (
        "db-instance", ("failure",),
        "Amazon RDS is unable to access the KMS encryption key for database instance {name}. "
        "This is likely due to the key being disabled or Amazon RDS being unable to access it. "
        "If this continues the database will be placed into an inaccessible state.",
    ),
    "RDS-EVENT-0419": (
        "db-instance", ("availability",),
        "Amazon RDS has been unable to access the KMS encryption key for database instance "
        "{name}. This database will be placed into an inaccessible state.",
    ),
    "RDS-EVENT-0420": (
        "db-instance", ("failure",),
        "Amazon RDS can now successfully access the KMS encryption key for database instance "
        "{name}.",
    ),
}  # fmt: skip

# Which events an effect of the state machine writes.
WRITES: dict[Effect, tuple[str, ...]] = {
    Effect.KEY_LOST: ("RDS-EVENT-0418", "RDS-EVENT-0419"),
    Effect.KEY_BACK: ("RDS-EVENT-0420",),
    Effect.STARTED: ("RDS-EVENT-0151",),
    Effect.STOPPED: ("RDS-EVENT-0150",),
}

ENGINE, ENGINE_VERSION = "aurora-postgresql", "15.15"
IDENTIFIER = re.compile(r"[a-z](-?[a-z0-9])*", re.IGNORECASE)
PAGES = Paging("MaxRecords", 100, 20, 100, "InvalidParameterValue", "InvalidParameterValue")
EVENTS_KEPT = timedelta(days=14)


class DataPlane(Protocol):
    """Who runs the servers behind the clusters (servers.py)."""

    def reserve_port(self) -> int: ...
    def create(self, cluster: Cluster) -> None: ...
    def perform(self, cluster: Cluster, effect: Effect) -> None: ...
    def ready(self, cluster: Cluster) -> bool: ...
    def delete(self, cluster: Cluster) -> None: ...


@dataclass
class Rds:
    """The service: its world and its servers."""

    world: World
    servers: DataPlane

    def handle(self, call: Call) -> dict[str, Any]:
        """Answers one call, with the world's lock held."""
        return OPERATIONS[call.operation](self, call)

    def tick(self) -> None:
        """Lets every cluster take the step that time and key ask for."""
        for region in self.world.regions():
            for cluster in list(region.clusters.values()):
                state, effects = aurora.step(
                    cluster.state,
                    region.key_usable_by(cluster),
                    cluster.state.phase == aurora.BOOTING and self.servers.ready(cluster),
                    self.world.clock.now(),
                    self.world.profile,
                )
                self._become(region, cluster, state, effects)

    def _become(
        self, region: Region, cluster: Cluster, state: State, effects: tuple[Effect, ...]
    ) -> None:
        cluster.state = state
        for effect in effects:
            self.servers.perform(cluster, effect)
            for event in WRITES.get(effect, ()):
                self._write(region, event, cluster)

    def _write(self, region: Region, event_id: str, about: Cluster | Instance) -> None:
        source, categories, message = EVENTS[event_id]
        subjects: list[Cluster | Instance] = [about]
        if isinstance(about, Cluster) and source == "db-instance":
            subjects = list(region.instances_of(about))
        for subject in subjects:
            region.events.append(
                Event(
                    id=event_id,
                    source_type=source,
                    source_id=subject.id,
                    source_arn=subject.arn,
                    categories=categories,
                    message=message.format(name=subject.id),
                    date=self.world.clock.utc(),
                )
            )


# Clusters


def create_db_cluster(rds: Rds, call: Call) -> dict[str, Any]:
    region, params = rds.world.region(call.region), call.params
    name = _new_identifier(params["DBClusterIdentifier"])
    if name in region.clusters:
        raise Fault("DBClusterAlreadyExistsFault", f"DB Cluster {name} already exists")
    if params["Engine"] != ENGINE:
        raise Fault(
            "InvalidParameterValue", f"The lab's engine is {ENGINE}, not {params['Engine']}"
        )
    key = None
    if params.get("StorageEncrypted") or params.get("KmsKeyId"):
        if params.get("StorageEncrypted") is False:
            raise Fault(
                "InvalidParameterCombination",
                "KmsKeyId can be given for an encrypted cluster only.",
            )
        key = key_for_aurora(region, rds.world, params.get("KmsKeyId"))
    now = rds.world.clock.now()
    cluster = Cluster(
        id=name,
        arn=region.arn("rds", f"cluster:{name}"),
        resource_id=f"cluster-{_resource_id()}",
        engine=ENGINE,
        engine_version=params.get("EngineVersion", ENGINE_VERSION),
        master_username=params.get("MasterUsername", "postgres"),
        database=params.get("DatabaseName"),
        port=rds.servers.reserve_port(),
        state=State(aurora.CREATING, since=now, key_since=now),
        created=rds.world.clock.utc(),
        key=key.id if key else None,
        deletion_protection=params.get("DeletionProtection", False),
        backup_retention_days=params.get("BackupRetentionPeriod", 1),
        tags=_tags(params.get("Tags", [])),
    )
    region.clusters[name] = cluster
    rds._write(region, "RDS-EVENT-0170", cluster)
    return {"DBCluster": _describe_cluster(region, cluster)}


def describe_db_clusters(rds: Rds, call: Call) -> dict[str, Any]:
    region = rds.world.region(call.region)
    found = list(region.clusters.values())
    if wanted := call.params.get("DBClusterIdentifier"):
        found = [_cluster(region, wanted)]
    found = _filtered(found, call, CLUSTER_FILTERS)
    clusters, marker = PAGES.cut(found, call.params)
    return _paged("DBClusters", [_describe_cluster(region, c) for c in clusters], marker)


def start_db_cluster(rds: Rds, call: Call) -> dict[str, Any]:
    region = rds.world.region(call.region)
    cluster = _legal_cluster(region, call)
    if not region.key_usable_by(cluster):
        raise Fault("KMSKeyNotAccessibleFault", "An error occurred accessing an AWS KMS key.")
    return _request(rds, region, cluster, call)


def stop_db_cluster(rds: Rds, call: Call) -> dict[str, Any]:
    region = rds.world.region(call.region)
    return _request(rds, region, _legal_cluster(region, call), call)


def delete_db_cluster(rds: Rds, call: Call) -> dict[str, Any]:
    region = rds.world.region(call.region)
    cluster = _legal_cluster(region, call)
    if cluster.deletion_protection:
        raise Fault(
            "InvalidParameterCombination",
            "Cannot delete protected Cluster, please disable deletion protection and try again.",
        )
    if region.instances_of(cluster):
        raise Fault(
            "InvalidDBClusterStateFault",
            "Cluster cannot be deleted, it still contains DB instances in non-deleting state.",
        )
    if not call.params.get("SkipFinalSnapshot"):
        raise Fault(
            "InvalidParameterCombination",
            "The lab takes no final snapshot: SkipFinalSnapshot must be true.",
        )
    rds.servers.delete(cluster)
    del region.clusters[cluster.id]
    rds._write(region, "RDS-EVENT-0171", cluster)
    return {"DBCluster": _describe_cluster(region, cluster) | {"Status": "deleting"}}


# Instances


def create_db_instance(rds: Rds, call: Call) -> dict[str, Any]:
    region, params = rds.world.region(call.region), call.params
    name = _new_identifier(params["DBInstanceIdentifier"])
    if "DBClusterIdentifier" not in params:
        raise Fault("InvalidParameterCombination", "The lab's instances belong to a DB cluster.")
    if name in region.instances:
        raise Fault("DBInstanceAlreadyExists", f"DB instance {name} already exists")
    cluster = _legal_cluster(region, call)
    if not region.key_usable_by(cluster):
        raise Fault("KMSKeyNotAccessibleFault", "An error occurred accessing an AWS KMS key.")
    instance = Instance(
        id=name,
        arn=region.arn("rds", f"db:{name}"),
        resource_id=f"db-{_resource_id()}",
        cluster=cluster,
        instance_class=params["DBInstanceClass"],
        available_at=rds.world.clock.now() + rds.world.profile.creating_instance,
        created=rds.world.clock.utc(),
        promotion_tier=params.get("PromotionTier", 1),
        tags=_tags(params.get("Tags", [])),
    )
    if not region.instances_of(cluster):
        rds.servers.create(cluster)
    region.instances[name] = instance
    rds._write(region, "RDS-EVENT-0005", instance)
    return {"DBInstance": _describe_instance(rds, region, instance)}


def describe_db_instances(rds: Rds, call: Call) -> dict[str, Any]:
    region = rds.world.region(call.region)
    found = list(region.instances.values())
    if wanted := call.params.get("DBInstanceIdentifier"):
        found = [_instance(region, wanted)]
    found = _filtered(found, call, INSTANCE_FILTERS)
    instances, marker = PAGES.cut(found, call.params)
    return _paged("DBInstances", [_describe_instance(rds, region, i) for i in instances], marker)


def delete_db_instance(rds: Rds, call: Call) -> dict[str, Any]:
    region = rds.world.region(call.region)
    instance = _instance(region, call.params["DBInstanceIdentifier"])
    _check_legal(call.operation, instance.cluster)
    described = _describe_instance(rds, region, instance) | {"DBInstanceStatus": "deleting"}
    del region.instances[instance.id]
    if not region.instances_of(instance.cluster):
        rds.servers.perform(instance.cluster, Effect.KILL)
    rds._write(region, "RDS-EVENT-0003", instance)
    return {"DBInstance": described}


# Tags and events


def add_tags_to_resource(rds: Rds, call: Call) -> dict[str, Any]:
    _tagged(rds, call).tags.update(_tags(call.params["Tags"]))
    return {}


def remove_tags_from_resource(rds: Rds, call: Call) -> dict[str, Any]:
    tags = _tagged(rds, call).tags
    for name in call.params["TagKeys"]:
        tags.pop(name, None)
    return {}


def list_tags_for_resource(rds: Rds, call: Call) -> dict[str, Any]:
    return {"TagList": _tag_list(_tagged(rds, call).tags)}


def describe_events(rds: Rds, call: Call) -> dict[str, Any]:
    params, now = call.params, rds.world.clock.utc()
    if params.get("SourceIdentifier") and not params.get("SourceType"):
        raise Fault(
            "InvalidParameterCombination",
            "The parameter SourceType must be given with SourceIdentifier.",
        )
    minutes = timedelta(minutes=params.get("Duration", 60))
    end = _aware(params.get("EndTime")) or now
    start = max(_aware(params.get("StartTime")) or end - minutes, now - EVENTS_KEPT)
    found = [
        event
        for event in rds.world.region(call.region).events
        if start <= event.date <= end
        and params.get("SourceIdentifier", event.source_id).lower() == event.source_id
        and params.get("SourceType", event.source_type) == event.source_type
        and (
            not params.get("EventCategories")
            or set(params["EventCategories"]) & set(event.categories)
        )
    ]
    events, marker = PAGES.cut(found, params)
    described = [
        {
            "SourceIdentifier": event.source_id,
            "SourceType": event.source_type,
            "SourceArn": event.source_arn,
            "Message": event.message,
            "EventCategories": list(event.categories),
            "Date": event.date,
        }
        for event in events
    ]
    return _paged("Events", described, marker)


# Finding


Named = TypeVar("Named", Cluster, Instance)


def _cluster(region: Region, reference: str) -> Cluster:
    return _named(region.clusters, reference, "DBClusterNotFoundFault", "DBCluster")


def _instance(region: Region, reference: str) -> Instance:
    return _named(region.instances, reference, "DBInstanceNotFound", "DBInstance")


def _named(known: Mapping[str, Named], reference: str, fault: str, kind: str) -> Named:
    """What an identifier, or exactly its ARN, names."""
    found = known.get(reference.rsplit(":", 1)[-1].lower())
    if found is None or (reference.startswith("arn:") and found.arn != reference):
        raise Fault(fault, f"{kind} {reference} not found.")
    return found


def _legal_cluster(region: Region, call: Call) -> Cluster:
    cluster = _cluster(region, call.params["DBClusterIdentifier"])
    _check_legal(call.operation, cluster)
    return cluster


def _check_legal(operation: str, cluster: Cluster) -> None:
    legal = LEGAL[operation]
    if cluster.status not in legal:
        raise Fault(
            "InvalidDBClusterStateFault",
            f"DbCluster {cluster.id} is in {cluster.status} state but expected it to be one of "
            f"{','.join(legal)}.",
        )


def _tagged(rds: Rds, call: Call) -> Cluster | Instance:
    region, arn = rds.world.region(call.region), call.params["ResourceName"]
    kind = arn.split(":")[5] if arn.count(":") >= 6 else ""
    if kind == "cluster":
        return _cluster(region, arn)
    if kind == "db":
        return _instance(region, arn)
    raise Fault("InvalidParameterValue", f"The lab knows no RDS resource {arn}")


CLUSTER_FILTERS: dict[str, Callable[[Any], set[str]]] = {
    "db-cluster-id": lambda cluster: {cluster.id, cluster.arn},
    "db-cluster-resource-id": lambda cluster: {cluster.resource_id},
    "engine": lambda cluster: {cluster.engine},
}
INSTANCE_FILTERS: dict[str, Callable[[Any], set[str]]] = {
    "db-cluster-id": lambda instance: {instance.cluster.id, instance.cluster.arn},
    "db-instance-id": lambda instance: {instance.id, instance.arn},
    "dbi-resource-id": lambda instance: {instance.resource_id},
    "engine": lambda instance: {instance.cluster.engine},
}


def _filtered(
    found: list[Any], call: Call, filters: dict[str, Callable[[Any], set[str]]]
) -> list[Any]:
    for wanted in call.params.get("Filters", []):
        if wanted["Name"] not in filters:
            raise Fault("InvalidParameterValue", f"Unrecognized filter name: {wanted['Name']}")
        values = filters[wanted["Name"]]
        found = [item for item in found if values(item) & set(wanted["Values"])]
    return found


# Describing


def _describe_cluster(region: Region, cluster: Cluster) -> dict[str, Any]:
    instances = region.instances_of(cluster)
    described = {
        "DBClusterIdentifier": cluster.id,
        "DBClusterArn": cluster.arn,
        "DbClusterResourceId": cluster.resource_id,
        "Status": cluster.status,
        "Engine": cluster.engine,
        "EngineVersion": cluster.engine_version,
        "EngineMode": "provisioned",
        "MasterUsername": cluster.master_username,
        "Endpoint": "127.0.0.1",
        "ReaderEndpoint": "127.0.0.1",
        "Port": cluster.port,
        "ClusterCreateTime": cluster.created,
        "StorageEncrypted": cluster.key is not None,
        "StorageEncryptionType": "none" if cluster.key is None else "sse-kms",
        "BackupRetentionPeriod": cluster.backup_retention_days,
        "DeletionProtection": cluster.deletion_protection,
        "DBClusterMembers": [
            {
                "DBInstanceIdentifier": instance.id,
                "IsClusterWriter": number == 0,
                "DBClusterParameterGroupStatus": "in-sync",
                "PromotionTier": instance.promotion_tier,
            }
            for number, instance in enumerate(instances)
        ],
        "TagList": _tag_list(cluster.tags),
    }
    if cluster.database:
        described["DatabaseName"] = cluster.database
    return described | _key_arn(region, cluster)


def _describe_instance(rds: Rds, region: Region, instance: Instance) -> dict[str, Any]:
    cluster = instance.cluster
    return {
        "DBInstanceIdentifier": instance.id,
        "DBInstanceArn": instance.arn,
        "DbiResourceId": instance.resource_id,
        "DBInstanceStatus": instance.status(rds.world.clock.now()),
        "DBInstanceClass": instance.instance_class,
        "DBClusterIdentifier": cluster.id,
        "Engine": cluster.engine,
        "EngineVersion": cluster.engine_version,
        "Endpoint": {"Address": "127.0.0.1", "Port": cluster.port},
        "InstanceCreateTime": instance.created,
        "StorageEncrypted": cluster.key is not None,
        "PromotionTier": instance.promotion_tier,
        "TagList": _tag_list(instance.tags),
    } | _key_arn(region, cluster)


def _key_arn(region: Region, cluster: Cluster) -> dict[str, str]:
    """Whatever the key was named by, RDS reports its ARN."""
    return {"KmsKeyId": region.arn("kms", f"key/{cluster.key}")} if cluster.key else {}


# Internals


def _request(rds: Rds, region: Region, cluster: Cluster, call: Call) -> dict[str, Any]:
    state, effects = aurora.request(cluster.state, call.operation, rds.world.clock.now())
    rds._become(region, cluster, state, effects)
    return {"DBCluster": _describe_cluster(region, cluster)}


def _aware(instant: datetime | None) -> datetime | None:
    """The wire gives UTC without saying so."""
    return instant if instant is None or instant.tzinfo else instant.replace(tzinfo=UTC)


def _new_identifier(name: str) -> str:
    if not IDENTIFIER.fullmatch(name) or len(name) > 63:
        raise Fault(
            "InvalidParameterValue",
            f"{name} is not a valid identifier: letters, digits and single hyphens, a letter "
            f"first, no hyphen last, at most 63.",
        )
    return name.lower()


def _resource_id() -> str:
    return "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(26))


def _tags(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {pair["Key"]: pair.get("Value", "") for pair in pairs}


def _tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _paged(name: str, items: list[Any], marker: str | None) -> dict[str, Any]:
    return {name: items} | ({"Marker": marker} if marker else {})


OPERATIONS: dict[str, Handler] = {
    "AddTagsToResource": add_tags_to_resource,
    "CreateDBCluster": create_db_cluster,
    "CreateDBInstance": create_db_instance,
    "DeleteDBCluster": delete_db_cluster,
    "DeleteDBInstance": delete_db_instance,
    "DescribeDBClusters": describe_db_clusters,
    "DescribeDBInstances": describe_db_instances,
    "DescribeEvents": describe_events,
    "ListTagsForResource": list_tags_for_resource,
    "RemoveTagsFromResource": remove_tags_from_resource,
    "StartDBCluster": start_db_cluster,
    "StopDBCluster": stop_db_cluster,
}
