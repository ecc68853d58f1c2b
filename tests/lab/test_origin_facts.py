"""The article's facts of permissions: who may create a cluster, and which Deny breaks it."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from tests.support.clusters import AVAILABLE, NAMES, RECOVERABLE, becomes, new_cluster
from tests.support.document import shows
from tests.support.labs import client, until

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers]

ACCOUNT = "123456789012"
NEEDED = ["kms:DescribeKey", "kms:CreateGrant"]


@pytest.fixture
def person(lab):
    """Makes a user of IAM, and an RDS client with an access key of theirs."""
    iam = client(lab, "iam", "us-east-1")

    def make(*actions: str):
        name = f"person-{next(NAMES)}"
        iam.create_user(UserName=name)
        if actions:
            allow = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
            iam.put_user_policy(
                UserName=name,
                PolicyName="kms",
                PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
            )
        key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
        return f"arn:aws:iam::{ACCOUNT}:user/{name}", client(lab, "rds", access_key=key)

    return make


def create(rds, key):
    return new_cluster(rds, StorageEncrypted=True, KmsKeyId=key)


def refused(lab, rds, key):
    """Why KMS refused what RDS asked of it: RDS does not say, CloudTrail does."""
    with pytest.raises(ClientError) as caught:
        create(rds, key)
    assert caught.value.response["Error"]["Code"] == "KMSKeyNotAccessibleFault"
    trail = client(lab, "cloudtrail")
    of_key = [{"AttributeKey": "ResourceName", "AttributeValue": key}]

    def why():
        events = trail.lookup_events(LookupAttributes=of_key)["Events"]
        records = [json.loads(event["CloudTrailEvent"]) for event in events]
        of_kms = [r for r in records if r["eventSource"] == "kms.amazonaws.com"]
        return next((r["errorMessage"] for r in of_kms if "errorMessage" in r), None)

    return until(why)


def test_creating_a_cluster_takes_create_grant_and_describe_key_and_no_more(kms, person):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    _, rds = person(*NEEDED)
    create(rds, key)


@pytest.mark.parametrize("missing", NEEDED)
def test_creating_a_cluster_fails_without_either_permission(lab, kms, person, missing):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    arn, rds = person(*(action for action in NEEDED if action != missing))
    message = refused(lab, rds, key)
    assert missing in message
    assert arn in message


def test_the_key_policy_alone_can_give_the_permissions(lab, kms, person):
    arn, rds = person()
    administrators = {
        "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "kms:*", "Resource": "*",
    }  # fmt: skip
    through_rds = {
        "Effect": "Allow", "Principal": {"AWS": arn}, "Action": NEEDED, "Resource": "*",
        "Condition": {
            "StringEquals": {"kms:ViaService": "rds.eu-west-1.amazonaws.com"},
            "Bool": {"kms:GrantIsForAWSResource": "true"},
        },
    }  # fmt: skip
    describe = {
        **through_rds,
        "Action": "kms:DescribeKey",
        "Condition": {
            "StringEquals": {"kms:ViaService": "rds.eu-west-1.amazonaws.com"},
        },
    }
    policy = {"Version": "2012-10-17", "Statement": [administrators, through_rds, describe]}
    key = kms.create_key(Policy=json.dumps(policy))["KeyMetadata"]["Arn"]
    create(rds, key)
    policy["Statement"].remove(through_rds)
    kms.put_key_policy(KeyId=key, Policy=json.dumps(policy))
    assert "kms:CreateGrant" in refused(lab, rds, key)


def denying(*conditions):
    """A key policy that denies everybody but the administrator what uses the key."""
    allow = {
        "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "kms:*", "Resource": "*",
    }  # fmt: skip
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Resource": "*",
        "Action": ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
        "Condition": {"StringNotEquals": {k: v for c in conditions for k, v in c.items()}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [allow, deny]})


BUT_ME = {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/lab"}
BUT_THE_ACCOUNT = {"kms:CallerAccount": ACCOUNT}


@shows("kms:PutKeyPolicy", "rds:CreateDBCluster")
def test_a_deny_that_excepts_only_the_user_breaks_aurora_and_with_the_account_it_works(lab, kms):
    rds = client(lab, "rds")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.put_key_policy(KeyId=key, Policy=denying(BUT_ME))
    kms.encrypt(KeyId=key, Plaintext=b"the user is excepted")
    assert "explicit deny" in refused(lab, rds, key)
    kms.put_key_policy(KeyId=key, Policy=denying(BUT_ME, BUT_THE_ACCOUNT))
    create(rds, key)


@shows("kms:PutKeyPolicy", "rds:DescribeDBClusters")
def test_the_same_deny_takes_a_running_cluster_down_and_its_condition_brings_it_back(lab, kms):
    rds = client(lab, "rds")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    cluster = create(rds, key)
    becomes(rds, cluster, AVAILABLE)
    kms.put_key_policy(KeyId=key, Policy=denying(BUT_ME))
    becomes(rds, cluster, RECOVERABLE)
    kms.put_key_policy(KeyId=key, Policy=denying(BUT_ME, BUT_THE_ACCOUNT))
    becomes(rds, cluster, AVAILABLE)
