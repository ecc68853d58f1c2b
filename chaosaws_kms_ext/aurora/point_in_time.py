"""Actions that restore a cluster as it was at its latest restorable time, from automated backups.

Those are under the key of their cluster. While it is away they cannot be restored, and once it is
back they can, also where the cluster itself is lost for good: "You can restore the cluster from a
backup or you can perform a point in time recovery (PITR). Each of these methods requires that the
AWS KMS key is already activated. If the AWS KMS key is deleted or lost, then the data is
unrecoverable" (AWS Knowledge Center, rds-aurora-inaccessible-state; the same in the Aurora User
Guide, Overview.Encryption.Keys).
"""

from __future__ import annotations

from typing import Any

from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities
from chaosaws_kms_ext.aurora.described import described
from chaosaws_kms_ext.resources import create

__all__ = ["restore_latest", "restore_latest_is_refused"]


def restore_latest(
    cluster_id: str = "",
    key_id: str = "",
    name: str = "latest",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """Restore a cluster as of its latest restorable time into a new one, for this run.

    Records `restore-ordered` and `restored`, and waits, as `restore_cluster` does. The latest
    restorable time of a cluster that has lost its key is from before that.

    Parameters
    ----------
    cluster_id : whose automated backups are restored; by default the cluster of this run.
    key_id : the new cluster's key; by default that of the old one, which has to be usable in any
        case.
    name : what it is called in this run: at most 30 letters, digits and single hyphens.

    Returns `cluster`, `instance`, `key` (ARN) and `address`. Raises ActivityFailed, also when the
    cluster turns out to be under another key. IAM: rds:RestoreDBClusterToPointInTime,
    rds:CreateDBInstance, rds:AddTagsToResource, rds:DescribeDBClusters, rds:DescribeDBInstances,
    and the use of the keys through RDS.
    """
    with activities.plainly(configuration) as run:
        source = cluster_id or activities.own_cluster_id(run)
        return described(create.restore_latest(run, source, key_id, name))


def restore_latest_is_refused(
    cluster_id: str = "",
    name: str = "doomed",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """See that no point in time of a cluster can be restored while its key is away.

    RDS refuses it (KMSKeyNotAccessibleFault: API reference, RestoreDBClusterToPointInTime), or
    takes it and the cluster becomes inaccessible or fails. What was made is removed in any case.

    Returns `refused` (true), `why`, and `code`: RDS' error code, or the cluster's status. Raises
    ActivityFailed when the cluster becomes available. IAM: as `restore_latest` and `clean_up`.
    """
    with activities.plainly(configuration) as run:
        source = cluster_id or activities.own_cluster_id(run)
        why, code = create.expect_latest_refused(run, source, name)
        return {"refused": True, "why": why, "code": code}
