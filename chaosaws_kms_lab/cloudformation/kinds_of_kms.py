"""AWS::KMS types."""

from __future__ import annotations

from chaosaws_kms_lab.cloudformation.kinds import Kind, Maker, Properties, as_json, tags
from chaosaws_kms_lab.cloudformation.template import Made

__all__ = ["KINDS"]

LONGEST_WINDOW = 30
"""Days until a key is deleted, if PendingWindowInDays says nothing."""

SAME = ("Description", "KeySpec", "KeyUsage", "MultiRegion", "Origin")
"""Properties that CreateKey has by the same name."""


def _create_key(maker: Maker, properties: Properties) -> Made:
    params = {name: properties[name] for name in SAME if name in properties}
    if "KeyPolicy" in properties:
        params["Policy"] = as_json(properties["KeyPolicy"])
    if "Tags" in properties:
        params["Tags"] = tags(properties, "TagKey", "TagValue")
    key = maker.call("kms", "CreateKey", **params)["KeyMetadata"]
    made = maker.begin(key["KeyId"], Arn=key["Arn"], KeyId=key["KeyId"])
    if properties.get("EnableKeyRotation") in (True, "true"):
        maker.call("kms", "EnableKeyRotation", KeyId=key["KeyId"])
    return made


def _update_key(maker: Maker, made: Made, properties: Properties) -> None:
    if "KeyPolicy" in properties:
        policy = as_json(properties["KeyPolicy"])
        maker.call("kms", "PutKeyPolicy", KeyId=made.ref, PolicyName="default", Policy=policy)
    description = properties.get("Description", "")
    maker.call("kms", "UpdateKeyDescription", KeyId=made.ref, Description=description)


def _delete_key(maker: Maker, made: Made, properties: Properties) -> None:
    state = maker.call("kms", "DescribeKey", KeyId=made.ref)["KeyMetadata"]["KeyState"]
    if state == "PendingDeletion":
        return
    days = properties.get("PendingWindowInDays", LONGEST_WINDOW)
    maker.call("kms", "ScheduleKeyDeletion", KeyId=made.ref, PendingWindowInDays=days)


def _create_alias(maker: Maker, properties: Properties) -> Made:
    maker.call("kms", "CreateAlias", **properties)
    return Made(properties["AliasName"])


def _update_alias(maker: Maker, made: Made, properties: Properties) -> None:
    maker.call("kms", "UpdateAlias", **properties)


def _delete_alias(maker: Maker, made: Made, _: Properties) -> None:
    maker.call("kms", "DeleteAlias", AliasName=made.ref)


KINDS = {
    "AWS::KMS::Alias": Kind(_create_alias, _delete_alias, _update_alias, ("TargetKeyId",)),
    "AWS::KMS::Key": Kind(
        _create_key, _delete_key, _update_key,
        ("Description", "KeyPolicy", "PendingWindowInDays"),
    ),
}  # fmt: skip
