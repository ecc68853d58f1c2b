"""The key in plain verbs."""

from __future__ import annotations

from dataclasses import dataclass

from chaosaws_kms_ext.aws import Aws, AwsError

__all__ = ["Key", "describe", "tags"]


@dataclass(frozen=True)
class Key:
    """What DescribeKey says."""

    arn: str
    state: str
    """Enabled, Disabled, PendingDeletion, PendingImport, Unavailable, …"""
    manager: str
    """CUSTOMER or AWS."""
    account: str

    @property
    def enabled(self) -> bool:
        """Whether the key encrypts and decrypts (KMS Developer Guide, key-state)."""
        return self.state == "Enabled"

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
    )


def tags(aws: Aws, key_id: str) -> dict[str, str]:
    """What a key is tagged with; raises AwsError. IAM: kms:ListResourceTags."""
    found = aws.pages("kms", "ListResourceTags", {"KeyId": key_id}, "Tags")
    return {tag["TagKey"]: tag.get("TagValue", "") for tag in found}
