"""What an experiment makes and removes, as who is held to an IAM policy and nothing more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from tests.support.clusters import (
    AVAILABLE,
    RECOVERABLE,
    becomes,
    described,
    kept,
    refusal,
    snapshot_becomes,
    up,
    write,
)
from tests.support.document import shows
from tests.support.forked_labs import new_lab
from tests.support.identities import document
from tests.support.labs import FAST, client, until

pytestmark = pytest.mark.thorough

ACCOUNT, REGION = "123456789012", "eu-west-1"
RUN = "20261124T122101Z-a1b2c3"
PREFIX = f"chaos-{RUN.lower()}"
TAG = {"Key": "chaos:run", "Value": RUN}
PASSWORD = "not-so-secret"
ENGINE = {"Engine": "aurora-postgresql"}
NETWORK = {"DBSubnetGroupName": "team", "VpcSecurityGroupIds": ["sg-0a", "sg-0b"]}
ADMINISTRATORS = {
    "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*",
    "Resource": "*",
}  # fmt: skip


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


CREATES = [
    "rds:CreateDBCluster", "rds:CreateDBInstance", "rds:CreateDBClusterSnapshot",
    "rds:CopyDBClusterSnapshot", "rds:RestoreDBClusterFromSnapshot",
]  # fmt: skip
OURS = [arn("rds", f"{kind}:chaos-*") for kind in ("cluster", "db", "cluster-snapshot")]
GROUPS = [
    arn("rds", name)
    for name in ("cluster-pg:default.*", "pg:default.*", "og:default:*", "subgrp:team")
]
MAKES: dict[str, dict[str, Any]] = {
    "keys": {
        "Action": [
            "kms:CreateKey",
            "kms:TagResource",
            "kms:CreateAlias",
            "kms:DeleteAlias",
            "kms:DescribeKey",
            "kms:GetKeyPolicy",
            "kms:PutKeyPolicy",
            "kms:ListResourceTags",
            "kms:ListGrants",
            "kms:EnableKey",
            "kms:DisableKey",
            "kms:RotateKeyOnDemand",
            "kms:GetKeyRotationStatus",
            "kms:ListKeyRotations",
            "kms:Encrypt",
            "kms:Decrypt",
            "kms:ScheduleKeyDeletion",
            "kms:CancelKeyDeletion",
        ]
    },
    "grants": {
        "Action": "kms:CreateGrant",
        "Condition": {
            "Bool": {"kms:GrantIsForAWSResource": "true"},
        },
    },
    "creates": {"Action": CREATES, "Resource": [*OURS, *GROUPS]},
    "tags": {
        "Action": "rds:AddTagsToResource",
        "Resource": OURS,
        "Condition": {
            "StringEquals": {"aws:RequestTag/chaos:run": RUN},
            "ForAllValues:StringEquals": {"aws:TagKeys": ["chaos:run"]},
        },
    },
    "deletes": {
        "Action": ["rds:Delete*"],
        "Resource": OURS,
        "Condition": {
            "StringEquals": {"aws:ResourceTag/chaos:run": RUN},
        },
    },
    "looks": {"Action": ["rds:Describe*", "tag:GetResources", "cloudtrail:LookupEvents"]},
}


class Somebody:
    """A user whose only policy is MAKES but for the parts named."""

    def __init__(self, lab: LocalLab, name: str, *without: str) -> None:
        self._lab, self.name = lab, name
        iam = client(lab, "iam", "us-east-1")
        iam.create_user(UserName=name)
        allowed = [
            {"Effect": "Allow", "Resource": "*", **statement}
            for part, statement in MAKES.items()
            if part not in without
        ]
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document(*allowed))
        self._key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]

    def __call__(self, service: str) -> Any:
        return client(self._lab, service, access_key=self._key)


@pytest.fixture(scope="module")
def lab() -> Iterator[LocalLab]:
    """One that holds to IAM who is known there."""
    running = new_lab(FAST, "observed", iam=True)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def maker(lab):
    return Somebody(lab, "maker")


@pytest.fixture
def kms(maker):
    return maker("kms")


@pytest.fixture
def rds(maker):
    return maker("rds")


def make_key(kms, **params):
    tags = [{"TagKey": TAG["Key"], "TagValue": TAG["Value"]}]
    return kms.create_key(Tags=tags, **params)["KeyMetadata"]["Arn"]


def request(name, key, **more):
    return {
        "DBClusterIdentifier": f"{PREFIX}-{name}",
        "KmsKeyId": key,
        "StorageEncrypted": True,
        "MasterUsername": "app",
        "MasterUserPassword": PASSWORD,
        "Tags": [TAG],
        **ENGINE,
        **NETWORK,
        **more,
    }


def make_cluster(rds, name, key):
    made = rds.create_db_cluster(**request(name, key))["DBCluster"]
    becomes(rds, made, AVAILABLE)
    return made


def make_instance(rds, cluster, **more):
    made = rds.create_db_instance(
        DBInstanceIdentifier=f"{cluster['DBClusterIdentifier']}-1",
        DBClusterIdentifier=cluster["DBClusterIdentifier"],
        DBInstanceClass="db.r6g.large",
        Tags=[TAG],
        **ENGINE,
        **more,
    )["DBInstance"]
    up(rds, made["DBInstanceIdentifier"])
    return made


def remove(rds, cluster):
    """As the documents have it: the instances, then the cluster; and until it is gone."""
    for member in described(rds, cluster)["DBClusterMembers"]:
        rds.delete_db_instance(DBInstanceIdentifier=member["DBInstanceIdentifier"])
    name = {"DBClusterIdentifier": cluster["DBClusterIdentifier"]}
    rds.delete_db_cluster(SkipFinalSnapshot=True, **name)
    until(lambda: not _there(rds, name))


def _there(rds, name):
    try:
        return rds.describe_db_clusters(**name)["DBClusters"]
    except rds.exceptions.DBClusterNotFoundFault:
        return []


def of_the_run(maker):
    pages = (
        maker("resourcegroupstaggingapi")
        .get_paginator("get_resources")
        .paginate(TagFilters=[{"Key": TAG["Key"], "Values": [RUN]}])
    )
    return {each["ResourceARN"] for page in pages for each in page["ResourceTagMappingList"]}


@shows(
    "kms:CreateKey",
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:TagResource",
    "kms:ScheduleKeyDeletion",
    "kms:CancelKeyDeletion",
)
def test_a_key_is_made_with_its_tags_and_its_policy_and_goes_with_its_alias(kms, maker):
    policy = {"Version": "2012-10-17", "Statement": [ADMINISTRATORS]}
    key, alias = make_key(kms, Policy=json.dumps(policy)), f"alias/{PREFIX}-key"
    assert json.loads(kms.get_key_policy(KeyId=key)["Policy"]) == policy
    kms.create_alias(AliasName=alias, TargetKeyId=key)
    assert kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyManager"] == "CUSTOMER"
    kms.tag_resource(KeyId=key, Tags=[{"TagKey": "more", "TagValue": "x"}])
    assert len(kms.list_resource_tags(KeyId=key)["Tags"]) == 2
    assert key in of_the_run(maker)
    kms.delete_alias(AliasName=alias)
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    assert key in of_the_run(maker)
    kms.cancel_key_deletion(KeyId=key)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"


@shows(
    "rds:CreateDBCluster",
    "rds:CreateDBInstance",
    "rds:CreateDBClusterSnapshot",
    "rds:CopyDBClusterSnapshot",
    "rds:RestoreDBClusterFromSnapshot",
    "rds:DeleteDBInstance",
    "rds:DeleteDBCluster",
    "rds:DeleteDBClusterSnapshot",
)
def test_everything_a_run_makes_carries_its_tag_and_is_found_by_it_until_it_is_gone(
    kms, rds, maker, monkeypatch
):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    a, b = make_key(kms), make_key(kms)
    before = of_the_run(maker)
    cluster = make_cluster(rds, "c", a)
    instance = make_instance(rds, cluster)
    cluster = described(rds, cluster)
    assert cluster["DBSubnetGroup"] == "team"
    assert [g["VpcSecurityGroupId"] for g in cluster["VpcSecurityGroups"]] == ["sg-0a", "sg-0b"]
    assert cluster["DeletionProtection"] is False
    write(cluster, "x")
    taken = rds.create_db_cluster_snapshot(
        DBClusterSnapshotIdentifier=f"{PREFIX}-s",
        Tags=[TAG],
        DBClusterIdentifier=cluster["DBClusterIdentifier"],
    )["DBClusterSnapshot"]
    snapshot_becomes(rds, f"{PREFIX}-s", "available")
    copied = rds.copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier=f"{PREFIX}-s",
        TargetDBClusterSnapshotIdentifier=f"{PREFIX}-s-b",
        KmsKeyId=b,
        Tags=[TAG],
    )["DBClusterSnapshot"]
    snapshot_becomes(rds, f"{PREFIX}-s-b", "available")
    found = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=f"{PREFIX}-s-b")
    assert found["DBClusterSnapshots"][0]["TagList"] == [TAG]
    assert found["DBClusterSnapshots"][0]["KmsKeyId"] == b
    restoring = {
        "DBClusterIdentifier": f"{PREFIX}-r", "SnapshotIdentifier": f"{PREFIX}-s-b",
        "KmsKeyId": b, "Tags": [TAG], **ENGINE, **NETWORK,
    }  # fmt: skip
    restored = rds.restore_db_cluster_from_snapshot(**restoring)["DBCluster"]
    early = {"DBInstanceIdentifier": f"{PREFIX}-early", "DBInstanceClass": "db.r6g.large"}
    early |= {"DBClusterIdentifier": restored["DBClusterIdentifier"], **ENGINE}
    assert refusal(rds.create_db_instance, **early) == "InvalidDBClusterStateFault"
    becomes(rds, restored, AVAILABLE)
    second = make_instance(rds, restored)
    restored = described(rds, restored)
    assert (restored["KmsKeyId"], restored["TagList"]) == (b, [TAG])
    assert restored["DBSubnetGroup"] == "team"
    assert kept(restored) == ["x"]
    assert of_the_run(maker) - before == {
        cluster["DBClusterArn"],
        instance["DBInstanceArn"],
        taken["DBClusterSnapshotArn"],
        copied["DBClusterSnapshotArn"],
        restored["DBClusterArn"],
        second["DBInstanceArn"],
    }
    for each in (cluster, restored):
        remove(rds, each)
    for name in (f"{PREFIX}-s", f"{PREFIX}-s-b"):
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)
    assert of_the_run(maker) == before
    for key in (a, b):
        assert kms.list_grants(KeyId=key)["Grants"] == []


def test_what_is_without_its_key_is_removed_as_it_is_and_so_is_what_was_never_finished(kms, rds):
    key = make_key(kms)
    cluster = make_cluster(rds, "gone", key)
    make_instance(rds, cluster)
    kms.disable_key(KeyId=key)
    becomes(rds, cluster, RECOVERABLE)
    remove(rds, cluster)
    kms.enable_key(KeyId=key)
    remove(rds, rds.create_db_cluster(**request("unfinished", key))["DBCluster"])


@pytest.mark.parametrize(
    ("without", "refused"),
    [
        ("tags", f"rds:AddTagsToResource on resource: {arn('rds', f'cluster:{PREFIX}-no')}"),
        ("creates", f"rds:CreateDBCluster on resource: {arn('rds', f'cluster:{PREFIX}-no')}"),
        ("grants", "you do not have permissions to access it"),
    ],
)
def test_what_is_missing_to_make_a_cluster_is_said_as_aws_says_it(lab, kms, without, refused):
    poor = Somebody(lab, f"without-{without}", without)("rds")
    with pytest.raises(poor.exceptions.ClientError) as caught:
        poor.create_db_cluster(**request("no", make_key(kms)))
    assert refused in caught.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        ({"DBSubnetGroupName": "other"}, "subgrp:other"),
        ({"DBClusterParameterGroupName": "own"}, "cluster-pg:own"),
        ({"DBClusterIdentifier": "orders-2"}, "cluster:orders-2"),
    ],
)
def test_who_may_make_some_things_may_not_make_others(kms, rds, changed, refused):
    with pytest.raises(rds.exceptions.ClientError) as caught:
        rds.create_db_cluster(**request("no", make_key(kms), **changed))
    said = f"rds:CreateDBCluster on resource: {arn('rds', refused)}"
    assert said in caught.value.response["Error"]["Message"]


def test_another_runs_tag_is_neither_given_nor_removed(lab, kms, rds):
    other = {"Key": "chaos:run", "Value": "another"}
    params = request("no", make_key(kms), Tags=[other])
    assert refusal(rds.create_db_cluster, **params) == "AccessDenied"
    name = {"DBClusterIdentifier": f"{PREFIX}-of-another"}
    client(lab, "rds").create_db_cluster(**name, **ENGINE, Tags=[other])
    assert refusal(rds.delete_db_cluster, SkipFinalSnapshot=True, **name) == "AccessDenied"


@shows("kms:RotateKeyOnDemand", "kms:ListKeyRotations", "kms:GetKeyRotationStatus")
def test_a_rotation_is_listed_and_what_was_encrypted_before_decrypts(kms):
    key = make_key(kms)
    old = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert kms.list_key_rotations(KeyId=key)["Rotations"] == []
    assert kms.rotate_key_on_demand(KeyId=key)["KeyId"] == key
    (rotation,) = kms.list_key_rotations(KeyId=key)["Rotations"]
    assert (rotation["KeyId"], rotation["RotationType"]) == (key, "ON_DEMAND")
    every = kms.list_key_rotations(KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
    assert [each["KeyMaterialState"] for each in every] == ["NON_CURRENT", "CURRENT"]
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is False
    assert kms.decrypt(CiphertextBlob=old)["KeyMaterialId"] == every[0]["KeyMaterialId"]


@shows("kms:RotateKeyOnDemand")
@pytest.mark.soak
def test_a_key_is_rotated_on_demand_25_times_and_a_disabled_one_not_at_all(kms):
    key = make_key(kms)
    for _ in range(25):
        kms.rotate_key_on_demand(KeyId=key)
    assert refusal(kms.rotate_key_on_demand, KeyId=key) == "LimitExceededException"
    kms.disable_key(KeyId=key)
    assert refusal(kms.rotate_key_on_demand, KeyId=key) == "DisabledException"


def policy_with(*conditions):
    """One that denies the use of the key to all but the administrator and the makers."""
    allowed = {
        "aws:PrincipalArn": [
            f"arn:aws:iam::{ACCOUNT}:user/lab",
            f"arn:aws:iam::{ACCOUNT}:user/maker",
        ]
    }
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Resource": "*",
        "Action": ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
        "Condition": {"StringNotEquals": {**allowed, **{k: v for c in conditions for k, v in c}}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [ADMINISTRATORS, deny]})


@shows("kms:PutKeyPolicy", "kms:GetKeyPolicy")
def test_a_deny_without_the_account_keeps_clusters_from_the_key_until_the_policy_is_put_back(
    lab, kms, rds
):
    key = make_key(kms)
    before = kms.get_key_policy(KeyId=key)["Policy"]
    cluster = make_cluster(rds, "denied", key)
    make_instance(rds, cluster)
    kms.put_key_policy(KeyId=key, Policy=policy_with([("kms:CallerAccount", ACCOUNT)]))
    assert kms.encrypt(KeyId=key, Plaintext=b"x")
    remove(rds, make_cluster(rds, "with", key))
    kms.put_key_policy(KeyId=key, Policy=policy_with())
    assert kms.encrypt(KeyId=key, Plaintext=b"excepted")
    code = refusal(rds.create_db_cluster, **request("without", key))
    assert code == "KMSKeyNotAccessibleFault"
    becomes(rds, cluster, RECOVERABLE)
    kms.put_key_policy(KeyId=key, Policy=before)
    assert json.loads(kms.get_key_policy(KeyId=key)["Policy"]) == json.loads(before)
    name = {"DBClusterIdentifier": cluster["DBClusterIdentifier"]}
    assert refusal(rds.start_db_cluster, **name) == "AccessDenied"
    client(lab, "rds").start_db_cluster(**name)
    becomes(rds, cluster, AVAILABLE)
    remove(rds, cluster)


@shows("cloudtrail:LookupEvents")
def test_who_disabled_the_key_and_whose_decrypts_failed_is_found_by_key_and_by_name(
    kms, rds, maker
):
    key = make_key(kms)
    cluster = make_cluster(rds, "told", key)
    kms.disable_key(KeyId=key)
    becomes(rds, cluster, RECOVERABLE)
    kms.enable_key(KeyId=key)
    remove(rds, cluster)

    def look(attribute, value):
        wanted = [{"AttributeKey": attribute, "AttributeValue": value}]
        pages = maker("cloudtrail").get_paginator("lookup_events").paginate(LookupAttributes=wanted)
        found = [json.loads(e["CloudTrailEvent"]) for page in pages for e in page["Events"]]
        return [e for e in found if key in [r["ARN"] for r in e.get("resources") or []]]

    (enabled,) = until(lambda: look("EventName", "EnableKey"))
    (disabled,) = look("EventName", "DisableKey")
    assert enabled["userIdentity"]["arn"].endswith(":user/maker")
    assert disabled["userIdentity"]["arn"].endswith(":user/maker")
    by_key = look("ResourceName", key)
    assert {"DisableKey", "EnableKey", "CreateGrant"} <= {e["eventName"] for e in by_key}
    failed = [e for e in by_key if e["eventName"] == "Decrypt" and "errorCode" in e]
    assert {e["errorCode"] for e in failed} == {"DisabledException"}
    assert {e["userIdentity"]["invokedBy"] for e in failed} == {"rds.amazonaws.com"}
    assert failed == [e for e in look("EventName", "Decrypt") if "errorCode" in e]
