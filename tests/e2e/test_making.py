"""What makes and removes things, by itself: on a lab, without any control."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import psycopg
import pytest
from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.aurora import actions as aurora
from chaosaws_kms_ext.aurora import point_in_time
from chaosaws_kms_ext.aws import kms, rds
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.guard.guard import Target
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.kms import actions as kms_actions
from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from chaosaws_kms_ext.resources import delete
from chaosaws_kms_ext.resources.delete import remove
from chaosaws_kms_ext.resources.ledger import Ledger, leftovers
from chaosaws_kms_ext.undo import store
from tests.support.chaos import ROOT
from tests.support.labs import FAST, client, mostly_soak, until

pytestmark = pytest.mark.thorough

HERE = {"CHAOS_LAB_SPEED": str(FAST)}


class OnLab:
    """This process on the lab, in a run whose target is the lab's cluster."""

    def __init__(self, lab: LocalLab) -> None:
        self.lab = lab
        self.kms, self.rds = client(lab, "kms"), client(lab, "rds")
        self.door = Aws(lab.region, lab.endpoint, lab=lab.credentials)
        self.begin()

    @property
    def run(self):
        return runs.current()

    @property
    def made(self) -> Ledger:
        return self.run.ledger

    def begin(self, environ=HERE):
        """Another run; the one before is over, with all that it had made."""
        runs.end()
        os.environ.update(environ)
        run = runs.current()
        run.lab = self.lab
        cluster = rds.describe(self.door, "orders")
        run.target = Target(cluster, kms.describe(self.door, cluster.key))
        return run

    def clusters(self):
        found = self.rds.describe_db_clusters()["DBClusters"]
        return {each["DBClusterIdentifier"]: each for each in found}

    def snapshots(self):
        found = self.rds.describe_db_cluster_snapshots()["DBClusterSnapshots"]
        return {each["DBClusterSnapshotIdentifier"]: each for each in found}

    def key_state(self, key):
        return self.kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]

    def keys_of(self, run):
        return kms.tagged(self.door, "chaos:run", run.id)

    def calls(self):
        lines = self.lab.requests.read_text().splitlines()
        return [json.loads(line)["operation"] for line in lines]

    def query(self, cluster_id, statement):
        """As the cluster's own master user."""
        said = self.clusters()[cluster_id]
        user, password = self.run.master_passwords.get(cluster_id, ("postgres", ""))
        with psycopg.connect(
            host=said["Endpoint"],
            port=said["Port"],
            dbname="postgres",
            user=user,
            password=password,
            connect_timeout=10,
            autocommit=True,
        ) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def here(lab, monkeypatch):
    for name, value in {**lab.environment, **HERE}.items():
        monkeypatch.setenv(name, value)
    on_lab = OnLab(lab)
    until(lambda: on_lab.clusters()["orders"]["Status"] == "available")
    yield on_lab
    runs.end()


def test_everything_that_a_run_makes_is_written_down_tagged_and_removed_again(here):
    key = kms_actions.create_key("a", description="for the story")
    assert key["alias"] == f"alias/chaos-{here.run.id.lower()}-a"
    assert here.kms.describe_key(KeyId=key["alias"])["KeyMetadata"]["Arn"] == key["key"]
    cluster = aurora.create_encrypted_cluster(key["key_id"])
    assert (cluster["key"], cluster["instance"]) == (key["key"], f"{cluster['cluster']}-1")
    assert here.clusters()[cluster["cluster"]]["MasterUsername"] == "chaos"
    here.query(cluster["cluster"], "CREATE TABLE t AS SELECT generate_series(1, 7) AS n")

    other = kms_actions.create_key("b")
    snapshot = aurora.create_cluster_snapshot(cluster["cluster"])
    assert snapshot["key"] == key["key"]
    copy = aurora.copy_cluster_snapshot(snapshot["snapshot"], other["alias"])
    assert copy["key"] == other["key"]
    restored = aurora.restore_cluster(copy["snapshot"], like="orders")
    assert restored["key"] == other["key"]
    assert here.query(restored["cluster"], "SELECT count(*) FROM t") == [(7,)]
    ordered, there = (
        here.run.last(name) for name in (EventName.RESTORE_ORDERED, EventName.RESTORED)
    )
    assert ordered.details["cluster"] == there.details["cluster"] == restored["cluster"]
    assert ordered.at < there.at

    tag = {"Key": "chaos:run", "Value": here.run.id}
    made = [
        *(here.clusters()[each["cluster"]] for each in (cluster, restored)),
        *(here.snapshots()[each["snapshot"]] for each in (snapshot, copy)),
        *(
            here.rds.describe_db_instances(DBInstanceIdentifier=each["instance"])["DBInstances"][0]
            for each in (cluster, restored)
        ),
    ]
    assert all(each["TagList"] == [tag] for each in made)
    assert (
        made[-1]["DBInstanceClass"]
        == here.rds.describe_db_instances(DBInstanceIdentifier="orders-1")["DBInstances"][0][
            "DBInstanceClass"
        ]
    )
    assert set(here.keys_of(here.run)) == {key["key"], other["key"]}
    written = here.made.path.read_text()
    assert len(json.loads(written)["things"]) == 8
    passwords = {password for _, password in here.run.master_passwords.values()}
    assert len(passwords) == 1
    seen = f"{written}{here.run.events}{here.run.master_passwords}{cluster}{restored}"
    assert not any(password in seen for password in passwords)

    done = aurora.clean_up()
    assert done["left"] == []
    assert len(done["removed"]) == 10  # with two aliases
    assert set(here.clusters()) == {"orders"}
    assert not [name for name in here.snapshots() if name.startswith("chaos-")]
    assert [here.key_state(each["key"]) for each in (key, other)] == ["PendingDeletion"] * 2
    with pytest.raises(here.kms.exceptions.NotFoundException):
        here.kms.describe_key(KeyId=key["alias"])
    assert not here.made.path.exists()
    assert aurora.clean_up()["why"] == "this run has made nothing"


def test_nothing_is_called_where_nothing_was_made(here):
    before = len(here.calls())
    assert aurora.clean_up() == {"removed": [], "left": [], "why": "this run has made nothing"}
    assert len(here.calls()) == before


# The key of a snapshot


@pytest.fixture
def snapshot(here):
    """One of the lab's own cluster, whose key is this run's target."""
    yield aurora.create_cluster_snapshot("orders")["snapshot"]
    aurora.clean_up()


def test_a_copy_that_is_not_under_the_key_that_was_asked_for_fails(here, snapshot, misbehaviours):
    key = kms_actions.create_key()
    misbehaviours.order(kind="copy-keeps-key", cluster="orders")
    with pytest.raises(ActivityFailed) as failed:
        aurora.copy_cluster_snapshot(snapshot, key["key"])
    own = here.clusters()["orders"]["KmsKeyId"]
    copy = f"chaos-{here.run.id.lower()}-copy"
    assert str(failed.value) == (
        f"the copy {copy} is encrypted under {own}, and not under {key['key']}"
    )
    assert copy in here.snapshots()


def test_a_snapshot_whose_key_is_gone_is_not_restored_under_it(here, snapshot):
    key = kms_actions.create_key()
    copy = aurora.copy_cluster_snapshot(snapshot, key["key"])["snapshot"]
    here.kms.disable_key(KeyId=key["key"])
    said = aurora.restore_is_refused(copy)
    assert (said["refused"], said["code"]) == (True, "KMSKeyNotAccessibleFault")
    assert "KMSKeyNotAccessibleFault" in said["why"]
    here.kms.enable_key(KeyId=key["key"])
    with pytest.raises(ActivityFailed, match=f"{copy} was restored, whose key is Enabled"):
        aurora.restore_is_refused(copy)
    assert set(here.clusters()) == {"orders"}


@pytest.mark.soak
def test_a_point_in_time_is_restored_under_another_key_and_refused_without_its_own(here):
    key_b = kms_actions.create_key(name="key-b")["key"]
    own = kms_actions.create_key()["key"]
    source = aurora.create_encrypted_cluster(own)["cluster"]
    restored = point_in_time.restore_latest(source, key_b)
    assert (restored["key"], restored["cluster"] != source) == (key_b, True)
    with pytest.raises(ActivityFailed, match=f"of {source} was restored, whose key is Enabled: it"):
        point_in_time.restore_latest_is_refused(source)
    here.kms.disable_key(KeyId=own)
    said = point_in_time.restore_latest_is_refused(source, name="another")
    assert (said["refused"], said["code"]) == (True, "KMSKeyNotAccessibleFault")
    here.kms.enable_key(KeyId=own)
    aurora.clean_up()
    assert set(here.clusters()) == {"orders"}


# Whose it is


def test_two_runs_with_the_same_names_do_not_meet(here):
    first, key = here.run, kms_actions.create_key()
    theirs = aurora.create_cluster_snapshot("orders")["snapshot"]
    ledger = here.made
    here.begin()
    own, ours = kms_actions.create_key(), aurora.create_cluster_snapshot("orders")["snapshot"]
    assert own["alias"] != key["alias"]
    for refused, name in (
        (aurora.delete_cluster_snapshot, theirs),
        (aurora.delete_cluster, "orders"),
        (kms_actions.schedule_key_deletion, key["key"]),
        (kms_actions.cancel_key_deletion, key["key"]),
    ):
        with pytest.raises(ActivityFailed, match=f"the tag chaos:run={here.run.id}: this run did"):
            refused(name)
    aurora.clean_up()
    assert here.key_state(own["key"]) == "PendingDeletion"
    assert here.key_state(key["key"]) == "Enabled"
    assert theirs in here.snapshots()
    assert ours not in here.snapshots()
    (left,), problems = leftovers()
    assert (left.run, left.path, problems) == (first.id, ledger.path, [])
    assert remove(here.door, left, print) == []
    assert here.key_state(key["key"]) == "PendingDeletion"
    assert theirs not in here.snapshots()


def test_a_name_is_given_once_and_has_a_form(here):
    key = kms_actions.create_key("one")
    with pytest.raises(ActivityFailed, match=r"this run has made the key arn:.* already"):
        kms_actions.create_key("ONE")
    for name in ("", "two words", "a--b", "-a", "a" * 31, "ä", None, ["a"]):
        with pytest.raises(ActivityFailed, match="a name is at most 30 letters"):
            kms_actions.create_key(name)
    assert here.keys_of(here.run) == [key["key"]]
    aurora.clean_up()


BAD = ["nobody", "$(reboot)", "../../orders", "orders\n", "\0", "x" * 10_000, ["a"], {"a": 1}, 7]


@pytest.mark.parametrize("name", BAD, ids=lambda name: repr(name)[:20])
def test_what_names_nothing_is_one_sentence_and_makes_nothing(here, name):
    before = len(here.calls())
    for activity, arguments in (
        (kms_actions.schedule_key_deletion, {"key_id": name}),
        (kms_actions.cancel_key_deletion, {"key_id": name}),
        (kms_actions.rotate_key, {"key_id": name}),
        (aurora.create_encrypted_cluster, {"key_id": name}),
        (aurora.create_cluster_snapshot, {"cluster_id": name}),
        (aurora.copy_cluster_snapshot, {"snapshot_id": name, "key_id": "alias/orders"}),
        (aurora.copy_cluster_snapshot, {"snapshot_id": "nobody", "key_id": name}),
        (aurora.restore_cluster, {"snapshot_id": name}),
        (aurora.restore_is_refused, {"snapshot_id": name}),
        (point_in_time.restore_latest, {"cluster_id": name}),
        (point_in_time.restore_latest_is_refused, {"cluster_id": name}),
    ):
        with pytest.raises(ActivityFailed) as failed:
            activity(**arguments)
        said = str(failed.value)
        assert 10 < len(said) < 5000
        assert "\n" not in said
    looks = ("Describe", "List", "Get", "CreateDBClusterSnapshot", "CopyDBClusterSnapshot")
    assert all(call.startswith(looks) for call in here.calls()[before:])
    assert set(here.clusters()) == {"orders"}
    assert not [each for each in here.snapshots() if here.run.id.lower() in each]
    aurora.clean_up()


@pytest.mark.soak
def test_what_was_deleted_one_by_one_is_no_more_to_be_removed(here):
    snapshot = aurora.create_cluster_snapshot("orders")["snapshot"]
    assert aurora.delete_cluster_snapshot(snapshot) == {"snapshot": snapshot, "deleted": True}
    assert aurora.delete_cluster_snapshot(snapshot) == {"snapshot": snapshot, "deleted": False}
    assert aurora.delete_cluster("chaos-never") == {"cluster": "chaos-never", "deleted": False}
    again = aurora.create_cluster_snapshot("orders")["snapshot"]
    assert again == snapshot
    restored = aurora.restore_cluster(snapshot)
    assert aurora.delete_cluster(restored["cluster"])["deleted"]
    assert [resource.name for resource in here.made.things] == [snapshot]
    aurora.clean_up()


def test_only_keys_that_allow_it_are_rotated(here):
    key = here.kms.create_key()["KeyMetadata"]["Arn"]
    with pytest.raises(ActivityFailed, match="does not carry the tag chaos:allow=kms"):
        kms_actions.rotate_key(key)
    assert here.kms.list_key_rotations(KeyId=key)["Rotations"] == []
    here.kms.tag_resource(KeyId=key, Tags=[{"TagKey": "chaos:allow", "TagValue": "kms"}])
    first, second = kms_actions.rotate_key(key), kms_actions.rotate_key(key)
    assert first["key"] == key
    assert first["rotation_date"] < second["rotation_date"]
    here.kms.tag_resource(KeyId=key, Tags=[{"TagKey": "env", "TagValue": "production"}])
    with pytest.raises(ActivityFailed, match="production is not attacked"):
        kms_actions.rotate_key(key)
    own = kms_actions.create_key()
    assert kms_actions.rotate_key(own["alias"])["key"] == own["key"]
    aurora.clean_up()


def test_a_key_of_the_run_is_kept_if_that_is_asked_for(here):
    key = kms_actions.create_key()["key"]
    scheduled = kms_actions.schedule_key_deletion(key, days=8)
    assert scheduled["key"] == key
    assert here.key_state(key) == "PendingDeletion"
    kept = kms_actions.cancel_key_deletion(key)
    assert (kept["key_state"], here.key_state(key)) == ("Disabled", "Disabled")
    kms_actions.schedule_key_deletion(key)
    assert kms_actions.cancel_key_deletion(key, enable=True)["key_state"] == "Enabled"
    with pytest.raises(ActivityFailed, match=r"between 7 and 30"):
        kms_actions.schedule_key_deletion(key, days=3)
    aurora.clean_up()
    assert here.key_state(key) == "PendingDeletion"


# What goes wrong


def test_where_nothing_can_be_written_down_nothing_is_made(here, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("no folder")
    keys, before = len(here.kms.list_keys()["Keys"]), len(here.calls())
    for make in (
        lambda: kms_actions.create_key(),
        lambda: aurora.create_encrypted_cluster("alias/orders"),
        lambda: aurora.create_cluster_snapshot("orders"),
    ):
        with pytest.raises(ActivityFailed, match=r"^(NotADirectory|FileExists)Error: "):
            make()
    assert len(here.kms.list_keys()["Keys"]) == keys
    made = {"CreateKey", "CreateDBCluster", "CreateDBClusterSnapshot"}
    assert made.isdisjoint(here.calls()[before:])


@pytest.mark.parametrize("kind", ["cut-after", "error-after"])
def test_an_answer_that_is_lost_costs_nothing(here, misbehaviours, kind):
    for service, operation in (
        ("kms", "CreateKey"),
        ("kms", "CreateAlias"),
        ("rds", "RestoreDBClusterFromSnapshot"),
        ("rds", "CreateDBInstance"),
        ("rds", "CreateDBClusterSnapshot"),
        ("rds", "DeleteDBInstance"),
        ("rds", "DeleteDBCluster"),
        ("rds", "DeleteDBClusterSnapshot"),
        ("kms", "DeleteAlias"),
        ("kms", "ScheduleKeyDeletion"),
    ):
        misbehaviours.order(kind=kind, service=service, operation=operation, count=1)
    kms_actions.create_key()
    snapshot = aurora.create_cluster_snapshot("orders")["snapshot"]
    aurora.restore_cluster(snapshot)
    keys = here.keys_of(here.run)
    assert len(keys) == 2  # and only one of them was heard of
    aurora.clean_up()
    assert [here.key_state(key) for key in keys] == ["PendingDeletion"] * 2
    assert set(here.clusters()) == {"orders"}
    assert misbehaviours.holding() == []


def test_what_is_left_is_named_and_removed_later(here, misbehaviours):
    key = kms_actions.create_key()["key"]
    snapshot = aurora.create_cluster_snapshot("orders")["snapshot"]
    misbehaviours.order(kind="expired-token", service="rds", operation="DeleteDBClusterSnapshot")
    with pytest.raises(ActivityFailed) as failed:
        aurora.clean_up()
    said = str(failed.value)
    assert f"the snapshot {snapshot} is not deleted: the AWS credentials have expired" in said
    assert f"the keys of run {here.run.id} stay until that is gone" in said
    assert "`chaos kms restore` removes what this run made" in said
    assert here.key_state(key) == "Enabled"
    misbehaviours.clear()
    assert aurora.clean_up()["left"] == []
    assert here.key_state(key) == "PendingDeletion"


KILLED = """
from chaosaws_kms_ext.aurora import actions as aurora
from chaosaws_kms_ext.kms import actions as kms
key = kms.create_key()["key"]
aurora.create_encrypted_cluster(key)
"""


@pytest.mark.parametrize(
    "kind", mostly_soak(["key", "cluster", "instance"], lambda kind: kind != "cluster")
)
def test_what_a_killed_run_left_is_removed_and_nothing_else(here, kind, monkeypatch):
    monkeypatch.setattr(delete, "SETTLED", 2.0)
    env = {"CHAOS_TARGET": "aws", "CHAOS_CLUSTER_ID": "orders"}
    killed = subprocess.Popen([sys.executable, "-c", KILLED], env={**os.environ, **env}, cwd=ROOT)

    def named():
        paths = list((store.directory() / "made").glob("*.json"))
        return any(f'"kind": "{kind}"' in path.read_text() for path in paths)

    until(named, every=0.001)
    assert leftovers() == ([], [])
    killed.send_signal(signal.SIGKILL)
    killed.wait(20)
    (left,), _ = leftovers()
    assert remove(here.door, left, print) == []
    assert leftovers() == ([], [])
    assert set(here.clusters()) == {"orders"}
    found = kms.tagged(here.door, "chaos:run", left.run)
    assert [here.key_state(key) for key in found] == ["PendingDeletion"] * len(found)
