"""The cluster of a run, and every key of it that is to be taken away: allowed, and safeguarded."""

from __future__ import annotations

from collections.abc import Sequence

from chaosaws_kms_ext.aws import rds, secondary_keys
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.controls.experiment_rules import Loss
from chaosaws_kms_ext.guard import guard, leftovers, proxy
from chaosaws_kms_ext.guard.guard import Target
from chaosaws_kms_ext.iam.needs import Needs
from chaosaws_kms_ext.inject.injection import refuse_without_switch
from chaosaws_kms_ext.inject.safeguards import Safeguards
from chaosaws_kms_ext.loadgen.conninfo import refuse_unspoken
from chaosaws_kms_ext.run import Run
from chaosaws_kms_ext.settings import Settings

__all__ = ["guarded", "named", "needs_by_key"]

OWN = ""
"""The key of the cluster's storage, among the keys that faults take."""


def guarded(run: Run, losses: Sequence[Loss], loaded: bool = False) -> Target:
    """The run's cluster and its own key; raises Refused, AwsError, or as the safeguards do.

    `losses`: the faults of the experiment on keys of this cluster. Each key that they take has to
    be allowed, and has its safeguards from here on. `loaded`: whether the run has a load on it.
    """
    for each in losses:
        refuse_without_switch(run, each.fault.needs.undo)
    aws, lab = Aws.of(run), run.lab
    cluster_id = run.settings.target_id or (lab.clusters[0]["id"] if lab else "")
    if losses:
        leftovers.refuse_if_left_open(cluster_id, lab.id if lab else "")
    allowed = {
        key_of: (guard.ask(run, cluster_id, needs, named(run.settings, key_of), key_of), needs)
        for key_of, needs in needs_by_key(aws, cluster_id, losses).items()
    }
    own = allowed[OWN][0] if OWN in allowed else guard.find(aws, cluster_id, run.settings.key_id)
    if loaded:
        refuse_unspoken(own.cluster, run.settings.database)
        run.proxy = proxy.chosen(aws, run.settings, own.cluster)
    for target, needs in allowed.values():
        Safeguards.ensure(run, aws, target.cluster.id, target.key.arn, needs.undo)
    return own


def needs_by_key(aws: Aws, cluster_id: str, losses: Sequence[Loss]) -> dict[str, Needs]:
    """Every key of a cluster that these faults take, as `Loss.key_of` says it → what they need.

    A secondary key that the cluster may lack and does is left out. Raises AwsError.
    """
    return {
        key_of: Needs.all_of(each.fault.needs for each in losses if each.key_of == key_of)
        for key_of in dict.fromkeys(each.key_of for each in losses)
        if not _may_lack(aws, cluster_id, key_of, losses)
    }


def named(settings: Settings, key_of: str) -> str:
    """The key that the settings name, which is that of the storage; for any other none."""
    return settings.key_id if key_of == OWN else ""


def _may_lack(aws: Aws, cluster_id: str, key_of: str, losses: Sequence[Loss]) -> bool:
    """Whether the cluster has no such key, and the experiment goes on without it."""
    its = [each for each in losses if each.key_of == key_of]
    if not key_of or not all(each.if_there for each in its):
        return False
    return secondary_keys.find(aws, rds.describe(aws, cluster_id), key_of) is None
