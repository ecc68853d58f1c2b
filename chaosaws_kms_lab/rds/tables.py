"""What the documents say about RDS, as data: legal calls by status, events and messages."""

from __future__ import annotations

from chaosaws_kms_lab.aurora import (
    AVAILABLE,
    CREATING,
    INCOMPATIBLE_RESTORE,
    RECOVERABLE,
    STOPPED,
    TERMINAL,
    Effect,
)
from chaosaws_kms_lab.calls import Paging

__all__ = [
    "EVENTS",
    "LEGAL",
    "MODIFIABLE",
    "OF_INSTANCE",
    "PAGES",
    "SINGLE_LEGAL",
    "SNAPSHOT_LEGAL",
    "WRITES",
]

PAGES = Paging("MaxRecords", 100, 20, 100, "InvalidParameterValue", "InvalidParameterValue")

GONE = (RECOVERABLE, TERMINAL, INCOMPATIBLE_RESTORE)

# API reference, InvalidDBClusterStateFault of each operation, and the text in which RDS names the
# statuses that it expected. Operation → the cluster statuses in which it is legal.
LEGAL: dict[str, tuple[str, ...]] = {
    "CreateBlueGreenDeployment": (AVAILABLE,),
    "CreateDBClusterSnapshot": (AVAILABLE,),
    "CreateDBInstance": (AVAILABLE, CREATING),
    "CreateGlobalCluster": (AVAILABLE,),
    # A cluster that will never come back can be deleted too, and its instances without a start.
    "DeleteDBCluster": (AVAILABLE, STOPPED, CREATING, *GONE),
    "DeleteDBInstance": (AVAILABLE, STOPPED, CREATING, *GONE),
    "FailoverDBCluster": (AVAILABLE,),
    "ModifyDBCluster": (AVAILABLE,),
    "ModifyDBInstance": (AVAILABLE,),
    "PromoteReadReplicaDBCluster": (AVAILABLE,),
    "RebootDBInstance": (AVAILABLE,),
    # Knowledge Center, rds-aurora-inaccessible-state: what is terminal can be restored to a point
    # in time, given the key. AuroraUserGuide, aurora-cluster-stop-start: so can what is stopped.
    "RestoreDBClusterToPointInTime": (AVAILABLE, STOPPED, RECOVERABLE, TERMINAL),
    "StartActivityStream": (AVAILABLE,),
    "StartDBCluster": (STOPPED, RECOVERABLE),
    "StopActivityStream": (AVAILABLE,),
    "StopDBCluster": (AVAILABLE,),
}

# API reference, InvalidDBInstanceState. The same of an instance that is no cluster's.
SINGLE_LEGAL: dict[str, tuple[str, ...]] = {
    "CreateDBSnapshot": (AVAILABLE,),
    "DeleteDBInstance": (AVAILABLE, STOPPED, CREATING, *GONE),
    "ModifyDBInstance": (AVAILABLE,),
    "RebootDBInstance": (AVAILABLE,),
    "StartDBInstance": (STOPPED, RECOVERABLE),
    "StopDBInstance": (AVAILABLE,),
}

# API reference, InvalidDBClusterSnapshotStateFault. Operation → the snapshot's statuses.
SNAPSHOT_LEGAL: dict[str, tuple[str, ...]] = {
    "CopyDBClusterSnapshot": ("available",),
    "DeleteDBClusterSnapshot": ("available", "failed"),
    "RestoreDBClusterFromSnapshot": ("available",),
    "CopyDBSnapshot": ("available",),
    "DeleteDBSnapshot": ("available", "failed"),
}

# ModifyDBCluster: parameter → attribute of the cluster.
MODIFIABLE = {
    "BackupRetentionPeriod": "backup_retention_days",
    "CopyTagsToSnapshot": "copy_tags_to_snapshot",
    "DeletionProtection": "deletion_protection",
    "EngineVersion": "engine_version",
    "PreferredMaintenanceWindow": "maintenance_window",
    "ServerlessV2ScalingConfiguration": "serverless_v2",
}

# AuroraUserGuide, USER_Events.Messages: event → source, categories, message.
EVENTS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "RDS-EVENT-0170": ("db-cluster", ("creation",), "DB cluster created."),
    "RDS-EVENT-0171": ("db-cluster", ("deletion",), "DB cluster deleted."),
    "RDS-EVENT-0150": ("db-cluster", ("notification",), "DB cluster stopped."),
    "RDS-EVENT-0151": ("db-cluster", ("notification",), "DB cluster started."),
    "RDS-EVENT-0072": (
        "db-cluster", ("failover",), "Started same AZ failover to DB instance: {other}.",
    ),
    "RDS-EVENT-0071": (
        "db-cluster", ("failover",), "Completed failover to DB instance: {other}.",
    ),
    "RDS-EVENT-0069": (
        "db-cluster", ("failover",),
        "Cluster failover failed, check the health of your cluster instances and try again.",
    ),
    "RDS-EVENT-0074": (
        "db-cluster-snapshot", ("creation",), "Creating manual cluster snapshot.",
    ),
    "RDS-EVENT-0075": ("db-cluster-snapshot", ("creation",), "Manual cluster snapshot created."),
    "RDS-EVENT-0005": ("db-instance", ("creation",), "DB instance created."),
    "RDS-EVENT-0003": ("db-instance", ("deletion",), "DB instance deleted."),
    "RDS-EVENT-0087": ("db-instance", ("notification",), "DB instance stopped."),
    "RDS-EVENT-0088": ("db-instance", ("notification",), "DB instance started."),
    "RDS-EVENT-0040": ("db-snapshot", ("creation",), "Creating manual snapshot."),
    "RDS-EVENT-0042": ("db-snapshot", ("creation",), "Manual snapshot created."),
    "RDS-EVENT-0026": (
        "db-instance", ("maintenance",),
        "Applying off-line patches to DB instance.",
    ),
    "RDS-EVENT-0027": (
        "db-instance", ("maintenance",), "Finished applying off-line patches to DB instance.",
    ),
    "RDS-EVENT-0006": ("db-instance", ("availability",), "DB instance restarted."),
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
    Effect.MAINTAINING: ("RDS-EVENT-0026",),
    Effect.MAINTAINED: ("RDS-EVENT-0027",),
    Effect.STARTED: ("RDS-EVENT-0151",),
    Effect.STOPPED: ("RDS-EVENT-0150",),
}

# An event of a cluster → that of an instance that is no cluster's.
OF_INSTANCE = {
    "RDS-EVENT-0150": "RDS-EVENT-0087",
    "RDS-EVENT-0151": "RDS-EVENT-0088",
    "RDS-EVENT-0074": "RDS-EVENT-0040",
    "RDS-EVENT-0075": "RDS-EVENT-0042",
}
