"""Probes of the key."""

from __future__ import annotations

from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities, aws
from chaosaws_kms_ext.kms import api

__all__ = ["key_is_enabled", "key_state"]


def key_state(
    key_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> str:
    """The key's state as KMS says it: `Enabled`, `Disabled`, `PendingDeletion`, …

    `key_id` is an id, an ARN or an alias; by default the key of this run's cluster.
    IAM: kms:DescribeKey. Source of the states: KMS Developer Guide, "Key states".
    """
    with activities.plainly(configuration) as run:
        return api.describe(aws.of(run), key_id or activities.key_id(run)).state


def key_is_enabled(
    key_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> bool:
    """Whether the key is `Enabled`, that is, usable. See `key_state`."""
    with activities.plainly(configuration) as run:
        return api.describe(aws.of(run), key_id or activities.key_id(run)).enabled
