"""A step that injects faults on one key: all are allowed and made before the first is injected."""

from __future__ import annotations

from collections.abc import Sequence

from chaosaws_kms_ext import activities, faults
from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.kms import Key
from chaosaws_kms_ext.aws.names import TAG
from chaosaws_kms_ext.guard import guard
from chaosaws_kms_ext.guard.guard import Target
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.iam.needs import Needs
from chaosaws_kms_ext.inject.composition import Wanted
from chaosaws_kms_ext.inject.injection import inject_all
from chaosaws_kms_ext.run import Refused, Run

__all__ = ["inject", "own"]


def inject(
    run: Run, wanted: Sequence[Wanted], cluster_id: str = "", key_id: str = ""
) -> tuple[str, str]:
    """Injects the faults of a step, which can be composed; returns the cluster's id and the key's
    ARN.

    `cluster_id` and `key_id` as in `kms.actions.inject_fault`. Raises Refused where the guard does
    not allow all of them, and what `inject_all` raises.
    """
    kinds = [faults.named(each.name) for each in wanted]
    if kinds[0].on == "target":
        target = _guarded(run, Needs.all_of(kind.needs for kind in kinds), cluster_id, key_id)
        cluster, key = target.cluster.id, target.key.arn
        others = [each.id for each in target.others]
    elif not key_id:
        raise Refused(f"{wanted[0].name} is for a key that the run made: name it by key_id")
    else:
        cluster, key = cluster_id, _own_with(run, key_id, cluster_id).arn
        others = []
    aws, material = Aws.of(run), run.key_materials.get(key)
    made = [
        faults.make(kind, aws, key, each.arguments, material)
        for kind, each in zip(kinds, wanted, strict=True)
    ]
    inject_all(run, made, cluster, others)
    return cluster, key


def own(run: Run, aws: Aws, key_id: str) -> Key:
    """A key that this run made; raises Refused for any other."""
    key = kms.describe(aws, key_id)
    if kms.tags(aws, key.arn).get(TAG) != run.id:
        raise Refused(
            f"the key {key.arn} does not carry the tag {TAG}={run.id}: this run did not make it"
        )
    return key


# Internals


def _guarded(run: Run, needs: Needs, cluster_id: str, key_id: str) -> Target:
    """The cluster, its key and the others under it, if the guard allows the faults."""
    try:
        cluster = cluster_id or activities.cluster_id(run)
        return guard.ask(run, cluster, needs, key_id or run.settings.key_id)
    except Refused as why:
        run.event(EventName.GUARD_REFUSED, why=str(why))
        raise


def _own_with(run: Run, key_id: str, cluster_id: str) -> Key:
    """A key that this run made, under which this cluster is."""
    aws = Aws.of(run)
    key = own(run, aws, key_id)
    if cluster_id:
        found = guard.find(aws, cluster_id)
        if found.key.arn != key.arn:
            raise Refused(f"{found.cluster.in_words} is not encrypted under {key.arn}")
    return key
