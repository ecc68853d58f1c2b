"""`chaos kms restore` after a run that made things and was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from chaosaws_kms_ext.undo import journal
from tests.support.chaos import ROOT
from tests.support.labs import until

pytestmark = pytest.mark.thorough

KILLED = """
import time
from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.aurora import actions as aurora
from chaosaws_kms_ext.kms import actions as kms
key = kms.create_key()["key"]
aurora.create_cluster_snapshot("orders")
root = "arn:aws:iam::123456789012:root"
mine = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"}
kms.put_key_policy(key, {"Version": "2012-10-17", "Id": "changed", "Statement": [mine]})
print(runs.current().id, key, flush=True)
time.sleep(60)
"""


@pytest.fixture
def killed(aws):
    """A lab that plays AWS; the run that was killed there, and its key."""
    lab_as_aws = aws()
    until(lambda: lab_as_aws.cluster_status() == "available")
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED], env={**os.environ, **lab_as_aws.chaos.env}, cwd=ROOT,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    run, key = process.stdout.readline().split()
    yield lab_as_aws, run, key, process
    process.kill()
    process.wait(20)


def policy_id(lab_as_aws, key):
    said = lab_as_aws.client("kms").get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    return json.loads(said).get("Id")


def snapshots(lab_as_aws, run):
    found = lab_as_aws.client("rds").describe_db_cluster_snapshots()["DBClusterSnapshots"]
    return [each for each in found if run.lower() in each["DBClusterSnapshotIdentifier"]]


def state(lab_as_aws, key):
    return lab_as_aws.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"]


def test_what_a_killed_run_made_is_named_left_to_others_and_removed(killed):
    lab_as_aws, run, key, process = killed
    living = lab_as_aws.chaos.kms("restore", "--dry-run")
    assert "would remove" not in living.output  # whose run lives

    process.send_signal(signal.SIGKILL)
    process.wait(20)
    # Its watchdog puts the policy back; what was made is nobody's until somebody restores it.
    until(lambda: policy_id(lab_as_aws, key) != "changed", 30)
    until(lambda: not journal.open_entries(), 30)
    said = lab_as_aws.chaos.kms("restore", "--dry-run")
    assert said.status == 1
    assert f"Made by run {run}" in said.output
    assert f"would remove the key {key}" in said.output
    assert f"would remove the snapshot chaos-{run.lower()}-snapshot" in said.output
    assert len(snapshots(lab_as_aws, run)) == 1

    other = lab_as_aws.chaos.kms("restore", "--run", "20260101T000000Z-aaaaaa")
    assert other.status == 0
    assert other.output.startswith("Nothing to put back of run 20260101T000000Z-aaaaaa: ")
    assert len(snapshots(lab_as_aws, run)) == 1

    misbehaviours = Misbehaviours.of(lab_as_aws.lab)
    misbehaviours.order(kind="expired-token", service="rds", operation="DeleteDBClusterSnapshot")
    failed = lab_as_aws.chaos.kms("restore")
    assert failed.status == 1
    assert "NOT removed: the snapshot " in failed.output
    assert "what 1 of 1 runs made is left: run it again" in failed.output
    assert "Traceback" not in failed.output
    assert state(lab_as_aws, key) == "Enabled"

    misbehaviours.clear()
    restored = lab_as_aws.chaos.kms("restore")
    assert restored.status == 0, restored.output
    assert snapshots(lab_as_aws, run) == []
    assert state(lab_as_aws, key) == "PendingDeletion"
    assert lab_as_aws.key_state() == "Enabled"
    assert lab_as_aws.cluster_status() == "available"
    assert lab_as_aws.chaos.kms("restore").output.startswith("Nothing to put back: ")
