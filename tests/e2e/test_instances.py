"""A DB instance that is no cluster's as the target: guard, undo, switch, restore and whole runs."""

from __future__ import annotations

import json
import re
import signal

import pytest
from click.testing import CliRunner

from chaosaws_kms_ext.aws import names
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.cli import kms as chaos_kms
from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.faults.disable_key import DisableKey
from chaosaws_kms_ext.guard import guard
from chaosaws_kms_ext.iam.permissions import Caller
from chaosaws_kms_ext.settings import Settings
from chaosaws_kms_ext.undo import journal, restore, store, switch
from tests.support.chaos import LabAsAws
from tests.support.chaos_runs import killed_in, schedules, switch_role
from tests.support.clusters import RECOVERABLE, new_writer, up
from tests.support.forked_labs import new_lab
from tests.support.labs import client, until
from tests.support.least_privilege import PATIENT, somebody, table

pytestmark = pytest.mark.thorough

VERY_FAST = 5000.0
"""Two hours are 1.4 s."""
NEEDS = FAULTS["disable-key"].needs
ROLE = "arn:aws:iam::123456789012:role/chaos-kms-switch"
AFTER = 7200.0
"""AWS seconds until an instance without its key is inaccessible."""


@pytest.fixture(scope="module")
def alone():
    """A lab that begins with an instance."""
    lab = new_lab(VERY_FAST, "documented", database="instance")
    yield lab
    lab.stop()


@pytest.fixture
def aws(alone, monkeypatch):
    for name, value in alone.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CHAOS_TARGET", "aws")
    monkeypatch.setenv("CHAOS_INSTANCE_ID", "orders")
    return Aws(alone.region, alone.endpoint, lab=alone.credentials)


@pytest.fixture
def rds(alone):
    return client(alone, "rds")


def inspected(aws, reference="db:orders", **settings):
    wanted = Settings(target="aws", instance_id="orders", **settings)
    return guard.inspect(aws, wanted, reference, NEEDS)


def described(rds, name="orders"):
    return rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]


def status(rds):
    return described(rds)["DBInstanceStatus"]


def test_the_guard_lets_the_labs_own_instance_be_attacked(aws):
    found = inspected(aws)
    assert found.refusals == []
    assert found.target.cluster.id == "db:orders"
    assert found.target.key.arn == found.target.cluster.key
    told = {each.about: each.why for each in found.findings}
    assert told["instance"] == "db:orders (orders) is available, and encrypted under it"
    assert told["blast radius"] == "db:orders with its instances and snapshots"
    assert re.fullmatch(r"orders-backup, 0\.\d hours old, is under another key .*", told["backup"])


def test_doctor_says_so_and_changes_nothing(aws):
    ran = CliRunner().invoke(chaos_kms, ["doctor"])
    assert ran.exit_code == 0, ran.output
    assert ran.output.endswith("db:orders may be attacked.\n")


def test_the_guard_names_what_is_wrong(aws, rds):
    assert inspected(aws, "db:nobody").refusals == [
        "there is no DB instance nobody in eu-west-1: check CHAOS_INSTANCE_ID and the Region"
    ]
    member = new_writer(rds, client_of_kms(aws), Tags=[{"Key": "chaos:allow", "Value": "kms"}])
    name = f"{member['DBClusterIdentifier']}-1"
    whys = inspected(aws, f"db:{name}", without_backup="yes").refusals
    cluster = member["DBClusterIdentifier"]
    assert (
        f"db:{name} is an instance of the cluster {cluster}: set CHAOS_CLUSTER_ID={cluster}: after "
        "a loss of the key it could not be recovered"
    ) in whys
    arn = rds.describe_db_instances(DBInstanceIdentifier="orders")["DBInstances"][0][
        "DBInstanceArn"
    ]
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["chaos:allow"])
    try:
        assert inspected(aws).refusals == [
            "the instance orders does not carry the tag chaos:allow=kms: add it to allow this"
        ]
    finally:
        rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "chaos:allow", "Value": "kms"}])


def test_a_switch_whose_role_may_not_start_an_instance_is_refused(aws, alone):
    iam, trust = client(alone, "iam"), {"Version": "2012-10-17", "Statement": []}
    role = iam.create_role(RoleName="half", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    may = {"Effect": "Allow", "Action": ["kms:EnableKey", "rds:StartDBCluster"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    iam.put_role_policy(RoleName="half", PolicyName="half", PolicyDocument=document)
    (why,) = inspected(aws, switch_role=role["Arn"]).refusals
    assert "may not rds:StartDBInstance on arn:aws:rds:eu-west-1:123456789012:db:orders" in why


def client_of_kms(aws):
    class Kms:
        def create_key(self):
            return aws.call("kms", "CreateKey", {})

    return Kms()


def gone(alone, rds):
    """Its key is disabled, and it is inaccessible; the key."""
    key = alone.clusters[0]["key"]
    client(alone, "kms").disable_key(KeyId=key)
    until(lambda: status(rds) == RECOVERABLE)
    return key


def left_by(aws, key, **more):
    """The entry of a run that was killed on a machine whose AWS the lab plays."""
    return journal.write(
        journal.new_entry(
            run="r1",
            region=aws.region,
            lab=None,
            cluster="db:orders",
            key=key,
            undo=DisableKey(key).undo(),
            **more,
        )
    )


def test_restore_puts_the_key_back_and_starts_the_instance(aws, alone, rds):
    entry = left_by(aws, gone(alone, rds))
    said = json.loads(entry.path.read_text())
    assert (said["schema"], said["cluster"]) == (5, "db:orders")
    assert journal.read(entry.path) == entry
    ran = CliRunner().invoke(chaos_kms, ["restore"])
    assert ran.exit_code == 0, ran.output
    assert 'calls rds:StartDBInstance {"DBInstanceIdentifier": "orders"}' in ran.output
    assert "the instance orders is available" in ran.output
    assert journal.open_entries() == []
    up(rds, "orders")


def test_an_entry_of_the_schema_before_is_read_and_names_a_cluster(aws, alone):
    entry = left_by(aws, alone.clusters[0]["key"])
    said = json.loads(entry.path.read_text())
    entry.path.write_text(json.dumps({**said, "schema": 4, "cluster": "orders"}))
    before = journal.read(entry.path)
    assert (before.cluster, before.clusters) == ("orders", ("orders",))
    for wrong in ("db:", "db:db:orders", "db:-", "cluster:orders", "db:orders\n", 5):
        entry.path.write_text(json.dumps({**said, "cluster": wrong}))
        with pytest.raises(store.JournalDamaged):
            journal.read(entry.path)
    entry.path.unlink()


def test_an_entry_that_names_an_instance_of_another_key_starts_nothing(aws, alone, rds):
    other = aws.call("kms", "CreateKey", {})["KeyMetadata"]["Arn"]
    aws.call("kms", "DisableKey", {"KeyId": other})
    rds.stop_db_instance(DBInstanceIdentifier="orders")
    entry = left_by(aws, other)
    said = []
    (left,) = restore.restore([entry], said.append)
    assert any("the instance orders is not encrypted under" in each for each in said)
    left.close()
    until(lambda: status(rds) == "stopped")
    rds.start_db_instance(DBInstanceIdentifier="orders")
    up(rds, "orders")


def test_the_switch_starts_an_instance_by_a_call_of_its_own(aws, alone, rds):
    key = gone(alone, rds)
    undo = DisableKey(key).undo()
    both = ("db:orders", "carts")
    switch.arm(aws, ROLE, run="r1", owner="o", clusters=both, key=key, undo=undo, after=3600)
    found = switch.armed(aws)
    assert [(each.call.operation, each.cluster) for each in found] == [
        ("EnableKey", "db:orders"), ("StartDBInstance", "db:orders"), ("StartDBCluster", "carts"),
    ]  # fmt: skip
    assert found[1].call.params == {"DBInstanceIdentifier": "orders"}
    raw = aws.call("scheduler", "GetSchedule", {"GroupName": names.GROUP, "Name": found[1].name})
    assert raw["Target"]["Arn"] == "arn:aws:scheduler:::aws-sdk:rds:startDBInstance"
    assert json.loads(raw["Target"]["Input"]) == {"DbInstanceIdentifier": "orders"}
    (entry,), problems = restore.entries_from_schedules(aws, found, keep=False)
    assert (entry.clusters, problems) == (both, [])
    assert switch.disarm(aws, entry.switch, "r1") == []
    aws.call("kms", "EnableKey", {"KeyId": key})
    rds.start_db_instance(DBInstanceIdentifier="orders")
    up(rds, "orders")


# Whole runs


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_the_experiment_for_clusters_runs_unchanged_on_an_instance(chaos):
    ran = chaos.run(CHAOS_LAB_DATABASE="instance", CHAOS_RECOVERY_STRATEGY="start")
    assert ran.status == 0, ran.output
    summary = ran.summary
    assert summary["cluster"] == "db:orders"
    assert summary["recovery_path"] == "start-db-instance"
    assert summary["hang"] == {"open_sessions": True, "new_connections": True}
    assert summary["time_to_impact_seconds"] > AFTER / 300 - 1
    assert summary["writes"]["lost"] == 0
    assert summary["seed_rows"] == {"expected": 4, "present": 4}


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("promise", "settings"),
    [
        ("rto", {"CHAOS_RTO": "30"}),
        (
            "lost_writes",
            {
                "CHAOS_LAB_FAULTS": '[{"kind": "lose-writes", "cluster": "orders"}]',
                "CHAOS_RECOVERY_STRATEGY": "start",
            },
        ),
    ],
)
def test_a_promise_that_an_instance_breaks_fails_the_run(chaos, promise, settings):
    ran = chaos.run(CHAOS_LAB_DATABASE="instance", **settings)
    assert ran.status == 1
    assert ran.summary["verdict"] == "failed"
    missed = [each["name"] for each in ran.summary["objectives"] if each["met"] is False]
    assert promise in missed


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_one_that_never_comes_back_is_told(chaos):
    ran = chaos.run(
        CHAOS_LAB_DATABASE="instance",
        CHAOS_RECOVERY_STRATEGY="self-only",
        CHAOS_RECOVERY_TIMEOUT="600",
    )
    assert ran.status == 1
    assert "db:orders to recover" in ran.output


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_run_on_an_instance_that_is_killed_is_put_back_by_its_watchdog(tmp_path):
    lab_as_aws = LabAsAws.start(
        tmp_path, speed=1000.0, database="instance", CHAOS_HOLD="60", CHAOS_CLUSTER_ID="",
        CHAOS_INSTANCE_ID="orders",
    )  # fmt: skip
    try:
        running = lab_as_aws.chaos.start_run()
        running.until_said("Action: hold-the-outage")
        running.signal(signal.SIGKILL)
        running.wait(60)
        until(lambda: lab_as_aws.key_state() == "Enabled")
        rds = lab_as_aws.client("rds")
        until(lambda: status(rds) == "available", timeout=60)
        until(lambda: not running.left(), every=0.2)
        assert lab_as_aws.mutating_calls().count("StartDBInstance") == 1
        assert "StartDBCluster" not in lab_as_aws.mutating_calls()
    finally:
        lab_as_aws.lab.stop()


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_an_instance_and_a_cluster_under_one_key_are_both_brought_back(tmp_path):
    lab_as_aws = LabAsAws.start(
        tmp_path, speed=1000.0, database="instance", clusters=2, CHAOS_CLUSTER_ID="",
        CHAOS_INSTANCE_ID="orders", CHAOS_BLAST_RADIUS="2", CHAOS_RECOVERY_STRATEGY="start",
        CHAOS_RTO="120", CHAOS_RECOVERY_TIMEOUT="120",
    )  # fmt: skip
    try:
        ran = lab_as_aws.chaos.run()
        assert ran.status == 0, ran.output
        calls = lab_as_aws.mutating_calls()
        assert calls.count("StartDBInstance") == 1
        assert status(lab_as_aws.client("rds")) == "available"
        assert lab_as_aws.cluster_status("carts") == "available"
    finally:
        lab_as_aws.lab.stop()


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_it_passes_under_the_printed_policy_of_an_instance(tmp_path):
    lab_as_aws = LabAsAws.start(
        tmp_path, iam=True, speed=1000.0, database="instance", CHAOS_CLUSTER_ID="",
        CHAOS_INSTANCE_ID="orders", CHAOS_RTO="120", **PATIENT,
    )  # fmt: skip
    try:
        who = somebody(lab_as_aws, Caller.RUN)
        ran = lab_as_aws.chaos.run(**who.env)
        assert ran.status == 0, ran.output
        called = lab_as_aws.called(who.access_key)
        assert called <= table(Caller.RUN)
        assert ("rds", "StartDBInstance") in called
    finally:
        lab_as_aws.lab.stop()


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_the_switch_alone_brings_it_back(tmp_path):
    """Nothing of the run is left: AWS itself calls EnableKey and StartDBInstance."""
    lab_as_aws = LabAsAws.start(
        tmp_path, speed=1000.0, database="instance", CHAOS_CLUSTER_ID="",
        CHAOS_INSTANCE_ID="orders", CHAOS_MAX_KEY_UNUSABLE="30",
    )  # fmt: skip
    try:
        role = switch_role(lab_as_aws)
        running = killed_in(lab_as_aws, watchdog=False, CHAOS_SWITCH_ROLE=role)
        until(lambda: not running.left(), every=0.2)
        assert lab_as_aws.key_state() == "Disabled"
        rds = lab_as_aws.client("rds")
        assert status(rds) == RECOVERABLE
        until(lambda: lab_as_aws.key_state() == "Enabled", 150, every=0.5)
        until(lambda: status(rds) == "available", 330, every=0.5)
        assert lab_as_aws.chaos.kms("restore").status == 0
        assert schedules(lab_as_aws) == []
    finally:
        lab_as_aws.lab.stop()
