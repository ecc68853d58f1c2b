"""Snapshots over real HTTP: real rows, sealed under a key, opened by no other."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from tests.support.clusters import (
    NAMES,
    RECOVERABLE,
    becomes,
    kept,
    new_writer,
    refusal,
    snapshot_becomes,
    write,
)
from tests.support.document import deviates, shows
from tests.support.snapshots import copy, restore, restore_request, take, with_instance

pytestmark = pytest.mark.thorough

MARKER = "a row that nobody may read in a file"


@shows("rds:CreateDBClusterSnapshot", "rds:RestoreDBClusterFromSnapshot")
@deviates("rds:RestoreDBClusterFromSnapshot", "the cluster's other settings are not restored")
def test_a_restored_cluster_has_the_rows_of_its_snapshot_and_goes_its_own_way(rds, kms):
    source = new_writer(rds, kms)
    write(source, "before")
    snapshot = take(rds, source)
    assert snapshot["KmsKeyId"] == source["KmsKeyId"]
    assert snapshot["DbClusterResourceId"] == source["DbClusterResourceId"]
    write(source, "after")
    restored = restore(rds, snapshot)
    assert restored["KmsKeyId"] == source["KmsKeyId"]
    assert restored["DbClusterResourceId"] != source["DbClusterResourceId"]
    write(restored, "elsewhere")
    assert kept(restored) == ["before", "elsewhere"]
    assert kept(source) == ["before", "after"]


@pytest.mark.soak
@shows("rds:RestoreDBClusterFromSnapshot")
def test_a_snapshot_is_restored_by_its_arn_too(rds, kms):
    source = new_writer(rds, kms)
    write(source, "before")
    snapshot = take(rds, source)
    by_arn = restore(rds, {"DBClusterSnapshotIdentifier": snapshot["DBClusterSnapshotArn"]})
    assert kept(by_arn) == ["before"]


@shows("rds:CopyDBClusterSnapshot", "rds:RestoreDBClusterFromSnapshot")
@deviates("rds:CopyDBClusterSnapshot", "within a Region only")
def test_a_copy_under_another_key_is_free_of_the_first(rds, kms):
    source = new_writer(rds, kms)
    write(source, "before")
    under_a = take(rds, source)
    key_b = kms.create_key()["KeyMetadata"]["Arn"]
    under_b = copy(rds, under_a, KmsKeyId=key_b)
    assert under_b["KmsKeyId"] == key_b
    assert under_b["SourceDBClusterSnapshotArn"] == under_a["DBClusterSnapshotArn"]
    kms.disable_key(KeyId=source["KmsKeyId"])
    refused = restore_request(under_a)
    code = refusal(rds.restore_db_cluster_from_snapshot, **refused)
    assert code == "KMSKeyNotAccessibleFault"
    # not under another key either: it cannot be decrypted
    code = refusal(rds.restore_db_cluster_from_snapshot, KmsKeyId=key_b, **refused)
    assert code == "KMSKeyNotAccessibleFault"
    restored = restore(rds, under_b)
    assert kept(restored) == ["before"]
    becomes(rds, source, RECOVERABLE)
    assert kept(restored) == ["before"]


@shows("rds:CopyDBClusterSnapshot")
def test_a_copy_needs_both_keys(rds, kms):
    source = new_writer(rds, kms)
    snapshot = take(rds, source)
    key_b = kms.create_key()["KeyMetadata"]["Arn"]
    request = {
        "SourceDBClusterSnapshotIdentifier": snapshot["DBClusterSnapshotIdentifier"],
        "TargetDBClusterSnapshotIdentifier": "never",
        "KmsKeyId": key_b,
    }
    kms.disable_key(KeyId=key_b)
    assert refusal(rds.copy_db_cluster_snapshot, **request) == "KMSKeyNotAccessibleFault"
    kms.enable_key(KeyId=key_b)
    kms.disable_key(KeyId=source["KmsKeyId"])
    assert refusal(rds.copy_db_cluster_snapshot, **request) == "KMSKeyNotAccessibleFault"
    kms.enable_key(KeyId=source["KmsKeyId"])
    found = rds.describe_db_cluster_snapshots()["DBClusterSnapshots"]
    assert "never" not in {s["DBClusterSnapshotIdentifier"] for s in found}


@shows("rds:CreateDBClusterSnapshot")
def test_without_its_key_no_snapshot_is_taken(rds, kms):
    source = new_writer(rds, kms)
    kms.disable_key(KeyId=source["KmsKeyId"])
    request = {
        "DBClusterSnapshotIdentifier": "never",
        "DBClusterIdentifier": source["DBClusterIdentifier"],
    }
    assert refusal(rds.create_db_cluster_snapshot, **request) == "InvalidDBClusterStateFault"
    becomes(rds, source, RECOVERABLE)
    assert refusal(rds.create_db_cluster_snapshot, **request) == "InvalidDBClusterStateFault"


def test_no_row_stands_in_plain_in_any_file_of_a_snapshot(lab, rds, kms):
    source = new_writer(rds, kms)
    write(source, MARKER)
    copy(rds, take(rds, source), KmsKeyId=kms.create_key()["KeyMetadata"]["Arn"])
    everything = lab.requests.parent
    written = MARKER.encode()
    in_data = [p for p in everything.rglob("*") if p.is_file() and written in p.read_bytes()]
    assert in_data  # so the row is looked for in the right way
    snapshots = [p for p in (everything / "snapshots").rglob("*") if p.is_file()]
    assert len(snapshots) >= 2
    assert not set(in_data) & set(snapshots)


def test_an_unencrypted_snapshot_is_what_the_grep_would_find(lab, rds):
    source = new_writer(rds)
    write(source, MARKER)
    snapshot = take(rds, source)
    assert snapshot["StorageEncrypted"] is False
    files = [p for p in (lab.requests.parent / "snapshots").rglob("*") if p.is_file()]
    assert any(MARKER.encode() in path.read_bytes() for path in files)


def test_a_flipped_byte_is_refused(lab, rds, kms):
    source = new_writer(rds, kms)
    snapshot = take(rds, source)
    files = (lab.requests.parent / "snapshots").iterdir()
    file = max(files, key=lambda path: path.stat().st_mtime)
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(whole)
    restored = rds.restore_db_cluster_from_snapshot(**restore_request(snapshot))["DBCluster"]
    becomes(rds, restored, "incompatible-restore")


@deviates("rds:CopyDBClusterSnapshot", "a snapshot that is not encrypted stays so")
def test_a_snapshot_that_is_not_encrypted_is_restored_under_a_key_if_one_is_named(rds, kms):
    source = new_writer(rds)
    write(source, "before")
    snapshot = take(rds, source)
    key = kms.create_key()["KeyMetadata"]["Arn"]
    request = {
        "SourceDBClusterSnapshotIdentifier": snapshot["DBClusterSnapshotIdentifier"],
        "TargetDBClusterSnapshotIdentifier": "never",
    }
    code = refusal(rds.copy_db_cluster_snapshot, KmsKeyId=key, **request)
    assert code == "InvalidParameterCombination"
    restored = restore(rds, snapshot, KmsKeyId=key)
    assert restored["KmsKeyId"] == key
    assert kept(restored) == ["before"]


@shows("rds:DescribeDBClusterSnapshots", "rds:DeleteDBClusterSnapshot")
@deviates("rds:DescribeDBClusterSnapshots", "there are no automated snapshots")
def test_snapshots_are_found_by_cluster_kind_and_name_until_they_are_deleted(rds, kms):
    source = new_writer(rds, kms)
    taken = take(rds, source)
    name, cluster = taken["DBClusterSnapshotIdentifier"], source["DBClusterIdentifier"]
    by_filter = [{"Name": "db-cluster-snapshot-id", "Values": [name]}]
    for wanted in (
        {"DBClusterIdentifier": cluster},
        {"DBClusterSnapshotIdentifier": taken["DBClusterSnapshotArn"]},
        {"DBClusterIdentifier": cluster, "SnapshotType": "manual"},
        {"Filters": by_filter},
    ):
        found = rds.describe_db_cluster_snapshots(**wanted)["DBClusterSnapshots"]
        assert [s["DBClusterSnapshotIdentifier"] for s in found] == [name]
    none = rds.describe_db_cluster_snapshots(DBClusterIdentifier=cluster, SnapshotType="automated")
    assert none["DBClusterSnapshots"] == []
    again = {"DBClusterSnapshotIdentifier": name, "DBClusterIdentifier": cluster}
    code = refusal(rds.create_db_cluster_snapshot, **again)
    assert code == "DBClusterSnapshotAlreadyExistsFault"
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)
    code = refusal(rds.describe_db_cluster_snapshots, DBClusterSnapshotIdentifier=name)
    assert code == "DBClusterSnapshotNotFoundFault"
    assert len(kms.list_grants(KeyId=source["KmsKeyId"])["Grants"]) == 1


def test_boto3s_own_waiter_sees_a_snapshot_come(rds, kms):
    source = new_writer(rds, kms)
    name = f"s-{next(NAMES)}"
    rds.create_db_cluster_snapshot(
        DBClusterSnapshotIdentifier=name, DBClusterIdentifier=source["DBClusterIdentifier"]
    )
    rds.get_waiter("db_cluster_snapshot_available").wait(
        DBClusterSnapshotIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 10}
    )


@shows("rds:DeleteDBCluster", "rds:RestoreDBClusterFromSnapshot")
def test_a_cluster_deleted_with_a_final_snapshot_can_be_had_again(rds, kms):
    source = new_writer(rds, kms)
    write(source, "before")
    name = source["DBClusterIdentifier"]
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-1")
    assert refusal(rds.delete_db_cluster, DBClusterIdentifier=name) == "InvalidParameterCombination"
    final = f"final-{name}"
    rds.delete_db_cluster(DBClusterIdentifier=name, FinalDBSnapshotIdentifier=final)
    snapshot_becomes(rds, final, "available")
    assert refusal(rds.describe_db_clusters, DBClusterIdentifier=name) == "DBClusterNotFoundFault"
    restored = restore(rds, {"DBClusterSnapshotIdentifier": final})
    assert kept(restored) == ["before"]


@shows("rds:RestoreDBClusterToPointInTime")
@deviates(
    "rds:RestoreDBClusterToPointInTime",
    "up to now, not up to five minutes ago; restoring always copies, a clone too",
)
def test_a_point_in_time_has_what_was_written_before_it_and_nothing_after(rds, kms):
    source = new_writer(rds, kms)
    write(source, "before")
    time.sleep(0.2)
    instant = datetime.now(UTC)
    time.sleep(0.2)
    write(source, "after")
    request = {"SourceDBClusterIdentifier": source["DBClusterIdentifier"]}

    def restored(**params):
        name = {"DBClusterIdentifier": next(NAMES)}
        made = rds.restore_db_cluster_to_point_in_time(**request, **name, **params)["DBCluster"]
        return with_instance(rds, made)

    key_b = kms.create_key()["KeyMetadata"]["Arn"]
    then = restored(RestoreToTime=instant, KmsKeyId=key_b)
    assert then["KmsKeyId"] == key_b
    assert kept(then) == ["before"]
    assert kept(restored(UseLatestRestorableTime=True)) == ["before", "after"]
    call, name = rds.restore_db_cluster_to_point_in_time, {"DBClusterIdentifier": next(NAMES)}
    assert refusal(call, **request, **name) == "InvalidParameterCombination"
    ages_ago = datetime(2020, 1, 1, tzinfo=UTC)
    assert refusal(call, RestoreToTime=ages_ago, **request, **name) == "InvalidParameterValue"


@shows("rds:RestoreDBClusterToPointInTime")
def test_what_cannot_be_started_can_be_restored_once_its_key_is_back(rds, kms):
    source = new_writer(rds, kms)
    write(source, "before")
    kms.disable_key(KeyId=source["KmsKeyId"])
    becomes(rds, source, RECOVERABLE)
    request = {
        "SourceDBClusterIdentifier": source["DBClusterIdentifier"],
        "DBClusterIdentifier": next(NAMES),
        "UseLatestRestorableTime": True,
    }
    code = refusal(rds.restore_db_cluster_to_point_in_time, **request)
    assert code == "KMSKeyNotAccessibleFault"
    kms.enable_key(KeyId=source["KmsKeyId"])
    made = rds.restore_db_cluster_to_point_in_time(**request)["DBCluster"]
    assert kept(with_instance(rds, made)) == ["before"]


def test_a_cluster_whose_final_snapshot_fails_is_what_it_was(lab, rds, kms):
    source = new_writer(rds, kms)
    name = {"DBClusterIdentifier": source["DBClusterIdentifier"]}
    write(source, "before")
    rds.stop_db_cluster(**name)
    becomes(rds, source, "stopped")
    rds.delete_db_instance(DBInstanceIdentifier=f"{source['DBClusterIdentifier']}-1")
    data = lab.requests.parent / source["DbClusterResourceId"] / "data"
    aside = data.rename(data.with_name("aside"))
    rds.delete_db_cluster(FinalDBSnapshotIdentifier="f" * 200, **name)
    becomes(rds, source, "stopped")
    aside.rename(data)
    rds.start_db_cluster(**name)
    assert kept(with_instance(rds, source)) == ["before"]


@shows("rds:DeleteDBCluster", "rds:CreateDBClusterSnapshot")
def test_the_names_of_snapshots_are_as_long_as_documented(rds, kms):
    source = new_writer(rds, kms)
    cluster = {"DBClusterIdentifier": source["DBClusterIdentifier"]}
    for length, refused in ((64, True), (63, False)):
        request = cluster | {"DBClusterSnapshotIdentifier": "n" * length}
        if refused:
            assert refusal(rds.create_db_cluster_snapshot, **request) == "InvalidParameterValue"
        else:
            rds.create_db_cluster_snapshot(**request)
    rds.delete_db_instance(DBInstanceIdentifier=f"{source['DBClusterIdentifier']}-1")
    both = cluster | {"FinalDBSnapshotIdentifier": "final", "SkipFinalSnapshot": True}
    assert refusal(rds.delete_db_cluster, **both) == "InvalidParameterCombination"
    rds.delete_db_cluster(FinalDBSnapshotIdentifier="f" * 255, **cluster)
    snapshot_becomes(rds, "f" * 255, "available")
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="f" * 255)
    snapshot_becomes(rds, "n" * 63, "available")
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="n" * 63)
    assert kms.list_grants(KeyId=source["KmsKeyId"])["Grants"] == []


@shows("rds:RestoreDBClusterToPointInTime")
def test_what_is_not_encrypted_has_no_encrypted_point_in_time(rds, kms):
    source = new_writer(rds)
    request = {
        "SourceDBClusterIdentifier": source["DBClusterIdentifier"],
        "DBClusterIdentifier": next(NAMES),
        "UseLatestRestorableTime": True,
        "KmsKeyId": kms.create_key()["KeyMetadata"]["Arn"],
    }
    code = refusal(rds.restore_db_cluster_to_point_in_time, **request)
    assert code == "InvalidParameterCombination"


@shows("rds:DescribeDBSnapshots")
def test_there_are_no_snapshots_of_instances_that_stand_alone(rds):
    assert rds.describe_db_snapshots(MaxRecords=20)["DBSnapshots"] == []
    missing = {"DBSnapshotIdentifier": "nobody"}
    assert refusal(rds.describe_db_snapshots, **missing) == "DBSnapshotNotFound"
