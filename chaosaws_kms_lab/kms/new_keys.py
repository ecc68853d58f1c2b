"""New keys, with their first material and their first key policy."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from typing import Any

from chaosaws_kms_lab.calls import ACCOUNT
from chaosaws_kms_lab.world import Key, Material, Region, World

__all__ = [
    "AWS_RDS",
    "DAY",
    "YEAR_DAYS",
    "aws_managed_key",
    "create_key",
    "default_policy",
    "material_id",
    "new_id",
    "new_material",
]

AWS_RDS = "alias/aws/rds"
DAY = 86400.0
"""AWS seconds."""

YEAR_DAYS = 365


def create_key(region: Region, world: World, description: str = "", **more: Any) -> Key:
    """Makes an enabled, symmetric customer managed key; `more`: fields of Key.

    A key of origin EXTERNAL is pending import: it has no material yet.
    """
    key_id = more.pop("id", None) or new_id(multi_region=more.get("multi_region") is not None)
    imported = more.get("origin") == "EXTERNAL"
    fields: dict[str, Any] = {
        "state": "PendingImport" if imported else "Enabled",
        "manager": "CUSTOMER",
        "policy": default_policy(),
        "materials": [] if imported else [new_material(world, key_id)],
        "created": world.clock.utc(),
    }
    key = Key(
        id=key_id,
        arn=region.arn("kms", f"key/{key_id}"),
        description=description,
        **fields | more,
    )
    region.keys[key.id] = key
    return key


def aws_managed_key(region: Region, world: World) -> Key:
    """The AWS managed key of RDS, which is made in each account and Region on first use."""
    if AWS_RDS not in region.aliases:
        key = create_key(
            region,
            world,
            "Default key that protects my RDS database volumes when no other key is defined",
            manager="AWS",
            policy=_aws_managed_policy(region),
            # The API reference, GetKeyRotationStatus: rotated every year, always.
            rotation_period_days=YEAR_DAYS,
            next_rotation_at=world.clock.now() + YEAR_DAYS * DAY,
        )
        region.aliases[AWS_RDS] = key.id
    return region.keys[region.aliases[AWS_RDS]]


def new_id(multi_region: bool) -> str:
    """A new key id."""
    return f"mrk-{uuid.uuid4().hex}" if multi_region else str(uuid.uuid4())


def new_material(world: World, key_id: str) -> Material:
    """Key material that KMS generates."""
    secret = os.urandom(32)
    return Material(material_id(key_id, secret), secret, world.clock.utc())


def material_id(key_id: str, secret: bytes) -> str:
    """64 hexadecimal digits "based on the KMS key ID and the imported key material" (the API
    reference, ImportKeyMaterial)."""
    return hashlib.sha256(b"material:" + key_id.encode() + b":" + secret).hexdigest()


def default_policy() -> str:
    """AWS KMS Developer Guide, "Default key policy": for keys that are made with the API."""
    return _document(
        "key-default-1",
        [
            {
                "Sid": "Enable IAM User Permissions",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                "Action": "kms:*",
                "Resource": "*",
            }
        ],
    )


def _aws_managed_policy(region: Region) -> str:
    """AWS KMS Developer Guide, "AWS managed keys": used only through the service; nobody can change
    them."""
    return _document(
        "auto-rds-2",
        [
            {
                "Sid": "Allow access through RDS for all principals in the account that are "
                "authorized to use RDS",
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": [
                    "kms:Encrypt",
                    "kms:Decrypt",
                    "kms:ReEncrypt*",
                    "kms:GenerateDataKey*",
                    "kms:CreateGrant",
                    "kms:ListGrants",
                    "kms:DescribeKey",
                ],
                "Resource": "*",
                "Condition": {
                    "StringEquals": {
                        "kms:CallerAccount": ACCOUNT,
                        "kms:ViaService": f"rds.{region.name}.amazonaws.com",
                    }
                },
            },
            {
                "Sid": "Allow direct access to key metadata to the account",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                "Action": ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"],
                "Resource": "*",
            },
        ],
    )


def _document(name: str, statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Id": name, "Statement": statements}, indent=2)
