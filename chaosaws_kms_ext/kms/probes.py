"""Probes of the key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities
from chaosaws_kms_ext.aws import key_stores, kms, rds
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.aws.kms import Key
from chaosaws_kms_ext.dependents import SERVICES
from chaosaws_kms_ext.dependents.find import find
from chaosaws_kms_ext.guard.inventory import survey
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.kms import described
from chaosaws_kms_ext.kms.may_use import may_use
from chaosaws_kms_ext.run import Refused, Run

__all__ = [
    "aurora_has_its_grant",
    "decrypts",
    "dependents",
    "grants",
    "key_is_enabled",
    "key_manager",
    "key_policy",
    "key_policy_allows",
    "key_policy_lets",
    "key_state",
    "key_store_state",
    "rotation_is_listed",
    "rotation_status",
    "sealed",
    "seconds_until_deletion",
]

logger = logging.getLogger("chaostoolkit")

PLAINTEXT = b"chaostoolkit-aws-kms: nothing that is worth hiding"
"""What `sealed` encrypts."""


def key_state(
    key_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> str:
    """The key's state as KMS says it: `Enabled`, `Disabled`, `PendingDeletion`, …

    `key_id` is an id, an ARN or an alias; by default the key of this run's cluster.
    IAM: kms:DescribeKey. Source of the states: KMS Developer Guide, "Key states".
    """
    with activities.plainly(configuration) as run:
        return kms.describe(Aws.of(run), key_id or activities.key_id(run)).state


def key_store_state(
    key_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> str | None:
    """The connection state of the custom key store that the key is in: `CONNECTED`, `FAILED`, …

    `null` for a key that is in none. `key_id` is an id, an ARN or an alias; by default the key of
    this run's cluster. IAM: kms:DescribeKey, kms:DescribeCustomKeyStores. Source of the states: KMS
    Developer Guide, xks-connect-disconnect.
    """
    with activities.plainly(configuration) as run:
        aws = Aws.of(run)
        store = kms.describe(aws, key_id or activities.key_id(run)).store
        if not store:
            return None
        found = key_stores.describe(aws, store)
        if found.error:
            logger.info(f"the custom key store {found.name} ({store}) says {found.error}")
        return found.state


def seconds_until_deletion(
    key_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> float | None:
    """Seconds until the key may be deleted for good; `null`: its deletion is not scheduled.

    From DescribeKey's DeletionDate and this machine's clock; KMS deletes up to a day later (KMS
    Developer Guide, deleting-keys). What is encrypted under it is lost then.

    `key_id` is an id, an ARN or an alias; by default the key of this run's cluster.
    IAM: kms:DescribeKey.
    """
    with activities.plainly(configuration) as run:
        key = kms.describe(Aws.of(run), key_id or activities.key_id(run))
        return key.seconds_until_deletion(datetime.now(UTC))


def key_is_enabled(
    key_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> bool:
    """Whether the key is `Enabled`, that is, usable. See `key_state`."""
    with activities.plainly(configuration) as run:
        return kms.describe(Aws.of(run), key_id or activities.key_id(run)).enabled


def key_manager(
    key_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> str:
    """Who manages the key: `CUSTOMER`, or `AWS` (as aws/rds, which nobody can disable or rotate).

    `key_id` is an id, an ARN or an alias; by default the key of this run's cluster.
    IAM: kms:DescribeKey. Source: Aurora User Guide, Overview.Encryption.Keys.
    """
    with activities.plainly(configuration) as run:
        return _key(run, key_id).manager


def key_policy(
    key_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """The key's policy, as JSON has it. `key_id` as in `key_state`.

    IAM: kms:GetKeyPolicy, kms:DescribeKey.
    """
    with activities.plainly(configuration) as run:
        text = kms.policy(Aws.of(run), _key(run, key_id).arn)
        try:
            return dict(json.loads(text))
        except (TypeError, ValueError):
            raise Refused("the key policy is not a JSON object") from None


def key_policy_allows(
    action: str,
    principal: str = "",
    key_id: str = "",
    via_service: str = "",
    context: dict[str, str] | None = None,
    as_granted: bool = False,
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """May Aurora, or this role, use the key? By its policy with its conditions, and its grants.

    Reads only: nothing is tried. IAM's own policies and service control policies are not read, so
    where the key policy leaves it to IAM, `why` says "if IAM allows it too".

    Parameters
    ----------
    action : `kms:Decrypt`, or `Decrypt`.
    principal : the ARN of a user, a role or a session, an account's number, or a service by itself
        (`rds.amazonaws.com`, for Aurora); by default whoever this process signs as.
    key_id : an id, an ARN or an alias; by default the key of this run's cluster.
    via_service : the service through which the principal calls: `rds`, where it creates a cluster.
    context : the encryption context of the call; what asks for it cannot be told without.
    as_granted : take it that a grant lets it, as the one that RDS makes with each cluster would.

    Returns `{"allowed": true | false | null, "why": …}`: null where it cannot be told, because a
    condition that could decide it asks for what only a real request has (its address, its time,
    tags). A Deny that may hold is such a case. Raises ActivityFailed.
    IAM: kms:GetKeyPolicy, kms:ListGrants, kms:DescribeKey; for a session's default iam:GetRole.
    """
    with activities.plainly(configuration) as run:
        told = may_use(
            Aws.of(run),
            _key(run, key_id),
            action,
            principal=principal,
            via_service=via_service,
            context=None if context is None else _checked(context),
            as_granted=as_granted,
        )
        return {"allowed": told.allowed, "why": told.why}


def key_policy_lets(
    action: str,
    principal: str = "",
    key_id: str = "",
    via_service: str = "",
    context: dict[str, str] | None = None,
    as_granted: bool = False,
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> bool:
    """Whether `key_policy_allows` says true; the log says why where it does not."""
    told = key_policy_allows(
        action, principal, key_id, via_service, context, as_granted, configuration, secrets
    )
    if not told["allowed"]:
        logger.info(f"{action} on the key: {told['why']}")
    return told["allowed"] is True


def rotation_status(
    key_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """Whether and when the key's material is rotated, and was. `key_id` as in `key_state`.

    Returns `automatic` (bool), `next` (UTC, or null), `on_demand_started` (UTC, while a rotation on
    demand is going on; null otherwise) and `rotations`: `date` (UTC) and `type` (`AUTOMATIC`,
    `ON_DEMAND`) of each that is over, the oldest first. IAM: kms:GetKeyRotationStatus,
    kms:ListKeyRotations, kms:DescribeKey. Source: KMS API reference, these operations.
    """
    with activities.plainly(configuration) as run:
        aws, key = Aws.of(run), _key(run, key_id)
        status = kms.rotation(aws, key.arn)
        return {
            "automatic": bool(status.get("KeyRotationEnabled")),
            "next": described.utc(status.get("NextRotationDate")),
            "on_demand_started": described.utc(status.get("OnDemandRotationStartDate")),
            "rotations": [
                {"date": described.utc(each.at), "type": each.kind}
                for each in kms.rotations(aws, key.arn)
            ],
        }


def rotation_is_listed(
    date: str, key_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> bool:
    """Whether KMS lists an on-demand rotation of the key at this instant, and none is going on.

    `date` is what `rotate_key` returned (ISO 8601); `key_id` and IAM as in `rotation_status`.
    """
    with activities.plainly(configuration):
        wanted = described.utc(_instant(date))
    status = rotation_status(key_id, configuration, secrets)
    listed = {each["date"] for each in status["rotations"] if each["type"] == "ON_DEMAND"}
    return status["on_demand_started"] is None and wanted in listed


def grants(
    key_id: str = "",
    cluster_id: str = "",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> list[dict[str, Any]]:
    """The grants on a key: `id`, `grantee`, `operations`, `context` (what it is bound to).

    Parameters
    ----------
    key_id : an id, an ARN or an alias; by default the cluster's key.
    cluster_id : only the grants for this DB cluster, by their encryption context.

    IAM: kms:ListGrants, kms:DescribeKey; with a cluster rds:DescribeDBClusters and
    rds:DescribeDBInstances.
    """
    with activities.plainly(configuration) as run:
        aws = Aws.of(run)
        cluster = rds.describe(aws, cluster_id) if cluster_id else None
        if cluster and not key_id:
            key_id = _key_of(cluster)
        found = [described.grant(each) for each in kms.grants(aws, _key(run, key_id).arn)]
        return [each for each in found if cluster is None or described.is_for(each, cluster)]


def aurora_has_its_grant(
    cluster_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> bool:
    """Whether a grant on the cluster's key lets Aurora decrypt with the cluster's own encryption
    context: aws:rds:dbc-id is its DbClusterResourceId.

    `cluster_id` is by default the DB cluster of this run. IAM: kms:ListGrants,
    rds:DescribeDBClusters, rds:DescribeDBInstances. Source: Aurora User Guide,
    Overview.Encryption.Keys.
    """
    with activities.plainly(configuration) as run:
        aws = Aws.of(run)
        cluster = rds.describe(aws, cluster_id or activities.cluster_id(run))
        found = map(described.grant, kms.grants(aws, _key_of(cluster)))
        return any(
            described.is_for(each, cluster) and "Decrypt" in each["operations"] for each in found
        )


def dependents(
    key_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """Everything that the key protects, and how it fails without it: clusters, instances and
    snapshots of RDS, and what other services have under it.

    Reads only. `key_id` is an id, an ARN or an alias; by default the key of this run's cluster.
    Returns `rds` (names, and the grants to what is not known), `elsewhere` (`kind`, `name`, `arn`,
    `fails` and the `source` of that), `unknown` (service → why it is not known what of it is under
    the key: never take it for nothing) and `used_by` (service → its last use of the key, UTC, by
    the newest events of CloudTrail). IAM: the policy `probe`.
    """
    with activities.plainly(configuration) as run:
        aws, key = Aws.of(run), _key(run, key_id).arn
        found, there = find(aws, key), survey(aws, key)
        return {
            "key": key,
            "rds": [str(each) for each in there.others(key, elsewhere=found.contexts)],
            "elsewhere": [
                {
                    "kind": each.kind,
                    "name": each.name,
                    "arn": each.arn,
                    "fails": SERVICES[each.service].fails,
                    "source": SERVICES[each.service].source,
                }
                for each in found.dependents
            ],
            "unknown": dict(found.unknown),
            "used_by": dict(found.used_by),
        }


def sealed(
    context: dict[str, str],
    key_id: str = "",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, str]:
    """Encrypt a fixed, harmless text under the key, bound to an encryption context.

    Nothing of the cluster is touched. `context` holds text by text; `key_id` as in `key_state`.

    Returns `{"ciphertext": …}` (base64) for `decrypts`. IAM: kms:Encrypt. Source: KMS Developer
    Guide, "Encryption context".
    """
    with activities.plainly(configuration) as run:
        bound = _checked(context)
        made = kms.encrypted(Aws.of(run), key_id or activities.key_id(run), PLAINTEXT, bound)
        run.event(EventName.SEALED, digest=_digest(made), context=bound)
        return {"ciphertext": base64.b64encode(made).decode()}


def decrypts(
    ciphertext: str,
    context: dict[str, str],
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> bool:
    """Whether KMS opens what `sealed` returned with this encryption context.

    False when KMS answers InvalidCiphertextException, as for every other context than the one it
    was sealed with; whatever else goes wrong raises ActivityFailed. IAM: kms:Decrypt. Source: KMS
    Developer Guide, "Encryption context".
    """
    with activities.plainly(configuration) as run:
        try:
            blob = base64.b64decode(ciphertext, validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise Refused("the ciphertext is not base64: give what `sealed` returned") from None
        tried = {"digest": _digest(blob), "context": _checked(context)}
        try:
            plain = kms.decrypted(Aws.of(run), blob, _checked(context))
        except AwsError as problem:
            if problem.code == "InvalidCiphertextException":
                run.event(EventName.DECRYPTED, decrypted=False, **tried)
                return False
            raise
        if plain != PLAINTEXT:
            raise Refused("the ciphertext holds something else than what `sealed` encrypts")
        run.event(EventName.DECRYPTED, decrypted=True, **tried)
        return True


# Internals


def _key(run: Run, key_id: str) -> Key:
    return kms.describe(Aws.of(run), key_id or activities.key_id(run))


def _key_of(cluster: Database) -> str:
    if not cluster.key:
        raise Refused(f"{cluster.in_words} is not encrypted under a KMS key")
    return cluster.key


def _digest(ciphertext: bytes) -> str:
    return hashlib.sha256(ciphertext).hexdigest()[:16]


def _checked(context: object) -> dict[str, str]:
    if isinstance(context, Mapping) and all(
        isinstance(text, str) for pair in context.items() for text in pair
    ):
        return dict(context)
    raise Refused('an encryption context holds text by text: {"app": "shop"}')


def _instant(text: object) -> datetime:
    try:
        instant = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise Refused("the date must be an instant with its offset: what `rotate_key` returned")
    return instant
