"""Probes of the cluster: its encryption, its status, and waiting for it to be lost."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities
from chaosaws_kms_ext.aws import kms, rds, rds_events
from chaosaws_kms_ext.aws.client import Aws, AwsError, go_on_after
from chaosaws_kms_ext.aws.statuses import RECOVERABLE_DAYS
from chaosaws_kms_ext.guard.inventory import databases_under
from chaosaws_kms_ext.inject.key_away import KeyStaysAway, time_left
from chaosaws_kms_ext.waiting import Wait

__all__ = [
    "cluster_is_available",
    "cluster_is_inaccessible",
    "clusters_using_key",
    "encrypted_under",
    "encryption_state",
    "snapshot_encryption",
    "wait_until_inaccessible",
]

logger = logging.getLogger("chaostoolkit")


def encryption_state(
    cluster_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """How a cluster is encrypted, and what became of it.

    Returns `cluster`, `status`, `instances` (id → status), `meaning` (`accessible`, `recoverable`,
    `terminal` or `changing`: the worst of all), `encrypted`, `encryption_type` (`none`, `sse-kms`,
    `sse-rds`), `key` (ARN), `key_manager` (`CUSTOMER`, `AWS`), `key_state`, and for a recoverable
    cluster `terminal_not_before` (UTC): 7 days after RDS was first seen to have lost the key. AWS
    does not say when those days began, so it is null where no event tells, and an estimate always.
    IAM: rds:DescribeDBClusters, rds:DescribeDBInstances, rds:DescribeEvents, kms:DescribeKey.
    Source: Aurora User Guide, Overview.Encryption.
    """
    with activities.plainly(configuration) as run:
        aws = Aws.of(run)
        cluster = rds.describe(aws, cluster_id or activities.cluster_id(run))
        state = {
            "cluster": cluster.id,
            "status": cluster.status,
            "instances": dict(cluster.instances),
            "meaning": cluster.meaning,
            "encrypted": cluster.encrypted,
            "encryption_type": cluster.encryption_type,
            "key": cluster.key,
            "key_manager": "",
            "key_state": "",
            "terminal_not_before": None,
        }
        if cluster.key:
            key = kms.describe(aws, cluster.key)
            state |= {"key_manager": key.manager, "key_state": key.state}
        if cluster.meaning == "recoverable":
            state["terminal_not_before"] = _terminal_not_before(aws, list(cluster.instances))
        return state


def encrypted_under(
    cluster_id: str, key_id: str, configuration: Configuration = None, secrets: Secrets = None
) -> bool:
    """Whether a cluster is encrypted, and under that very key; the log says what is otherwise.

    `key_id` is an id, an ARN or an alias. Where the Region reports it, the encryption type has to
    be `sse-kms`. IAM: rds:DescribeDBClusters, rds:DescribeDBInstances, kms:DescribeKey.
    """
    with activities.plainly(configuration) as run:
        cluster = rds.describe(Aws.of(run), cluster_id)
        key = kms.describe(Aws.of(run), key_id).arn
        if not cluster.encrypted:
            why = "not encrypted"
        elif cluster.key != key:
            why = f"encrypted under {cluster.key or 'no KMS key'}, not {key}"
        elif cluster.encryption_type not in ("", "sse-kms"):
            why = f"encrypted as {cluster.encryption_type}, not sse-kms"
        else:
            return True
        logger.warning(f"{cluster.in_words} is {why}")
        return False


def snapshot_encryption(
    snapshot_id: str, configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """How a cluster snapshot is encrypted.

    Returns `snapshot`, `status`, `encrypted` (bool), `key` (ARN; empty if none) and `key_manager`
    (`CUSTOMER`, `AWS`; empty without a key). IAM: rds:DescribeDBClusterSnapshots, kms:DescribeKey.
    """
    with activities.plainly(configuration) as run:
        snapshot = rds.describe_snapshot(Aws.of(run), snapshot_id)
        return {
            "snapshot": snapshot.id,
            "status": snapshot.status,
            "encrypted": bool(snapshot.raw.get("StorageEncrypted")),
            "key": snapshot.key,
            "key_manager": (
                kms.describe(Aws.of(run), snapshot.key).manager if snapshot.key else ""
            ),
        }


def clusters_using_key(
    key_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> list[str]:
    """The DB clusters of the Region that a key encrypts, in whole or in part: their ids.

    Of DB instances that are no cluster's `db:` and the id.

    In part: Performance Insights, an activity stream, the master user's secret. `key_id` is an id,
    an ARN or an alias; by default the key of this run's cluster.
    IAM: rds:DescribeDBClusters, rds:DescribeDBInstances, kms:DescribeKey.
    """
    with activities.plainly(configuration) as run:
        key = kms.describe(Aws.of(run), key_id or activities.key_id(run))
        return databases_under(Aws.of(run), key.arn)


def cluster_is_available(
    cluster_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> bool:
    """Whether the cluster and every instance of it are `available`."""
    with activities.plainly(configuration) as run:
        return rds.describe(Aws.of(run), cluster_id or activities.cluster_id(run)).available


def cluster_is_inaccessible(
    cluster_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> bool:
    """Whether the cluster, or an instance of it, has lost its key: recoverable or terminal."""
    with activities.plainly(configuration) as run:
        cluster = rds.describe(Aws.of(run), cluster_id or activities.cluster_id(run))
        return cluster.meaning in ("recoverable", "terminal")


def wait_until_inaccessible(
    cluster_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> bool:
    """Wait until the cluster has lost its key, at most `impact_timeout` AWS seconds.

    AWS promises no time: for Aurora 5 to 10 minutes were seen, for RDS two hours are documented.
    Ends at once when this run has taken no key away, when somebody enables it meanwhile, and when
    the key was unusable for `max_key_unusable`. Raises ActivityFailed.
    """
    with activities.plainly(configuration) as run:
        name = cluster_id or activities.cluster_id(run)
        limit = min(run.settings.real(run.settings.impact_timeout), time_left(run))
        stays = KeyStaysAway(run)

        def inaccessible() -> bool:
            try:
                cluster = rds.describe(Aws.of(run), name)
            except AwsError as problem:
                go_on_after(run, problem)
                return False
            if cluster.meaning in ("recoverable", "terminal"):
                return True
            stays.look()
            return False

        return Wait(
            f"{name} to become inaccessible",
            limit,
            run.settings.status_poll,
            run.observer,
        ).until(inaccessible)


def _terminal_not_before(aws: Aws, instances: list[str]) -> str | None:
    """7 days after the first event of the present loss, as far as events tell."""
    since = datetime.now(UTC) - timedelta(days=RECOVERABLE_DAYS)
    lost: list[datetime] = []
    for instance in instances:
        present: list[datetime] = []
        for event in rds_events.of_instance(aws, instance, since):
            if event.id in rds_events.LOST:
                present.append(event.date)
            else:
                present.clear()
        lost += present
    return (min(lost) + timedelta(days=RECOVERABLE_DAYS)).isoformat() if lost else None
