"""Actions on the key: taking it away from a cluster, and putting it back."""

from __future__ import annotations

from typing import Any

from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities, aws
from chaosaws_kms_ext.faults.disable_key import DisableKey
from chaosaws_kms_ext.faults.injection import inject, put_back
from chaosaws_kms_ext.run import Happened, Refused
from chaosaws_kms_ext.safety import guard

__all__ = ["disable_key", "enable_key"]


def disable_key(
    cluster_id: str = "",
    key_id: str = "",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """Disable the KMS key that encrypts a cluster, if the guard allows it.

    Before the call, what undoes it is written to the journal; after it, KMS has to say `Disabled`.

    Parameters
    ----------
    cluster_id : the DB cluster; by default the one of this run (CHAOS_CLUSTER_ID, or the lab's).
    key_id : its key, only to cross-check: id, ARN or alias. The cluster's own key is disabled.

    Returns the cluster's id and its key's ARN. Raises ActivityFailed: when the guard refuses, when
    AWS does, when the journal cannot be written. IAM: kms:DisableKey, kms:DescribeKey,
    rds:DescribeDBClusters, rds:DescribeDBInstances.
    """
    with activities.plainly(configuration) as run:
        cluster = cluster_id or activities.cluster_id(run)
        try:
            named = key_id or run.settings.key_id
            target = guard.ask(aws.of(run), run.settings, cluster, named)
        except Refused as why:
            run.event(Happened.GUARD_REFUSED, why=str(why))
            raise
        inject(run, DisableKey(target.key.arn), target)
        return {"cluster": target.cluster.id, "key": target.key.arn}


def enable_key(configuration: Configuration = None, secrets: Secrets = None) -> dict[str, Any]:
    """Put back every key that this run took away, and see that it is.

    Only what the journal says that this run did is undone: a key that somebody else had disabled
    stays disabled, and without a fault of ours nothing is called. Signals wait meanwhile.

    Returns `{"undone": [key ARN, …]}`. Raises ActivityFailed when a key could not be put back; its
    journal entry then stays open for `chaos kms restore`. IAM: kms:EnableKey, kms:DescribeKey.
    """
    with activities.plainly(configuration) as run:
        entries = put_back(run)
        if not entries:
            return {"undone": [], "why": "nothing to undo"}
        return {"undone": [entry.key for entry in entries]}
