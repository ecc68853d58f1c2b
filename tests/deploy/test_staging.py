"""The staging stack as a whole, on a lab that enforces IAM: created, used for a run, deleted."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.support import staging, state_machines
from tests.support.chaos import LabAsAws
from tests.support.labs import program, until
from tests.support.staging import CLUSTER, NAME, TEMPLATE

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(600)]

SPEED = 100.0
DATA = TEMPLATE.with_name("staging-data.sql")

HAS = {
    "aliases", "alarms", "clusters", "groups", "instances", "logs", "log policies", "machines",
    "roles", "rules", "schedules", "security groups", "topics",
}  # fmt: skip
"""What the stack has while it is there, but for the secret, whose name RDS makes."""

OWNER = {"AWS_ACCESS_KEY_ID": "lab"}
"""Whoever deploys: the lab's owner, who may do everything."""


@pytest.fixture(scope="module")
def lab_as_aws(tmp_path_factory):
    play = LabAsAws.start(tmp_path_factory.mktemp("staging"), speed=SPEED, iam=True)
    del play.chaos.env["CHAOS_CLUSTER_ID"]
    yield play
    play.lab.stop()


@pytest.fixture(scope="module")
def stack(lab_as_aws):
    """The stack, created by the commands of docs/staging.md."""
    given = staging.network(lab_as_aws.client)
    lab_as_aws.client("cloudformation").create_stack(
        StackName=NAME,
        TemplateBody=TEMPLATE.read_text(),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=staging.parameters(given),
    )
    made = staging.finished(lab_as_aws.client)
    assert made["StackStatus"] == "CREATE_COMPLETE", staging.failures(lab_as_aws.client)
    return made


def resource(lab_as_aws, logical):
    found = lab_as_aws.client("cloudformation").describe_stack_resources(
        StackName=NAME, LogicalResourceId=logical
    )
    return found["StackResources"][0]["PhysicalResourceId"]


def copies(lab_as_aws):
    found = lab_as_aws.client("rds").describe_db_cluster_snapshots(DBClusterIdentifier=CLUSTER)
    return {each["DBClusterSnapshotIdentifier"]: each for each in found["DBClusterSnapshots"]}


def copied(lab_as_aws, monkeypatch, stack):
    """Runs the state machine that makes a copy; the names of the cluster's snapshots then."""
    role = resource(lab_as_aws, "CopyRole")
    machine = staging.outputs(stack)["Copy"]
    with staging.as_people_assume_it(lab_as_aws, role) as credentials:
        status, history = state_machines.executed(lab_as_aws, monkeypatch, machine, credentials)
    assert status == "SUCCEEDED", history[-1]
    return copies(lab_as_aws)


def logged(lab_as_aws, group):
    found = lab_as_aws.client("logs").filter_log_events(logGroupName=group)["events"]
    return [json.loads(each["message"])["detail"] for each in found]


def test_a_stack_is_created_used_for_a_run_and_deleted_and_nothing_is_left(
    lab_as_aws, stack, monkeypatch
):
    chaos, said = lab_as_aws.chaos, staging.outputs(stack)

    env = staging.evaluated(chaos.kms("env", "--stack", NAME, **OWNER).output)
    assert env["CHAOS_CLUSTER_ID"] == CLUSTER
    session = staging.session(lab_as_aws, said["RunRole"])
    runner = {**env, **session, "CHAOS_DEPENDENTS": "require"}
    ran = chaos.kms("doctor", **runner)
    assert ran.status == 1
    refused = [line for line in ran.output.splitlines() if line.startswith("REFUSED")]
    assert len(refused) == 1, ran.output
    assert f"{CLUSTER} has no snapshot under another key" in refused[0]

    (first,) = copied(lab_as_aws, monkeypatch, stack)
    (second,) = copied(lab_as_aws, monkeypatch, stack)
    assert first != second
    (copy,) = copies(lab_as_aws).values()
    assert copy["KmsKeyId"].endswith(resource(lab_as_aws, "CopyKey"))
    ran = chaos.kms("doctor", **runner)
    assert ran.status == 0, ran.output
    assert "unproven" not in ran.output

    put_data(lab_as_aws, env)
    ran = chaos.run(**runner)
    assert ran.status == 0, ran.output
    summary = ran.summary
    assert (summary["verdict"], summary["cluster"]) == ("passed", CLUSTER)
    assert summary["key"] == env["CHAOS_KEY_ID"]
    # Who disabled it was the run role: the alarm is about others.
    group = said["EventLog"]
    events = logged(lab_as_aws, group)
    assert {each.get("EventID") for each in events} == {"RDS-EVENT-0418", "RDS-EVENT-0419"}

    kms = lab_as_aws.client("kms")
    kms.disable_key(KeyId=env["CHAOS_KEY_ID"])
    kms.enable_key(KeyId=env["CHAOS_KEY_ID"])
    until(lambda: len(logged(lab_as_aws, group)) > len(events))
    somebody = logged(lab_as_aws, group)[-1]
    assert (somebody["eventName"], somebody["userIdentity"]["userName"]) == ("DisableKey", "lab")

    keys = [resource(lab_as_aws, "Key"), resource(lab_as_aws, "CopyKey")]
    lab_as_aws.client("rds").delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=second)
    assert set(left(lab_as_aws)) == HAS
    lab_as_aws.client("cloudformation").delete_stack(StackName=NAME)
    assert staging.finished(lab_as_aws.client) == {}
    assert left(lab_as_aws) == {}
    assert lab_as_aws.client("secretsmanager").list_secrets()["SecretList"] == []
    states = [kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] for key in keys]
    assert states == ["PendingDeletion"] * 2


def put_data(lab_as_aws, env):
    """By psql, with the password of Secrets Manager (docs/staging.md)."""
    client = lab_as_aws.client
    secret = client("secretsmanager").get_secret_value(SecretId=env["CHAOS_DATABASE_SECRET"])
    login = json.loads(secret["SecretString"])
    found = client("rds").describe_db_clusters(DBClusterIdentifier=CLUSTER)["DBClusters"][0]
    reached = f"host={found['Endpoint']} port={found['Port']} dbname={found['DatabaseName']}"
    done = subprocess.run(
        [program("psql"), "-v", "ON_ERROR_STOP=1", "-f", str(DATA), f"{reached} user=app"],
        env={"PATH": os.environ["PATH"], "PGPASSWORD": login["password"]},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (login["username"], done.returncode) == ("app", 0), done.stderr


def left(lab_as_aws):
    """What the stack's services still have of it."""
    client = lab_as_aws.client
    listed = {
        "aliases": client("kms").list_aliases()["Aliases"],
        "alarms": client("cloudwatch").describe_alarms()["MetricAlarms"],
        "clusters": client("rds").describe_db_clusters()["DBClusters"],
        "groups": client("rds").describe_db_subnet_groups()["DBSubnetGroups"],
        "instances": client("rds").describe_db_instances()["DBInstances"],
        "logs": client("logs").describe_log_groups()["logGroups"],
        "log policies": client("logs").describe_resource_policies()["resourcePolicies"],
        "machines": client("stepfunctions").list_state_machines()["stateMachines"],
        "roles": client("iam").list_roles()["Roles"],
        "rules": client("events").list_rules()["Rules"],
        "schedules": client("scheduler").list_schedules()["Schedules"],
        "security groups": client("ec2").describe_security_groups()["SecurityGroups"],
        "snapshots": client("rds").describe_db_cluster_snapshots()["DBClusterSnapshots"],
        "topics": client("sns").list_topics()["Topics"],
    }
    found = {name: [str(each) for each in items] for name, items in listed.items()}
    ours = {name: [each for each in items if CLUSTER in each or NAME in each]
            for name, items in found.items()}  # fmt: skip
    return {name: items for name, items in ours.items() if items}
