"""Whether the data would survive a key that never comes back: a recent copy under another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.rds import Cluster
from chaosaws_kms_ext.guard.findings import Finding, ok, refused
from chaosaws_kms_ext.guard.inventory import Described, belongs

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
    if not cluster.raw.get("BackupRetentionPeriod"):
        return refused("backup", f"{cluster.id} has no backups (retention 0); {GO_WITHOUT}")
    known = {str(s.get("DBClusterSnapshotArn")): s for s in snapshots}
    copies = sorted(
        (s for s in snapshots if _is_copy(s, cluster)), key=lambda s: _taken(s, known), reverse=True
    )
    if not copies:
        return refused(
            "backup",
            f"{cluster.id} has no snapshot under another key: copy one with "
            f"`aws rds copy-db-cluster-snapshot --kms-key-id …`; {GO_WITHOUT}",
        )
    newest = copies[0]
    name = newest["DBClusterSnapshotIdentifier"]
    age = (now or datetime.now(UTC)) - _taken(newest, known)
    if age > within:
        return refused(
            "backup",
            f"the newest snapshot of {cluster.id} under another key, {name}, is "
            f"{_in_words(age)} old, more than CHAOS_BACKUP_WITHIN ({_in_words(within)}); "
            f"{GO_WITHOUT}",
        )
    try:
        key = kms.describe(aws, newest["KmsKeyId"])
    except AwsError as problem:
        return refused("backup", f"whether {name} could be restored is not known: {problem}")
    if not key.enabled:
        return refused("backup", f"{name} is under {key.arn}, which is {key.state}; {GO_WITHOUT}")
    return ok("backup", f"{name}, {_in_words(age)} old, is under another key ({key.arn})")


# Internals


def _is_copy(snapshot: Described, cluster: Cluster) -> bool:
    return (
        belongs(snapshot, cluster)
        and snapshot.get("Status") == "available"
        and snapshot.get("KmsKeyId") not in (None, "", cluster.key)
        and isinstance(snapshot.get("SnapshotCreateTime"), datetime)
    )


def _taken(snapshot: Described, known: Mapping[str, Described]) -> datetime:
    """When its data were: those of a copy are as old as what it was copied from, if that is there.

    A DBClusterSnapshot does not say so itself, as a DBSnapshot does (OriginalSnapshotCreateTime).
    """
    made = _made(snapshot)
    source = known.get(str(snapshot.get("SourceDBClusterSnapshotArn") or ""))
    if source and source is not snapshot and isinstance(source.get("SnapshotCreateTime"), datetime):
        return min(made, _made(source))
    return made


def _made(snapshot: Described) -> datetime:
    made: datetime = snapshot["SnapshotCreateTime"]
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def _in_words(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours"
