"""A probe of the maintenance that is pending for a cluster."""

from __future__ import annotations

from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities
from chaosaws_kms_ext.aws import maintenance, rds
from chaosaws_kms_ext.aws.client import Aws

__all__ = ["pending_maintenance"]


def pending_maintenance(
    cluster_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> list[dict[str, str]]:
    """The maintenance that is pending for a cluster and its instances.

    Each has `resource`, `action` (`system-update`, say) and `when` (UTC; empty where RDS does not
    say). IAM: rds:DescribeDBClusters, rds:DescribeDBInstances,
    rds:DescribePendingMaintenanceActions.
    """
    with activities.plainly(configuration) as run:
        aws = Aws.of(run)
        cluster = rds.describe(aws, cluster_id or activities.cluster_id(run))
        return [each._asdict() for each in maintenance.pending(aws, cluster)]
