"""Making and removing on a lab that holds callers to IAM: under exactly the printed policies."""

from __future__ import annotations

import itertools
import json
import os

import boto3
import pytest
from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.aurora import actions as aurora
from chaosaws_kms_ext.aurora import point_in_time
from chaosaws_kms_ext.iam.permissions import Caller
from chaosaws_kms_ext.iam.policies import Place
from chaosaws_kms_ext.kms import actions as kms_actions
from tests.support.chaos import CLIENTS
from tests.support.forked_labs import new_lab
from tests.support.labs import FAST, client, mostly_soak
from tests.support.least_privilege import ACCOUNT, ROOT, without
from tests.support.usual_policies import calls, policy

pytestmark = pytest.mark.thorough

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def strict():
    """A lab that holds its callers to IAM."""
    lab = new_lab(FAST, "observed", servers=False, iam=True)
    yield lab
    lab.stop()


@pytest.fixture
def somebody(strict, monkeypatch):
    """Makes this process a session of a role that has the policies `run` and `make`, but for."""

    def be(but=None):
        key = strict.clusters[0]["key"].rpartition("/")[2]
        place = Place(account=ACCOUNT, region=strict.region, cluster="orders", key=key)
        iam, name = client(strict, "iam"), f"maker{next(NUMBERS)}"
        trusted = {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "sts:AssumeRole"}
        role = iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trusted]}),
        )["Role"]["Arn"]
        for caller in (Caller.RUN, Caller.MAKER):
            iam.put_role_policy(
                RoleName=name,
                PolicyName=caller.value,
                PolicyDocument=json.dumps(without(policy(caller, place), but)),
            )
        given = client(strict, "sts").assume_role(RoleArn=role, RoleSessionName="game-day")
        keys = given["Credentials"]
        env = {
            **strict.environment,
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_SESSION_TOKEN": keys["SessionToken"],
            "CHAOS_TARGET": "aws",
            "CHAOS_CLUSTER_ID": "orders",
        }
        for variable, value in env.items():
            monkeypatch.setenv(variable, value)
        runs.end()
        monkeypatch.setattr(type(runs.current().settings), "status_poll", 0.2)

    yield be
    runs.end()


def story():
    """Every call that makes or removes something."""
    first, second = kms_actions.create_key("a"), kms_actions.create_key("b")
    cluster = aurora.create_encrypted_cluster(first["key"])
    snapshot = aurora.create_cluster_snapshot(cluster["cluster"])
    copy = aurora.copy_cluster_snapshot(snapshot["snapshot"], second["key"])
    aurora.restore_cluster(copy["snapshot"])
    point_in_time.restore_latest("orders", second["key"])
    kms_actions.rotate_key(first["key"])
    kms_actions.schedule_key_deletion(second["key"])
    kms_actions.cancel_key_deletion(second["key"], enable=True)
    aurora.clean_up()


WHO = {Caller.RUN, Caller.MAKER}

PROBES = {
    "Decrypt", "Encrypt", "GetKeyPolicy", "GetKeyRotationStatus", "ListGrants", "ListKeyRotations",
    "FailoverDBCluster", "LookupEvents", "PutKeyPolicy", "StartDBCluster",
}  # fmt: skip
"""What the probes, the faults and `failover_is_refused` call."""


def test_a_run_that_makes_things_needs_what_the_policies_allow(somebody, strict):
    somebody()
    story()
    lines = [json.loads(line) for line in strict.requests.read_text().splitlines()]
    ours = {
        (CLIENTS.get(each["service"], each["service"]), each["operation"])
        for each in lines
        if each["caller"] == os.environ["AWS_ACCESS_KEY_ID"]
    }
    table = {(call.service, call.operation) for call in calls() if Caller.MAKER in call.callers}
    assert {call for call in table if call[1] not in PROBES} <= ours
    assert ours <= {(c.service, c.operation) for c in calls() if {*c.callers} & WHO}


AT = "eu-west-1:123456789012"
MISSING = {
    "kms:CreateKey": "kms:CreateKey on *",
    "kms:TagResource": "kms:TagResource on arn:aws:kms:",
    "kms:CreateAlias": f"kms:CreateAlias on arn:aws:kms:{AT}:alias/chaos-",
    # RDS does not say what KMS refused.
    "kms:CreateGrant": "you do not have permissions to access it",
    "rds:CreateDBCluster": f"rds:CreateDBCluster on arn:aws:rds:{AT}:cluster:chaos-",
    "rds:CreateDBInstance": f"rds:CreateDBInstance on arn:aws:rds:{AT}:",
    "rds:CreateDBClusterSnapshot": "rds:CreateDBClusterSnapshot on arn:aws:rds:",
    "rds:CopyDBClusterSnapshot": "rds:CopyDBClusterSnapshot on arn:aws:rds:",
    "rds:RestoreDBClusterFromSnapshot": "rds:RestoreDBClusterFromSnapshot on arn:aws:rds:",
    "rds:RestoreDBClusterToPointInTime": "rds:RestoreDBClusterToPointInTime on arn:aws:rds:",
    "rds:DeleteDBCluster": f"rds:DeleteDBCluster on arn:aws:rds:{AT}:cluster:chaos-",
    "rds:DeleteDBInstance": f"rds:DeleteDBInstance on arn:aws:rds:{AT}:db:chaos-",
    "rds:DeleteDBClusterSnapshot": "rds:DeleteDBClusterSnapshot on arn:aws:rds:",
    "kms:ScheduleKeyDeletion": "kms:ScheduleKeyDeletion on arn:aws:kms:",
    "kms:CancelKeyDeletion": "kms:CancelKeyDeletion on arn:aws:kms:",
    "kms:EnableKey": "kms:EnableKey on arn:aws:kms:",
    "kms:RotateKeyOnDemand": "kms:RotateKeyOnDemand on arn:aws:kms:",
    "kms:ListResourceTags": "kms:ListResourceTags on arn:aws:kms:",
    "kms:DeleteAlias": f"kms:DeleteAlias on arn:aws:kms:{AT}:alias/chaos-",
    "tag:GetResources": "tag:GetResources on *",
}
OFTEN = {"kms:CreateKey", "kms:CreateGrant", "rds:DeleteDBCluster", "tag:GetResources"}


@pytest.mark.parametrize("action", mostly_soak(list(MISSING), lambda action: action in OFTEN))
def test_without_any_one_action_the_sentence_names_it(somebody, action):
    somebody(but=action)
    with pytest.raises(ActivityFailed) as failed:
        story()
    assert MISSING[action] in str(failed.value)
    assert "not allowed: " in str(failed.value) or action == "kms:CreateGrant"


@pytest.mark.soak
def test_every_action_that_the_lab_knows_is_tried(somebody):
    elsewhere = {"rds:AddTagsToResource", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"}
    probes = {f"{service}:{each}" for service in ("cloudtrail", "kms", "rds") for each in PROBES}
    made = {p.action for c in calls() if Caller.MAKER in c.callers for p in c.permissions}
    assert made - elsewhere - probes == set(MISSING)


def test_what_was_not_made_by_a_run_is_out_of_reach(somebody, strict):
    somebody()
    kms, rds = (
        boto3.Session().client(service, endpoint_url=strict.endpoint, region_name=strict.region)
        for service in ("kms", "rds")  # the default session may be another test's
    )
    key = client(strict, "kms").create_key()["KeyMetadata"]["Arn"]
    for refused in (
        lambda: kms.schedule_key_deletion(KeyId=key),
        lambda: kms.put_key_policy(KeyId=key, Policy="{}"),
        lambda: kms.rotate_key_on_demand(KeyId=key),
        lambda: kms.create_key(),
        lambda: kms.create_grant(KeyId=key, GranteePrincipal=ROOT, Operations=["Decrypt"]),
        lambda: rds.delete_db_cluster(DBClusterIdentifier="orders", SkipFinalSnapshot=True),
        lambda: rds.delete_db_instance(DBInstanceIdentifier="orders-1"),
        lambda: rds.create_db_cluster_snapshot(
            DBClusterIdentifier="orders", DBClusterSnapshotIdentifier="chaos-untagged"
        ),
    ):
        with pytest.raises(kms.exceptions.ClientError, match="AccessDenied"):
            refused()
