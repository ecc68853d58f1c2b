"""A backup that outlives the key: recent, of this cluster, under another key that can be used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.aws.rds import Cluster
from chaosaws_kms_ext.guard.backups import backup

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
ARN = "arn:aws:kms:eu-west-1:123456789012:key/"
OWN, OTHER = f"{ARN}own", f"{ARN}other"


class Keys:
    """DescribeKey alone, of keys in states that a lab's key takes weeks to get into."""

    def __init__(self, state="Enabled"):
        self.state = state

    def call(self, service, operation, params):
        assert (service, operation) == ("kms", "DescribeKey")
        if isinstance(self.state, Exception):
            raise self.state
        described = {"Arn": params["KeyId"], "KeyState": self.state, "KeyManager": "CUSTOMER"}
        return {"KeyMetadata": described}


def cluster(**said):
    told = {"BackupRetentionPeriod": 1, "DbClusterResourceId": "cluster-A", **said}
    return Cluster("orders", "", "available", {}, True, OWN, "sse-kms", told)


def snapshot(name="copy", age=timedelta(hours=1), **more):
    return {
        "DBClusterSnapshotIdentifier": name,
        "DBClusterSnapshotArn": f"arn:{name}",
        "DBClusterIdentifier": "orders",
        "DbClusterResourceId": "cluster-A",
        "Status": "available",
        "KmsKeyId": OTHER,
        "SnapshotCreateTime": NOW - age,
        **more,
    }


def found(*snapshots, of=None, aws=None, within=WEEK, go_without=False):
    return backup(aws or Keys(), of or cluster(), snapshots, within, go_without, now=NOW)


def test_a_recent_snapshot_under_another_key_will_do():
    finding = found(snapshot())
    assert finding.state == "ok"
    assert finding.why == f"copy, 1.0 hours old, is under another key ({OTHER})"


def test_without_one_it_is_said_how_to_make_one():
    finding = found()
    assert finding.state == "refused"
    assert "copy-db-cluster-snapshot --kms-key-id" in finding.why
    assert "CHAOS_WITHOUT_BACKUP=yes allows the run without one" in finding.why


@pytest.mark.parametrize(
    "useless",
    [
        {"KmsKeyId": OWN},
        {"KmsKeyId": None},
        {"Status": "copying"},
        {"Status": "failed"},
        {"DBClusterIdentifier": "other", "DbClusterResourceId": "cluster-B"},
        {"DbClusterResourceId": "cluster-of-that-name-before"},
        {"SnapshotCreateTime": None},
    ],
    ids=str,
)
def test_a_snapshot_that_would_not_help_does_not_count(useless):
    assert "has no snapshot under another key" in found(snapshot(**useless)).why


def test_a_snapshot_from_before_the_cluster_was_renamed_counts():
    assert found(snapshot(DBClusterIdentifier="before")).state == "ok"


def test_the_newest_counts_and_its_age_is_told():
    old, new = snapshot("old", timedelta(days=30)), snapshot("new", timedelta(days=3))
    assert "new, 3.0 days old" in found(old, new).why
    finding = found(old)
    assert finding.state == "refused"
    assert "old, is 30.0 days old, more than CHAOS_BACKUP_WITHIN (7.0 days)" in finding.why


@pytest.mark.parametrize(("more", "state"), [(-1, "ok"), (0, "ok"), (1, "refused")])
def test_within_means_to_the_second(more, state):
    assert found(snapshot(age=WEEK + timedelta(seconds=more))).state == state


def test_a_copy_is_as_old_as_what_it_was_copied_from():
    taken = snapshot("taken", timedelta(days=60), KmsKeyId=OWN)
    copy = snapshot("copy", timedelta(hours=1), SourceDBClusterSnapshotArn="arn:taken")
    assert "copy, is 60.0 days old" in found(taken, copy).why
    assert (
        found(copy).state == "ok"
    )  # what it was copied from is gone: its own date is all there is


def test_dates_without_a_zone_are_utc():
    naive = snapshot(SnapshotCreateTime=(NOW - timedelta(hours=2)).replace(tzinfo=None))
    assert "2.0 hours old" in found(naive).why


@pytest.mark.parametrize("state", ["Disabled", "PendingDeletion", "PendingImport", "Unavailable"])
def test_a_copy_under_a_key_that_cannot_be_used_is_none(state):
    finding = found(snapshot(), aws=Keys(state))
    assert finding.state == "refused"
    assert f"copy is under {OTHER}, which is {state}" in finding.why


def test_a_key_that_cannot_be_looked_at_refuses():
    finding = found(snapshot(), aws=Keys(AwsError("not allowed: kms:DescribeKey")))
    assert finding.state == "refused"
    assert "whether copy could be restored is not known: not allowed" in finding.why


def test_backups_that_are_off_refuse_before_any_copy_counts():
    assert (
        "has no backups (retention 0)" in found(snapshot(), of=cluster(BackupRetentionPeriod=0)).why
    )


def test_going_without_is_a_decision_and_is_said():
    finding = found(of=cluster(BackupRetentionPeriod=0), go_without=True)
    assert finding.state == "ok"
    assert "CHAOS_WITHOUT_BACKUP=yes" in finding.why
