"""The keys of a cluster beside that of its storage: of the master user's secret, of Performance
Insights, of the activity stream.

Each may be under a key of its own (API reference, DBCluster: MasterUserSecret and
ActivityStreamKmsKeyId; DBInstance: PerformanceInsightsKMSKeyId). The storage needs none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.aws.instance import INSTANCE
from chaosaws_kms_ext.run import Refused

__all__ = [
    "ACTIVITY_STREAM",
    "KEYS_OF",
    "MASTER_SECRET",
    "PERFORMANCE_INSIGHTS",
    "SecondaryKey",
    "check_name",
    "find",
    "of_cluster",
]

MASTER_SECRET = "master-secret"
PERFORMANCE_INSIGHTS = "performance-insights"
ACTIVITY_STREAM = "activity-stream"

KEYS_OF = {
    MASTER_SECRET: "secret of its master user that RDS manages (ManageMasterUserPassword)",
    PERFORMANCE_INSIGHTS: "Performance Insights under a KMS key",
    ACTIVITY_STREAM: "activity stream that is started",
}
"""What a secondary key is of → what the cluster lacks where there is none."""


@dataclass(frozen=True)
class SecondaryKey:
    """What one of these keys encrypts."""

    of: str
    """One of KEYS_OF."""
    key: str
    """The key, as RDS names it."""
    about: str
    """The secret's ARN, the writer's resource id, or the name of the Kinesis stream."""
    status: str
    """What RDS says of it; empty where it says nothing."""


def check_name(of: object) -> str:
    """One of KEYS_OF; raises Refused for anything else."""
    if isinstance(of, str) and of in KEYS_OF:
        return of
    raise Refused(f"a secondary key is one of {', '.join(KEYS_OF)}, not {of!r:.60}")


def find(aws: Aws, cluster: Database, of: str) -> SecondaryKey | None:
    """The cluster's key of this kind; None: there is none. Raises AwsError, and Refused where its
    instances have several."""
    check_name(of)
    said = cluster.raw
    if of == MASTER_SECRET:
        secret = said.get("MasterUserSecret") or {}
        key, about = secret.get("KmsKeyId"), secret.get("SecretArn")
        status = secret.get("SecretStatus", "")
    elif of == ACTIVITY_STREAM:
        status = said.get("ActivityStreamStatus", "")
        started = status == "started"
        key = said.get("ActivityStreamKmsKeyId") if started else None
        about = said.get("ActivityStreamKinesisStreamName")
    else:
        key, about, status = _insights(aws, cluster)
    return SecondaryKey(of, str(key), str(about), str(status)) if key and about else None


def of_cluster(aws: Aws, cluster: Database, key_arn: str) -> str:
    """What of a cluster a key encrypts beside the storage; empty if nothing. Raises AwsError, and
    Refused as `find` does."""
    names = (key_arn, key_arn.rsplit("/", 1)[-1])
    for of in KEYS_OF:
        its = find(aws, cluster, of)
        if its and its.key in names:
            return of
    return ""


def _insights(aws: Aws, cluster: Database) -> tuple[str, str, str]:
    """The key of Performance Insights, and the writer's resource id; empty if there are none."""
    only = [{"Name": "db-cluster-id", "Values": [cluster.id]}]
    found = {
        str(each.get("DBInstanceIdentifier")): each
        for each in (
            [cluster.raw]
            if cluster.kind is INSTANCE
            else aws.pages("rds", "DescribeDBInstances", {"Filters": only}, "DBInstances")
        )
        if each.get("PerformanceInsightsEnabled") and each.get("PerformanceInsightsKMSKeyId")
    }
    keys = sorted({str(each["PerformanceInsightsKMSKeyId"]) for each in found.values()})
    if len(keys) > 1:
        raise Refused(
            f"the instances of {cluster.id} have Performance Insights under several keys "
            f"({', '.join(keys)}): only one can be tried"
        )
    if not keys:
        return "", "", ""
    readers = set(cluster.readers)
    writer = next((its for name, its in found.items() if name not in readers), None)
    its = writer or next(iter(found.values()))
    return keys[0], str(its.get("DbiResourceId", "")), ""
