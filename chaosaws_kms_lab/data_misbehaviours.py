"""Misbehaviours of the data: what goes wrong on demand with clusters, their copies, their keys.

They are ordered over the lab's own path, as those of the API are (control.py, misbehaviours.py).
Those for the return of a cluster's servers are carried out by data_plane/reconcile.py, those of
copies in rds/, those of keys in kms/. Each proves that a check finds what it looks for.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from chaosaws_kms_lab.misbehaviour_orders import BadOrder, check_fields
from chaosaws_kms_lab.world import Cluster, DataMisbehaviour, Key, World

__all__ = ["KINDS", "apply_to_rotation", "described", "order", "read"]

LOSE_WRITES = "lose-writes"
SLOW_RECOVERY = "slow-recovery"
OTHER_ADDRESS = "other-address"
NO_RECOVERY = "no-recovery"
COPY_KEEPS_KEY = "copy-keeps-key"
COPY_HIDES_KEY = "copy-hides-key"
ROW_CHANGED = "row-changed-in-copy"
ROTATION_BREAKS_READS = "rotation-breaks-reads"
CONTEXT_IGNORED = "context-ignored"

KINDS = {
    LOSE_WRITES: "a crash loses rows that were written, and acknowledged, before it",
    SLOW_RECOVERY: "the servers take some AWS seconds longer to come back",
    OTHER_ADDRESS: "the cluster comes back on another address",
    NO_RECOVERY: "the servers do not come back until the misbehaviour is cleared",
    COPY_KEEPS_KEY: "a copy of a snapshot under another key, and what is restored from it, stays "
    "under the snapshot's own",
    COPY_HIDES_KEY: "the same, but both are described as under the key that was asked for",
    ROW_CHANGED: "a copy of a snapshot has one row that is not as it was",
    ROTATION_BREAKS_READS: "what was encrypted under the cluster's key before it is rotated on "
    "demand does not decrypt, and the cluster hangs, until the misbehaviour is cleared",
    CONTEXT_IGNORED: "until the misbehaviour is cleared, KMS decrypts with any encryption context",
}

AT_RETURN = frozenset({LOSE_WRITES, SLOW_RECOVERY, OTHER_ADDRESS, NO_RECOVERY})
"""These happen the next time that a cluster's servers come back."""
OF_EVERY_KEY = frozenset({CONTEXT_IGNORED})
"""These are about all keys, and name no cluster."""
OF_ITS_KEY = frozenset({COPY_KEEPS_KEY, COPY_HIDES_KEY, ROTATION_BREAKS_READS})
"""These need a cluster with a key: an unencrypted one is refused."""

NEEDED = {
    "writes": (LOSE_WRITES,),
    "seed": (LOSE_WRITES, ROW_CHANGED),
    "seconds": (SLOW_RECOVERY,),
}
"""A field of an order → the kinds that it is for."""

MOST_WRITES = 10_000
LONGEST = 7 * 86400.0
"""AWS seconds."""


def read(order: dict[str, Any]) -> DataMisbehaviour:
    """Reads {"kind", "cluster", "writes", "seed", "seconds"}; raises BadOrder."""
    check_fields(order, ("kind", "cluster", "writes", "seed", "seconds"))
    kind = str(order.get("kind", ""))
    if kind not in KINDS:
        raise BadOrder(f"there is no misbehaviour of the data {kind!r}: {', '.join(KINDS)}")
    try:
        if kind in OF_EVERY_KEY and "cluster" in order:
            raise BadOrder(f"{kind} is about every key: it names no cluster")
        found = DataMisbehaviour(
            kind=kind,
            cluster="" if kind in OF_EVERY_KEY else str(order["cluster"]).lower(),
            writes=int(order.get("writes", 1)),
            seed=int(order.get("seed", 0)),
            seconds=float(order.get("seconds", 0)),
        )
    except KeyError as missing:
        raise BadOrder(f"{kind} needs a {missing.args[0]}") from None
    except (TypeError, ValueError, OverflowError) as problem:
        raise BadOrder(f"writes, seed and seconds are numbers: {problem}") from None
    _check(found)
    for name, kinds in NEEDED.items():
        if name in order and kind not in kinds:
            raise BadOrder(f"{name} is for {' and '.join(kinds)}, not for {kind}")
    return found


def _check(found: DataMisbehaviour) -> None:
    if not 1 <= found.writes <= MOST_WRITES:
        raise BadOrder(f"writes is a number of rows from 1 to {MOST_WRITES}")
    if found.kind == SLOW_RECOVERY and not 0 < found.seconds <= LONGEST:
        raise BadOrder(f"{found.kind} needs seconds, more than 0 and at most {LONGEST:g}")


def described(ordered: DataMisbehaviour) -> dict[str, Any]:
    """The misbehaviour as a JSON object."""
    said: dict[str, Any] = {"kind": ordered.kind}
    if ordered.cluster:
        said |= {"cluster": ordered.cluster}
    if ordered.kind == LOSE_WRITES:
        said |= {"writes": ordered.writes, "seed": ordered.seed}
    if ordered.kind == ROW_CHANGED:
        said |= {"seed": ordered.seed}
    if ordered.kind == SLOW_RECOVERY:
        said |= {"seconds": ordered.seconds}
    return said


def order(world: World, wanted: dict[str, Any]) -> DataMisbehaviour:
    """Orders a misbehaviour and finds its cluster; raises BadOrder."""
    misbehaviour = read(wanted)
    if misbehaviour.kind not in OF_EVERY_KEY:
        misbehaviour.about = _named(world, misbehaviour.cluster)
        if misbehaviour.kind in OF_ITS_KEY and misbehaviour.about.encryption is None:
            raise BadOrder(f"{misbehaviour.cluster} is not encrypted: it has no key")
    world.data_misbehaviours.append(misbehaviour)
    return misbehaviour


def apply_to_rotation(world: World, key: Key) -> None:
    """Carries out what was ordered for a rotation of `key`, which has just happened.

    The key's former material decrypts nothing any more. The cluster of the order loses its key at
    once, so that nobody has to wait the minutes that Aurora takes; everything else under the key
    notices it with its next call to KMS.
    """
    for misbehaviour in world.active_misbehaviours(ROTATION_BREAKS_READS):
        cluster = misbehaviour.about
        if cluster and cluster.encryption and cluster.encryption.key_arn == key.arn:
            for material in key.materials[:-1]:
                material.misbehaviour = misbehaviour
            cluster.state = replace(cluster.state, key_usable=False, key_since=-math.inf)


def _named(world: World, reference: str) -> Cluster:
    found = [
        cluster
        for region in world.regions()
        for cluster in region.clusters.values()
        if reference in (cluster.id, cluster.arn)
    ]
    if not found:
        raise BadOrder(f"there is no cluster {reference!r}")
    if len(found) > 1:
        raise BadOrder(f"there are several clusters {reference!r}: name one by its ARN")
    return found[0]
