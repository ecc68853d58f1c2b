"""Related multi-Region keys: made, used in place of each other, rotated, disabled, deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.document import deviates, shows
from tests.support.in_process_lab import InProcessLab
from tests.support.kms_world import ADMINISTRATOR, DAY, Kms, allow, deny, policy, user

pytestmark = pytest.mark.common_lab

THERE, FAR = "eu-central-1", "us-east-1"


@pytest.fixture
def lab() -> Kms:
    return Kms()


@pytest.fixture
def key(lab: Kms) -> str:
    return lab.key(MultiRegion=True)


def replicate(lab: Kms, key: str, region: str = THERE, **more: Any) -> Any:
    return lab.ask("ReplicateKey", KeyId=key, ReplicaRegion=region, **more)


def described(lab: Kms, key: str, region: str) -> Any:
    return lab.ask("DescribeKey", KeyId=key, region=region)["KeyMetadata"]


def sealed(lab: Kms, key: str, **where: str) -> bytes:
    blob: bytes = lab.ask("Encrypt", KeyId=key, Plaintext=b"row", **where)["CiphertextBlob"]
    return blob


@shows("kms:ReplicateKey")
@deviates("kms:ReplicateKey", "the replica can be used at once, though the answer says Creating")
def test_what_one_key_encrypts_the_other_decrypts(own_lab: InProcessLab) -> None:
    here, there = (own_lab.client("kms", region=region) for region in ("eu-west-1", THERE))
    made = here.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
    blob = here.encrypt(KeyId=made, Plaintext=b"row")["CiphertextBlob"]
    tags = [{"TagKey": "a", "TagValue": "1"}]
    answer = here.replicate_key(KeyId=made, ReplicaRegion=THERE, Tags=tags)
    assert answer["ReplicaKeyMetadata"]["KeyState"] == "Creating"
    assert answer["ReplicaTags"] == there.list_resource_tags(KeyId=made)["Tags"] == tags
    assert here.list_resource_tags(KeyId=made)["Tags"] == []
    opened = there.decrypt(CiphertextBlob=blob)
    assert (opened["Plaintext"], opened["KeyId"].split(":")[3]) == (b"row", THERE)
    own_lab.pass_time(600)
    trail = own_lab.client("cloudtrail", region=THERE)
    names = {event["EventName"] for event in trail.lookup_events()["Events"]}
    assert "CreateKey" in names, "a ReplicateKey is logged as CreateKey where the replica is"


def test_a_key_that_is_not_the_primary_is_not_replicated(lab, key):
    replicate(lab, key)
    for params in ({"KeyId": lab.key()}, {"KeyId": key, "region": THERE}):
        refused = lab.refusal("ReplicateKey", ReplicaRegion=FAR, **params)
        assert refused.code == "UnsupportedOperationException"


@pytest.mark.parametrize("region", ["eu-west-1", THERE])
def test_a_region_has_one_of_the_related_keys(lab, key, region):
    replicate(lab, key)
    refused = lab.refusal("ReplicateKey", KeyId=key, ReplicaRegion=region)
    assert refused.code == "AlreadyExistsException"


@deviates("kms:ReplicateKey", "keys with imported material are not replicated")
def test_imported_material_is_not_replicated(own_lab: InProcessLab) -> None:
    kms = own_lab.client("kms")
    made = kms.create_key(MultiRegion=True, Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
    with pytest.raises(kms.exceptions.KMSInvalidStateException):
        kms.replicate_key(KeyId=made, ReplicaRegion=THERE)
    own_lab.world.region("eu-west-1").keys[made].state = "Enabled"
    with pytest.raises(kms.exceptions.UnsupportedOperationException):
        kms.replicate_key(KeyId=made, ReplicaRegion=THERE)


def test_each_key_has_a_state_and_a_policy_of_its_own(lab, key):
    replicate(lab, key, Policy=policy(deny("kms:Decrypt", Principal="*")), Description="there")
    assert described(lab, key, THERE)["Description"] == "there"
    blob = sealed(lab, key, region=THERE)
    assert lab.refusal("Decrypt", CiphertextBlob=blob, region=THERE).code == "AccessDeniedException"
    lab.ask("DisableKey", KeyId=key)
    assert described(lab, key, THERE)["KeyState"] == "Enabled"
    assert lab.refusal("ReplicateKey", KeyId=key, ReplicaRegion=FAR).code == "DisabledException"


def test_a_policy_that_locks_its_caller_out_makes_no_replica(lab, key):
    refused = lab.refusal("ReplicateKey", KeyId=key, ReplicaRegion=THERE, Policy=policy(root=False))
    assert refused.code == "MalformedPolicyDocumentException"
    assert lab.refusal("DescribeKey", KeyId=key, region=THERE).code == "NotFoundException"
    replicate(lab, key)


@pytest.mark.parametrize("missing", ["kms:ReplicateKey", "kms:CreateKey", "kms:TagResource"])
def test_it_takes_the_permission_on_the_primary_and_to_make_a_key(lab, key, missing):
    rights = {"kms:ReplicateKey", "kms:CreateKey", "kms:TagResource", "kms:PutKeyPolicy"}
    tags = [{"TagKey": "a", "TagValue": "1"}]
    poor = user("poor", allow(sorted(rights - {missing})))
    refused = lab.refusal("ReplicateKey", poor, KeyId=key, ReplicaRegion=THERE, Tags=tags)
    assert (refused.code, missing in refused.message) == ("AccessDeniedException", True)
    replicate(lab, key, caller=user("rich", allow(sorted(rights))), Tags=tags)


def test_a_condition_tells_replicas_from_primary_keys(lab, key):
    replicate(lab, key)
    only = {"StringEquals": {"kms:MultiRegionKeyType": "REPLICA", "kms:PrimaryRegion": "eu-west-1"}}
    caller = user("one", allow("kms:Encrypt", Condition=only))
    lab.ask("Encrypt", caller, KeyId=key, Plaintext=b"x", region=THERE)
    assert lab.refusal("Encrypt", caller, KeyId=key, Plaintext=b"x").code == "AccessDeniedException"


def test_the_primary_is_rotated_for_all(lab, key):
    replicate(lab, key)
    old = sealed(lab, key, region=THERE)
    lab.ask("EnableKeyRotation", KeyId=key, RotationPeriodInDays=90)
    status = lab.ask("GetKeyRotationStatus", KeyId=key, region=THERE)
    assert (status["KeyRotationEnabled"], status["RotationPeriodInDays"]) == (True, 90)
    for operation in ("EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand"):
        refused = lab.refusal(operation, KeyId=key, region=THERE)
        assert refused.code == "UnsupportedOperationException"
    lab.ask("RotateKeyOnDemand", KeyId=key)
    lab.pass_time(90 * DAY)
    there = described(lab, key, THERE)["CurrentKeyMaterialId"]
    assert there == described(lab, key, "eu-west-1")["CurrentKeyMaterialId"]
    assert len(lab.ask("ListKeyRotations", KeyId=key, region=THERE)["Rotations"]) == 2
    assert lab.ask("Decrypt", CiphertextBlob=old, region=THERE)["Plaintext"] == b"row"


def test_a_primary_is_deleted_after_its_replicas(lab, key):
    replicate(lab, key)
    answer = lab.ask("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
    assert answer["KeyState"] == "PendingReplicaDeletion"
    assert "DeletionDate" not in answer
    waiting = described(lab, key, "eu-west-1")
    assert waiting["PendingDeletionWindowInDays"] == 7
    refused = lab.refusal("Encrypt", KeyId=key, Plaintext=b"x")
    assert refused.code == "KMSInvalidStateException"
    lab.pass_time(30 * DAY)
    assert lab.state(key) == "PendingReplicaDeletion"
    lab.ask("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7, region=THERE)
    lab.pass_time(7 * DAY)
    last = described(lab, key, "eu-west-1")
    assert (last["KeyState"], "PendingDeletionWindowInDays" in last) == ("PendingDeletion", False)
    assert last["MultiRegionConfiguration"]["ReplicaKeys"] == []
    lab.pass_time(7 * DAY)
    assert lab.refusal("DescribeKey", KeyId=key).code == "NotFoundException"


def test_a_deletion_that_waits_for_replicas_can_be_cancelled(lab, key):
    replicate(lab, key)
    lab.ask("ScheduleKeyDeletion", KeyId=key)
    lab.ask("CancelKeyDeletion", KeyId=key)
    assert lab.state(key) == "Disabled"
    lab.ask("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7, region=THERE)
    lab.pass_time(100 * DAY)
    assert lab.state(key) == "Disabled"
    replicate_again = {"KeyId": key, "ReplicaRegion": THERE}
    lab.ask("EnableKey", KeyId=key)
    lab.ask("ReplicateKey", ADMINISTRATOR, **replicate_again)
    assert json.loads(lab.ask("GetKeyPolicy", KeyId=key, region=THERE)["Policy"])["Statement"]
