"""Keys, their metadata, aliases and tags, without HTTP."""

from __future__ import annotations

import re

import pytest

from chaosaws_kms_lab import kms
from tests.support.kms_world import REGION, Kms

pytestmark = pytest.mark.common_lab


@pytest.fixture
def lab() -> Kms:
    return Kms()


def test_the_seed_s_key_is_one_like_any_other(lab):
    region = lab.world.region(REGION)
    key = kms.create_key(region, lab.world, "seed", tags={"app": "shop"})
    said = lab.ask("DescribeKey", KeyId=key.id)["KeyMetadata"]
    assert (said["Description"], said["KeyState"]) == ("seed", "Enabled")
    assert said["CurrentKeyMaterialId"] == key.materials[0].id
    tags = lab.ask("ListResourceTags", KeyId=key.id)["Tags"]
    assert tags == [{"TagKey": "app", "TagValue": "shop"}]
    lab.ask("Encrypt", KeyId=key.id, Plaintext=b"x")


def test_a_multi_region_key_says_so(lab):
    said = lab.ask("CreateKey", MultiRegion=True)["KeyMetadata"]
    assert re.fullmatch(r"mrk-[0-9a-f]{32}", said["KeyId"])
    assert said["MultiRegion"] is True
    assert said["MultiRegionConfiguration"] == {
        "MultiRegionKeyType": "PRIMARY",
        "PrimaryKey": {"Arn": said["Arn"], "Region": REGION},
        "ReplicaKeys": [],
    }
    blob = lab.ask("Encrypt", KeyId=said["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    assert lab.ask("Decrypt", CiphertextBlob=blob)["Plaintext"] == b"x"
    plain = lab.ask("CreateKey")["KeyMetadata"]
    assert plain["MultiRegion"] is False
    assert "MultiRegionConfiguration" not in plain


@pytest.mark.parametrize(
    "kind",
    [
        {"KeySpec": "RSA_2048"},
        {"CustomerMasterKeySpec": "ECC_NIST_P256"},
        {"KeyUsage": "SIGN_VERIFY"},
        {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"},
    ],
)
def test_a_key_that_the_lab_does_not_make_is_said(lab, kind):
    assert lab.refusal("CreateKey", **kind).code == "UnsupportedOperationException"
    assert lab.ask("ListKeys")["Keys"] == []


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["aws:mine"], "TagException"),
        (["a", "a"], "TagException"),
        ([f"t{n}" for n in range(51)], "TagException"),
    ],
)
def test_tags_that_aws_does_not_take_are_refused(lab, names, code):
    key, tags = lab.key(), [{"TagKey": name, "TagValue": ""} for name in names]
    assert lab.refusal("TagResource", KeyId=key, Tags=tags).code == code
    assert lab.refusal("CreateKey", Tags=tags).code == code
    assert lab.ask("ListResourceTags", KeyId=key)["Tags"] == []


def test_a_key_can_have_50_tags_and_they_come_in_one_page(lab):
    tags = [{"TagKey": f"t{n}", "TagValue": ""} for n in range(50)]
    key = lab.key(Tags=tags)
    assert lab.ask("ListResourceTags", KeyId=key)["Tags"] == tags
    lab.ask("TagResource", KeyId=key, Tags=[{"TagKey": "t0", "TagValue": "again"}])
    more = [{"TagKey": "one more", "TagValue": ""}]
    assert lab.refusal("TagResource", KeyId=key, Tags=more).code == "LimitExceededException"


def test_an_alias_may_leave_a_key_that_is_to_be_deleted_but_not_go_to_one(lab):
    leaving, staying = lab.key(), lab.key()
    lab.ask("CreateAlias", AliasName="alias/a", TargetKeyId=leaving)
    lab.ask("ScheduleKeyDeletion", KeyId=leaving)
    lab.ask("UpdateAlias", AliasName="alias/a", TargetKeyId=staying)
    refused = lab.refusal("UpdateAlias", AliasName="alias/a", TargetKeyId=leaving)
    assert refused.code == "KMSInvalidStateException"
    assert lab.ask("ListAliases", KeyId=staying)["Aliases"][0]["AliasName"] == "alias/a"
    assert lab.ask("ListAliases", KeyId=leaving)["Aliases"] == []


def test_an_alias_has_a_name_of_its_kind(lab):
    key = lab.key()
    refused = lab.refusal("CreateAlias", AliasName="nonsense", TargetKeyId=key)
    assert refused.code == "ValidationException"
    assert refused.message.startswith('Alias must start with the prefix "alias/".')
    refused = lab.refusal("CreateAlias", AliasName="alias/a:b", TargetKeyId=key)
    assert refused.code == "InvalidAliasNameException"
    for name in ("nonsense", "alias/a:b"):
        assert lab.refusal("DeleteAlias", AliasName=name).code == "ValidationException"
    assert lab.refusal("DeleteAlias", AliasName="alias/none").code == "NotFoundException"
    params = {"AliasName": "alias/none", "TargetKeyId": key}
    assert lab.refusal("UpdateAlias", **params).code == "NotFoundException"


def test_a_description_is_kept(lab):
    key = lab.key(Description="one")
    lab.ask("UpdateKeyDescription", KeyId=key, Description="two")
    assert lab.ask("DescribeKey", KeyId=key)["KeyMetadata"]["Description"] == "two"


@pytest.mark.parametrize("days", [1, 6, 31])
def test_a_deletion_waits_7_to_30_days(lab, days):
    key = lab.key()
    refused = lab.refusal("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=days)
    assert refused.code == "ValidationException"
    assert lab.state(key) == "Enabled"
    for good in (7, 30):
        answer = lab.ask("ScheduleKeyDeletion", KeyId=lab.key(), PendingWindowInDays=good)
        assert answer["PendingWindowInDays"] == good
