"""Misbehaviours of the data: what goes wrong on demand with clusters, their copies, their keys.

They are ordered over the lab's own path, as those of the API are (control.py, misbehaviours.py).
Those for the return of a cluster's servers are carried out by data_plane/reconcile.py, outages of
another shape by data_plane/partial_outages.py, those of copies in rds/, those of keys in kms/;
somebody.py takes a key away as another caller. Each proves that a check finds what it looks for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from chaosaws_kms_lab.aurora import Profile, of_instance
from chaosaws_kms_lab.misbehaviour_orders import BadOrder, check_fields
from chaosaws_kms_lab.world import Cluster, DataMisbehaviour, Key, World

__all__ = [
    "CALLS",
    "KEY_TAKEN",
    "KINDS",
    "apply_to_rotation",
    "described",
    "order",
    "profile_of",
    "read",
    "takes_any_failover",
]

LOSE_WRITES = "lose-writes"
CHANGE_WRITES = "change-writes"
SLOW_RECOVERY = "slow-recovery"
OTHER_ADDRESS = "other-address"
NO_RECOVERY = "no-recovery"
FREEZE_SHARE = "freeze-share"
SLOW = "slow"
FLAP = "flap"
LOSE_READER = "lose-reader"
DROP_PACKETS = "drop-packets"
COPY_KEEPS_KEY = "copy-keeps-key"
COPY_HIDES_KEY = "copy-hides-key"
ROW_CHANGED = "row-changed-in-copy"
ROTATION_BREAKS_READS = "rotation-breaks-reads"
CONTEXT_IGNORED = "context-ignored"
DETECTION_LAG = "detection-lag"
FAILOVER_WITHOUT_KEY = "failover-without-key"
KEY_STORE_FAILS = "key-store-fails"
KEY_STORE_SLOW = "key-store-slow"
KEY_TAKEN = "key-taken-away"
TERMINAL_COMES_BACK = "terminal-comes-back"
SECONDARY_STOPS = "secondary-key-stops-cluster"
SECRET_OUTLIVES_KEY = "secret-outlives-key"
DEPENDENTS_STAY_LOST = "dependents-stay-lost"
DENY_IGNORED = "deny-ignored"
IMPORT_BREAKS_READS = "import-breaks-reads"
CREATE_IGNORES_KEY = "create-ignores-key"
PROXY_STAYS_AWAY = "proxy-stays-away"

KINDS = {
    LOSE_WRITES: "a crash loses rows that were written, and acknowledged, before it",
    CHANGE_WRITES: "a crash changes rows that were written, and acknowledged, before it",
    SLOW_RECOVERY: "the servers take some AWS seconds longer to come back",
    OTHER_ADDRESS: "the cluster comes back on another address",
    NO_RECOVERY: "the servers do not come back until the misbehaviour is cleared",
    FREEZE_SHARE: "a share of the sessions hangs, of those that are open and of new ones",
    SLOW: "every answer takes some milliseconds",
    FLAP: "the servers hang some times, and work between",
    LOSE_READER: "the readers hang, and the writer works",
    DROP_PACKETS: "from the servers' end until they listen again, connections are neither refused "
    "nor answered",
    COPY_KEEPS_KEY: "a copy of a snapshot under another key, and what is restored from it, stays "
    "under the snapshot's own",
    COPY_HIDES_KEY: "the same, but both are described as under the key that was asked for",
    ROW_CHANGED: "a copy of a snapshot has one row that is not as it was",
    ROTATION_BREAKS_READS: "what was encrypted under the cluster's key before it is rotated on "
    "demand does not decrypt, and the cluster hangs, until the misbehaviour is cleared",
    DETECTION_LAG: "the cluster is lost so many AWS seconds after its key became unusable, and not "
    "as its profile says, until the misbehaviour is cleared",
    FAILOVER_WITHOUT_KEY: "a failover of the cluster is accepted although it has lost its key, and "
    "nothing comes of it, until the misbehaviour is cleared",
    CONTEXT_IGNORED: "until the misbehaviour is cleared, KMS decrypts with any encryption context",
    KEY_STORE_FAILS: "until the misbehaviour is cleared, custom key stores fail to connect",
    KEY_STORE_SLOW: "until the misbehaviour is cleared, custom key stores take some AWS seconds "
    "longer to connect",
    KEY_TAKEN: "somebody else takes the cluster's key away, and gives it back later",
    TERMINAL_COMES_BACK: "the cluster comes back from the terminal state once its key is usable",
    SECONDARY_STOPS: "without the key of its secret, its insights or its activity stream the "
    "cluster is lost as without its own",
    SECRET_OUTLIVES_KEY: "until the misbehaviour is cleared, secrets are read without their key",
    DEPENDENTS_STAY_LOST: "until the misbehaviour is cleared, objects, queues, parameters and "
    "tables whose key could not be used once stay lost when it is back",
    DENY_IGNORED: "until the misbehaviour is cleared, no Deny of a key policy keeps anybody from "
    "anything",
    IMPORT_BREAKS_READS: "until the misbehaviour is cleared, material that was deleted or has "
    "expired, and is imported again, decrypts nothing",
    CREATE_IGNORES_KEY: "until the misbehaviour is cleared, a new cluster is encrypted under RDS' "
    "own key (alias/aws/rds), whichever was asked for",
    PROXY_STAYS_AWAY: "until the misbehaviour is cleared, RDS Proxies before the cluster do not "
    "connect to it again once it was away",
}

OF_A_CRASH = frozenset({LOSE_WRITES, CHANGE_WRITES})
"""These happen the next time that a cluster's servers come back after a crash."""
AT_RETURN = OF_A_CRASH | {SLOW_RECOVERY, OTHER_ADDRESS, NO_RECOVERY}
"""These happen the next time that a cluster's servers come back."""
OUTAGES = frozenset({FREEZE_SHARE, SLOW, FLAP, LOSE_READER})
"""These take the place of the whole freeze when the key is lost the next time, or happen now."""
OF_SERVERS = AT_RETURN | OUTAGES | {DROP_PACKETS}
"""These need a cluster that has servers."""
OF_EVERY_KEY = frozenset({
    CONTEXT_IGNORED, CREATE_IGNORES_KEY, DENY_IGNORED, DEPENDENTS_STAY_LOST, IMPORT_BREAKS_READS,
    KEY_STORE_FAILS, KEY_STORE_SLOW, SECRET_OUTLIVES_KEY,
})  # fmt: skip
"""These are about all keys, or all key stores, and name no cluster."""
OF_ITS_KEY = frozenset({
    COPY_KEEPS_KEY, COPY_HIDES_KEY, ROTATION_BREAKS_READS, DETECTION_LAG, FAILOVER_WITHOUT_KEY,
    KEY_TAKEN, SECONDARY_STOPS, TERMINAL_COMES_BACK,
})  # fmt: skip
"""These need a cluster with a key: an unencrypted one is refused."""

KEY_LOST, NOW = "key-lost", "now"
"""When an outage begins."""

DISABLE, DENY = "DisableKey", "PutKeyPolicy"
CALLS = (DISABLE, DENY)
"""With which a key is taken away."""

FIELDS: dict[str, tuple[str, ...]] = {
    LOSE_WRITES: ("writes", "seed"),
    CHANGE_WRITES: ("writes", "seed"),
    SLOW_RECOVERY: ("seconds",),
    DETECTION_LAG: ("seconds",),
    FREEZE_SHARE: ("share", "seconds", "when"),
    SLOW: ("milliseconds", "seconds", "when"),
    FLAP: ("times", "down", "up", "when"),
    LOSE_READER: ("seconds", "when"),
    ROW_CHANGED: ("seed",),
    KEY_STORE_FAILS: ("code",),
    KEY_STORE_SLOW: ("seconds",),
    KEY_TAKEN: ("after", "seconds", "call"),
}
"""Kind → the fields of its order, besides the cluster."""

LONGEST = 7 * 86400.0
"""AWS seconds."""


@dataclass(frozen=True)
class Field:
    """One field of an order."""

    type: type[int] | type[float] | type[str]
    default: float | str | None
    """None: an order of these kinds needs the field."""
    what: str
    most: float = math.inf
    least: float | None = None
    """None: more than 0."""
    words: tuple[str, ...] = ()
    """Of a text: what it may be."""

    @property
    def numbers(self) -> str:
        """Which numbers it takes."""
        if self.least is None:
            return f"{self.what}, more than 0 and at most {self.most:.9g}"
        return f"{self.what} from {self.least:.9g} to {self.most:.9g}"

    def takes(self, value: float) -> bool:
        """Whether a number is one of its values."""
        return (value > 0 if self.least is None else value >= self.least) and value <= self.most


ERROR_CODES = (
    "NETWORK_ERRORS", "CLUSTER_NOT_FOUND", "INSUFFICIENT_CLOUDHSM_HSMS",
    "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET", "INTERNAL_ERROR", "INVALID_CREDENTIALS",
    "SUBNET_NOT_FOUND", "USER_LOCKED_OUT", "USER_LOGGED_IN", "USER_NOT_FOUND",
    "XKS_PROXY_ACCESS_DENIED", "XKS_PROXY_INVALID_CONFIGURATION", "XKS_PROXY_INVALID_RESPONSE",
    "XKS_PROXY_INVALID_TLS_CONFIGURATION", "XKS_PROXY_NOT_REACHABLE", "XKS_PROXY_TIMED_OUT",
    "XKS_VPC_ENDPOINT_SERVICE_INVALID_CONFIGURATION", "XKS_VPC_ENDPOINT_SERVICE_NOT_FOUND",
)  # fmt: skip
"""Of key stores that do not connect (KMS API reference, CustomKeyStoresListEntry,
ConnectionErrorCode)."""

SECONDS = Field(float, None, "AWS seconds", LONGEST)
ORDERED = {
    "writes": Field(int, 1, "a number of rows", 10_000, least=1),
    "seed": Field(int, 0, "a number", least=-math.inf),
    "seconds": SECONDS,
    "share": Field(float, None, "a share of the sessions", 1),
    "milliseconds": Field(float, None, "milliseconds", 60_000, least=1),
    "times": Field(int, None, "a number of outages", 1_000, least=1),
    "down": SECONDS,
    "up": SECONDS,
    "when": Field(str, KEY_LOST, f"{KEY_LOST} or {NOW}", words=(KEY_LOST, NOW)),
    "code": Field(str, ERROR_CODES[0], f"one of {', '.join(ERROR_CODES)}", words=ERROR_CODES),
    "after": Field(float, 0, "AWS seconds", LONGEST, least=0),
    "call": Field(str, DISABLE, f"{DISABLE} or {DENY}", words=CALLS),
}
"""The fields of orders."""


def read(order: dict[str, Any]) -> DataMisbehaviour:
    """Reads {"kind", "cluster"} and the fields of the kind; raises BadOrder."""
    check_fields(order, ("kind", "cluster", *ORDERED))
    kind = str(order.get("kind", ""))
    if kind not in KINDS:
        raise BadOrder(f"there is no misbehaviour of the data {kind!r}: {', '.join(KINDS)}")
    if (kind in OF_EVERY_KEY) is ("cluster" in order):
        raise BadOrder(
            f"{kind} is about no single cluster: it names none"
            if kind in OF_EVERY_KEY
            else f"{kind} needs a cluster"
        )
    for name in ORDERED:
        if name in order and name not in FIELDS.get(kind, ()):
            *others, last = (each for each, names in FIELDS.items() if name in names)
            those = f"{', '.join(others)} and {last}" if others else last
            raise BadOrder(f"{name} is for {those}, not for {kind}")
    fields = {name: _read(name, order, kind) for name in FIELDS.get(kind, ())}
    return DataMisbehaviour(kind, str(order.get("cluster", "")).lower(), **fields)


def _read(name: str, order: dict[str, Any], kind: str) -> Any:
    wanted, said = ORDERED[name], order.get(name, ORDERED[name].default)
    if wanted.type is str:
        if said not in wanted.words:
            raise BadOrder(f"{name} is {wanted.what}, not {said!r}")
        return said
    if said is None:
        raise BadOrder(f"{kind} needs {name}: {wanted.numbers}")
    try:
        value = int(said) if wanted.type is int else float(said)
    except (TypeError, ValueError, OverflowError) as problem:
        raise BadOrder(f"{name} is a number: {problem}") from None
    if not wanted.takes(value):
        raise BadOrder(f"{name} is {wanted.numbers}")
    return value


def described(ordered: DataMisbehaviour) -> dict[str, Any]:
    """The misbehaviour as a JSON object."""
    said: dict[str, Any] = {"kind": ordered.kind}
    if ordered.cluster:
        said |= {"cluster": ordered.cluster}
    return said | {name: getattr(ordered, name) for name in FIELDS.get(ordered.kind, ())}


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


def profile_of(world: World, cluster: Cluster) -> Profile:
    """How long things take with a cluster."""
    profile = of_instance(world.profile) if cluster.single else world.profile
    if cluster.maintenance_takes:
        profile = replace(
            profile,
            starting_to_maintenance=profile.starting,
            maintenance=cluster.maintenance_takes,
        )
    lags = [each for each in world.active_misbehaviours(DETECTION_LAG) if each.about is cluster]
    if not lags:
        return profile
    return replace(profile, until_inaccessible=float(lags[-1].seconds or 0))


def takes_any_failover(world: World, cluster: Cluster) -> bool:
    """Whether a failover is accepted in any state."""
    ordered = world.active_misbehaviours(FAILOVER_WITHOUT_KEY)
    return any(each.about is cluster for each in ordered)


def _named(world: World, reference: str) -> Cluster:
    found = [
        cluster
        for region in world.regions()
        for cluster in region.databases()
        if reference in (cluster.id, cluster.arn)
    ]
    if not found:
        raise BadOrder(f"there is no cluster {reference!r}")
    if len(found) > 1:
        raise BadOrder(f"there are several clusters {reference!r}: name one by its ARN")
    return found[0]
