"""What an action returns of a cluster that it made."""

from __future__ import annotations

from typing import Any

from chaosaws_kms_ext.aws.rds import Cluster

__all__ = ["described"]


def described(cluster: Cluster) -> dict[str, Any]:
    """Its id, its instance, its key (ARN) and its address."""
    return {
        "cluster": cluster.id,
        "instance": next(iter(cluster.instances), ""),
        "key": cluster.key,
        "address": cluster.address,
    }
