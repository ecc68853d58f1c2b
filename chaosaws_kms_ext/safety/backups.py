"""Whether the data would survive a key that never comes back: a recent copy under another one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from chaosaws_kms_ext.aurora.api import Cluster
from chaosaws_kms_ext.aws import Aws, AwsError
from chaosaws_kms_ext.kms import api as kms_api
from chaosaws_kms_ext.safety.checklist import Finding, ok, refused
from chaosaws_kms_ext.safety.survey import Described

__all__ = ["backup"]

GO_WITHOUT = "CHAOS_WITHOUT_BACKUP=yes goes without"


def backup(
    aws: Aws,
    cluster: Cluster,
    snapshots: Sequence[Described],
    within: timedelta,
    go_without: bool,
    now: datetime | None = None,
) -> Finding:
    """Backups are on, and there is a snapshot, not older than `within`, under another usable key.

    Automated backups are under the cluster's own key: without it they are as lost as the cluster
    (Aurora User Guide, Overview.Encryption). Of copies in other Regions or accounts nothing is
    seen from here.
    """
    if go_without:
        return ok("backup", "CHAOS_WITHOUT_BACKUP=yes: it goes without, as somebody decided")
    if not cluster.said.get("BackupRetentionPeriod"):
        return refused("backup", f"{cluster.id} has no backups (retention 0); {GO_WITHOUT}")
    copies = sorted(
        (s for s in snapshots if _is_copy(s, cluster)), key=lambda s: _made(s), reverse=True
    )
    if not copies:
        return refused(
            "backup",
            f"{cluster.id} has no snapshot under another key: copy one with "
            f"`aws rds copy-db-cluster-snapshot --kms-key-id …`; {GO_WITHOUT}",
        )
    newest = copies[0]
    name, age = newest["DBClusterSnapshotIdentifier"], (now or datetime.now(UTC)) - _made(newest)
    if age > within:
        return refused(
            "backup",
            f"the newest snapshot of {cluster.id} under another key, {name}, is "
            f"{_in_words(age)} old, more than CHAOS_BACKUP_WITHIN ({_in_words(within)}); "
            f"{GO_WITHOUT}",
        )
    try:
        key = kms_api.describe(aws, newest["KmsKeyId"])
    except AwsError as problem:
        return refused("backup", f"whether {name} could be restored is not known: {problem}")
    if not key.enabled:
        return refused("backup", f"{name} is under {key.arn}, which is {key.state}; {GO_WITHOUT}")
    return ok("backup", f"{name}, {_in_words(age)} old, is under another key ({key.arn})")


# Internals


def _is_copy(snapshot: Described, cluster: Cluster) -> bool:
    return (
        snapshot.get("DBClusterIdentifier") == cluster.id
        and snapshot.get("Status") == "available"
        and snapshot.get("KmsKeyId") not in (None, "", cluster.key)
        and isinstance(snapshot.get("SnapshotCreateTime"), datetime)
    )


def _made(snapshot: Described) -> datetime:
    made: datetime = snapshot["SnapshotCreateTime"]
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def _in_words(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours"
