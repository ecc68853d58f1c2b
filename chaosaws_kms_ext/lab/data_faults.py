"""Faults of the data on demand: what can go wrong with clusters, their copies and their keys.

Ordered over the lab's own path, as the faults of the API are (faults.py). What happens when a
cluster's servers come back is performed by those (servers/settling.py), the rest where it happens:
copies in rds/, keys in kms/. Each is how a check that looks for it proves that it finds it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from chaosaws_kms_ext.lab.faults import BadOrder, check_fields

if TYPE_CHECKING:
    from chaosaws_kms_ext.lab.world import Cluster, Key, World

__all__ = ["KINDS", "DataFault", "order", "rotated"]

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
    NO_RECOVERY: "the servers do not come back until the fault is cleared",
    COPY_KEEPS_KEY: "a copy of a snapshot under another key, and what is restored from it, stays "
    "under the snapshot's own",
    COPY_HIDES_KEY: "the same, but both are described as under the key that was asked for",
    ROW_CHANGED: "a copy of a snapshot has one row that is not as it was",
    ROTATION_BREAKS_READS: "what was encrypted under the cluster's key before it is rotated on "
    "demand does not decrypt, and the cluster hangs, until the fault is cleared",
    CONTEXT_IGNORED: "until the fault is cleared, KMS decrypts with any encryption context",
}

AT_RETURN = frozenset({LOSE_WRITES, SLOW_RECOVERY, OTHER_ADDRESS, NO_RECOVERY})
"""What happens the next time that a cluster's servers come back."""
OF_EVERY_KEY = frozenset({CONTEXT_IGNORED})
"""What is about no cluster."""
OF_ITS_KEY = frozenset({COPY_KEEPS_KEY, COPY_HIDES_KEY, ROTATION_BREAKS_READS})
"""What an unencrypted cluster cannot have."""

NEEDED = {
    "writes": (LOSE_WRITES,), "seed": (LOSE_WRITES, ROW_CHANGED), "seconds": (SLOW_RECOVERY,),
}  # fmt: skip
"""Which kinds a number is for."""

MOST_WRITES = 10_000
LONGEST = 7 * 86400.0
"""AWS seconds."""


@dataclass(eq=False)
class DataFault:
    """One fault: it happens once, at the next occasion, or holds until it is cleared (KINDS)."""

    kind: str
    cluster: str = ""
    """Its name or its ARN; none for what is about no cluster."""
    about: Cluster | None = None
    """The cluster."""
    writes: int = 1
    """How many rows are lost."""
    seed: int = 0
    """Of the draw of the rows: the same data and the same seed hit the same ones."""
    seconds: float = 0.0
    """AWS seconds."""
    over: bool = False
    """It has happened, or was cleared."""

    @classmethod
    def ordered(cls, order: dict[str, Any]) -> DataFault:
        """Reads {"kind", "cluster", "writes", "seed", "seconds"}; raises BadOrder."""
        check_fields(order, ("kind", "cluster", "writes", "seed", "seconds"))
        kind = str(order.get("kind", ""))
        if kind not in KINDS:
            raise BadOrder(f"there is no fault of the data {kind!r}: {', '.join(KINDS)}")
        try:
            if kind in OF_EVERY_KEY and "cluster" in order:
                raise BadOrder(f"{kind} is about every key: it names no cluster")
            made = cls(
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
        made._check()
        for name, kinds in NEEDED.items():
            if name in order and made.kind not in kinds:
                raise BadOrder(f"{name} is for {' and '.join(kinds)}, not for {made.kind}")
        return made

    def _check(self) -> None:
        if not 1 <= self.writes <= MOST_WRITES:
            raise BadOrder(f"writes is a number of rows from 1 to {MOST_WRITES}")
        if self.kind == SLOW_RECOVERY and not 0 < self.seconds <= LONGEST:
            raise BadOrder(f"{self.kind} needs seconds, more than 0 and at most {LONGEST:g}")

    def described(self) -> dict[str, Any]:
        """It as JSON says it."""
        said: dict[str, Any] = {"kind": self.kind}
        if self.cluster:
            said |= {"cluster": self.cluster}
        if self.kind == LOSE_WRITES:
            said |= {"writes": self.writes, "seed": self.seed}
        if self.kind == ROW_CHANGED:
            said |= {"seed": self.seed}
        if self.kind == SLOW_RECOVERY:
            said |= {"seconds": self.seconds}
        return said


def order(world: World, wanted: dict[str, Any]) -> DataFault:
    """Orders one more and finds its cluster; raises BadOrder."""
    fault = DataFault.ordered(wanted)
    if fault.kind not in OF_EVERY_KEY:
        fault.about = _named(world, fault.cluster)
        if fault.kind in OF_ITS_KEY and fault.about.encryption is None:
            raise BadOrder(f"{fault.cluster} is not encrypted: it has no key")
    world.data_faults.append(fault)
    return fault


def rotated(world: World, key: Key) -> None:
    """Lets happen what was ordered for a rotation of `key`, which is over.

    Its former material opens nothing any more. Whatever else is encrypted under the key finds that
    out when it asks KMS the next time; the cluster that the order names does at once, so that
    nobody has to wait the minutes that Aurora takes.
    """
    for fault in world.wrong(ROTATION_BREAKS_READS):
        cluster = fault.about
        if cluster and cluster.encryption and cluster.encryption.key_arn == key.arn:
            for material in key.materials[:-1]:
                material.fault = fault
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
