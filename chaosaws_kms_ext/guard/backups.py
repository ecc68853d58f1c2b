"""Whether the data would survive the loss of the key: is there a recent copy under another key?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.database import Database, Snapshots
from chaosaws_kms_ext.guard.findings import Finding, ok, refused
from chaosaws_kms_ext.guard.inventory import Described

__all__ = ["backup", "taken"]

GO_WITHOUT = "CHAOS_WITHOUT_BACKUP=yes allows the run without one"


def backup(
    aws: Aws,
    cluster: Database,
    snapshots: Sequence[Described],
    within: timedelta,
    go_without: bool,
    now: datetime | None = None,
    lost: Collection[str] = (),
) -> Finding:
    """Backups are on, and there is a snapshot, not older than `within`, under another usable key.

    `lost`: the ARNs of other keys that go with the cluster's own.

    Automated backups are under the cluster's own key: without it they are lost like the cluster
    (Aurora User Guide, Overview.Encryption). Copies in other Regions or accounts cannot be seen
    from here.
    """
    if go_without:
        return ok("backup", "CHAOS_WITHOUT_BACKUP=yes: the run was allowed without one")
    if not cluster.raw.get("BackupRetentionPeriod"):
        return refused("backup", f"{cluster.id} has no backups (retention 0); {GO_WITHOUT}")
    named = cluster.kind.snapshots
    known = {str(each.get(named.arn)): each for each in snapshots}
    copies = [each for each in snapshots if _is_copy(each, cluster, lost)]
    copies.sort(key=lambda each: taken(each, known, named), reverse=True)
    if not copies:
        return refused(
            "backup",
            f"{cluster.id} has no snapshot under another key: copy one with "
            f"`aws rds {named.copied_by} --kms-key-id …`; {GO_WITHOUT}",
        )
    newest = copies[0]
    name = newest[named.id]
    age = (now or datetime.now(UTC)) - taken(newest, known, named)
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


def _is_copy(snapshot: Described, cluster: Database, lost: Collection[str]) -> bool:
    return (
        cluster.owns(snapshot)
        and snapshot.get("Status") == "available"
        and snapshot.get("KmsKeyId") not in (None, "", cluster.key, *lost)
        and isinstance(snapshot.get("SnapshotCreateTime"), datetime)
    )


def taken(snapshot: Described, known: Mapping[str, Described], named: Snapshots) -> datetime:
    """How old its data are: a copy has the data of its source snapshot, if that still exists.

    A DBSnapshot says it itself (OriginalSnapshotCreateTime), and a DBClusterSnapshot does not.
    """
    if isinstance(first := snapshot.get("OriginalSnapshotCreateTime"), datetime):
        return min(_made(snapshot), _in_utc(first))
    made = _made(snapshot)
    source = known.get(str(snapshot.get(named.source) or ""))
    if source and source is not snapshot and isinstance(source.get("SnapshotCreateTime"), datetime):
        return min(made, _made(source))
    return made


def _made(snapshot: Described) -> datetime:
    return _in_utc(snapshot["SnapshotCreateTime"])


def _in_utc(date: datetime) -> datetime:
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _in_words(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours"
