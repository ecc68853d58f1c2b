"""May this cluster's key be taken away? Asked before every fault; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from chaosaws_kms_ext.aurora import api as aurora_api
from chaosaws_kms_ext.aurora.api import Cluster
from chaosaws_kms_ext.aurora.statuses import AVAILABLE
from chaosaws_kms_ext.aws import Aws, AwsError
from chaosaws_kms_ext.kms import api as kms_api
from chaosaws_kms_ext.kms.api import Key
from chaosaws_kms_ext.run import Refused

__all__ = ["Target", "ask"]


@dataclass(frozen=True)
class Target:
    """What may be attacked: a cluster and the very key that encrypts it."""

    cluster: Cluster
    key: Key


def ask(aws: Aws, cluster_id: str, key_id: str = "") -> Target:
    """The target, if it may be attacked; raises Refused with the reason otherwise.

    The cluster's own key counts; `key_id` (id, ARN or alias) is only held against it.
    """
    try:
        cluster = aurora_api.describe(aws, cluster_id)
    except AwsError as problem:
        if problem.code == "DBClusterNotFoundFault":
            raise Refused(
                f"there is no DB cluster {cluster_id} in {aws.region}: check CHAOS_CLUSTER_ID "
                "and the Region"
            ) from None
        raise Refused(str(problem)) from None
    if not cluster.encrypted or not cluster.key:
        raise Refused(f"the cluster {cluster.id} is not encrypted under a KMS key")
    key = _key(aws, cluster.key)
    if key_id:
        named = _key(aws, key_id)
        if named.arn != key.arn:
            raise Refused(
                f"CHAOS_KEY_ID names {named.arn}, but {cluster.id} is encrypted under {key.arn}"
            )
    for wrong in _wrongs(aws, cluster, key):
        raise Refused(wrong)
    return Target(cluster, key)


def _key(aws: Aws, key_id: str) -> Key:
    try:
        return kms_api.describe(aws, key_id)
    except AwsError as problem:
        if problem.code in ("NotFoundException", "InvalidArnException"):
            raise Refused(f"there is no KMS key {key_id} in {aws.region}") from None
        raise Refused(str(problem)) from None


def _wrongs(aws: Aws, cluster: Cluster, key: Key) -> list[str]:
    account = cluster.arn.split(":")[4]
    wrongs = []
    if key.manager != "CUSTOMER":
        wrongs.append(
            f"the key {key.arn} of {cluster.id} is managed by AWS, which nobody can disable: "
            "only a customer managed key can be tried"
        )
    if key.account != account or key.region != aws.region:
        wrongs.append(
            f"the key {key.arn} belongs to another account or Region than the cluster "
            f"{cluster.arn}: it could not be put back from here"
        )
    if not key.enabled:
        wrongs.append(
            f"the key {key.arn} is {key.state} already, not Enabled: it was left as it is; find "
            "out who did that and why before you try again"
        )
    if cluster.status != AVAILABLE:
        wrongs.append(f"the cluster {cluster.id} is {cluster.status}, not available")
    elif not cluster.instances:
        wrongs.append(f"the cluster {cluster.id} has no instance that could be queried")
    elif not cluster.available:
        states = ", ".join(f"{name} is {status}" for name, status in cluster.instances.items())
        wrongs.append(f"not every instance of {cluster.id} is available: {states}")
    return wrongs
