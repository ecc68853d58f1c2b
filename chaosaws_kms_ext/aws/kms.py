"""The key in plain verbs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chaosaws_kms_ext.aws.client import Aws, AwsError

__all__ = [
    "ALIAS",
    "Key",
    "Rotation",
    "cancel_deletion",
    "create",
    "create_alias",
    "decrypted",
    "delete_alias",
    "describe",
    "enable",
    "encrypted",
    "find",
    "grants",
    "policy",
    "rotate",
    "rotation",
    "rotations",
    "schedule_deletion",
    "tagged",
    "tags",
]

ALIAS = "alias/"
"""What the name of an alias begins with."""


@dataclass(frozen=True)
class Key:
    """What DescribeKey says."""

    arn: str
    state: str
    """Enabled, Disabled, PendingDeletion, PendingImport, Unavailable, …"""
    manager: str
    """CUSTOMER or AWS."""
    account: str
    deletion_date: datetime | None = None
    origin: str = ""
    """Whose its material is: AWS_KMS, EXTERNAL, …"""
    spec: str = ""
    """SYMMETRIC_DEFAULT, RSA_2048, …"""
    material: str = ""
    """The id of its current material, of a symmetric key that has one."""
    store: str = ""
    """The id of the custom key store that it is in."""
    expiration: str = ""
    """Of imported material: KEY_MATERIAL_EXPIRES or KEY_MATERIAL_DOES_NOT_EXPIRE."""

    @property
    def enabled(self) -> bool:
        """Whether the key encrypts and decrypts (KMS Developer Guide, key-state)."""
        return self.state == "Enabled"

    def seconds_until_deletion(self, now: datetime) -> float | None:
        """Until KMS may delete it; None: that is not scheduled."""
        return (self.deletion_date - now).total_seconds() if self.deletion_date else None

    @property
    def region(self) -> str:
        """The Region that its ARN names."""
        return self.arn.split(":")[3]


def describe(aws: Aws, key_id: str) -> Key:
    """The key that an id, an ARN or an alias names; raises AwsError."""
    said = aws.call("kms", "DescribeKey", {"KeyId": key_id}).get("KeyMetadata", {})
    if not said.get("Arn"):
        raise AwsError(f"kms:DescribeKey says nothing of {key_id}")
    return Key(
        arn=said["Arn"],
        state=said.get("KeyState", "unknown"),
        manager=said.get("KeyManager", "unknown"),
        account=said.get("AWSAccountId", ""),
        deletion_date=said.get("DeletionDate"),
        origin=said.get("Origin", ""),
        spec=said.get("KeySpec", ""),
        material=said.get("CurrentKeyMaterialId", ""),
        store=said.get("CustomKeyStoreId", ""),
        expiration=said.get("ExpirationModel", ""),
    )


def tags(aws: Aws, key_id: str) -> dict[str, str]:
    """What a key is tagged with; raises AwsError. IAM: kms:ListResourceTags."""
    found = aws.pages("kms", "ListResourceTags", {"KeyId": key_id}, "Tags")
    return {tag["TagKey"]: tag.get("TagValue", "") for tag in found}


def policy(aws: Aws, key_arn: str) -> str:
    """The key's policy, in JSON; raises AwsError. IAM: kms:GetKeyPolicy."""
    said = aws.call("kms", "GetKeyPolicy", {"KeyId": key_arn, "PolicyName": "default"})
    return str(said.get("Policy", ""))


def grants(aws: Aws, key_arn: str) -> list[dict[str, Any]]:
    """The grants on a key, as ListGrants says them; raises AwsError. IAM: kms:ListGrants."""
    return aws.pages("kms", "ListGrants", {"KeyId": key_arn, "Limit": 100}, "Grants")


def rotation(aws: Aws, key_arn: str) -> dict[str, Any]:
    """What GetKeyRotationStatus says; raises AwsError. IAM: kms:GetKeyRotationStatus."""
    return aws.call("kms", "GetKeyRotationStatus", {"KeyId": key_arn})


def encrypted(aws: Aws, key_id: str, plaintext: bytes, context: Mapping[str, str]) -> bytes:
    """The ciphertext, bound to an encryption context; raises AwsError. IAM: kms:Encrypt."""
    asked = {"KeyId": key_id, "Plaintext": plaintext, "EncryptionContext": dict(context)}
    return bytes(aws.call("kms", "Encrypt", asked)["CiphertextBlob"])


def decrypted(aws: Aws, ciphertext: bytes, context: Mapping[str, str]) -> bytes:
    """The plaintext, under whichever key the ciphertext names; raises AwsError.

    IAM: kms:Decrypt.
    """
    asked = {"CiphertextBlob": ciphertext, "EncryptionContext": dict(context)}
    return bytes(aws.call("kms", "Decrypt", asked)["Plaintext"])


def find(aws: Aws, key_id: str) -> Key | None:
    """The key of that name, if there is one; raises AwsError."""
    try:
        return describe(aws, key_id)
    except AwsError as problem:
        if problem.code == "NotFoundException":
            return None
        raise


def tagged(aws: Aws, name: str, value: str) -> list[str]:
    """The ARNs of all keys that carry a tag; raises AwsError. IAM: tag:GetResources.

    Assumed to be eventually consistent. API reference, GetResources: also what was "previously
    tagged", so ask the key itself before you act on it.
    """
    params: dict[str, Any] = {
        "ResourceTypeFilters": ["kms"],
        "TagFilters": [{"Key": name, "Values": [value]}],
    }
    found: list[str] = []
    while True:
        answer = aws.call("resourcegroupstaggingapi", "GetResources", params)
        found += [each["ResourceARN"] for each in answer.get("ResourceTagMappingList", [])]
        if not answer.get("PaginationToken"):
            return found
        params = {**params, "PaginationToken": answer["PaginationToken"]}


# What changes something


def create(
    aws: Aws,
    tagged: Mapping[str, str],
    description: str,
    policy: Mapping[str, Any] | None,
    origin: str,
) -> Key:
    """A new symmetric key with these tags; without a policy KMS gives it its default one.

    `origin`: AWS_KMS, or EXTERNAL for one without material. Raises AwsError.
    """
    params: dict[str, Any] = {
        "Description": description,
        "Origin": origin,
        "Tags": [{"TagKey": name, "TagValue": value} for name, value in tagged.items()],
    }
    if policy is not None:
        params["Policy"] = json.dumps(policy)
    said = aws.call("kms", "CreateKey", params)["KeyMetadata"]
    return Key(said["Arn"], said["KeyState"], said["KeyManager"], said["AWSAccountId"])


def create_alias(aws: Aws, alias: str, key_id: str) -> None:
    """Gives a key one more name; raises AwsError."""
    aws.call("kms", "CreateAlias", {"AliasName": alias, "TargetKeyId": key_id})


def delete_alias(aws: Aws, alias: str) -> None:
    """Takes a name away from its key; raises AwsError."""
    aws.call("kms", "DeleteAlias", {"AliasName": alias})


def enable(aws: Aws, key_id: str) -> None:
    """EnableKey; raises AwsError."""
    aws.call("kms", "EnableKey", {"KeyId": key_id})


def schedule_deletion(aws: Aws, key_id: str, days: int) -> datetime:
    """When the key will be deleted, 7 to 30 days from now; until then it can be kept.

    Raises AwsError.
    """
    params = {"KeyId": key_id, "PendingWindowInDays": days}
    when: datetime = aws.call("kms", "ScheduleKeyDeletion", params)["DeletionDate"]
    return when


def cancel_deletion(aws: Aws, key_id: str) -> None:
    """Keeps a key that was to be deleted; it is Disabled then (API reference, CancelKeyDeletion).

    Raises AwsError.
    """
    aws.call("kms", "CancelKeyDeletion", {"KeyId": key_id})


@dataclass(frozen=True)
class Rotation:
    """A rotation that is over."""

    at: datetime
    kind: str
    """AUTOMATIC or ON_DEMAND."""


def rotate(aws: Aws, key_id: str) -> None:
    """Begins a rotation on demand; raises AwsError."""
    aws.call("kms", "RotateKeyOnDemand", {"KeyId": key_id})


def rotations(aws: Aws, key_id: str) -> list[Rotation]:
    """The completed rotations of a key, the oldest first; raises AwsError."""
    found = aws.pages("kms", "ListKeyRotations", {"KeyId": key_id}, "Rotations")
    said = [Rotation(e["RotationDate"], e.get("RotationType", "")) for e in found]
    return sorted(said, key=lambda rotation: rotation.at)
