"""What else goes without its key when the custom key store of a key is disconnected."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from chaosaws_kms_ext.aws import key_stores, kms
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.aws.key_stores import KeyStore
from chaosaws_kms_ext.aws.kms import Key
from chaosaws_kms_ext.aws.names import TAG
from chaosaws_kms_ext.guard import consent
from chaosaws_kms_ext.guard.findings import Finding, ok, refused
from chaosaws_kms_ext.guard.inventory import Survey

__all__ = ["Reached", "allowed", "others_of", "reached"]


@dataclass(frozen=True)
class Reached:
    """What is under the other keys of the store."""

    store: Finding
    """Whether there is one, and it is connected."""
    keys: list[str] = field(default_factory=list)
    """The ARNs of the other keys."""
    affected: list[str] = field(default_factory=list)
    """These keys, and everything under them: each in words."""
    databases: list[Database] = field(default_factory=list)


def others_of(aws: Aws, key: Key) -> list[str]:
    """The ARNs of the other keys of the store that `key` is in; raises AwsError.

    IAM: kms:ListKeys, and of every key kms:DescribeKey.
    """
    if not key.store:
        return []
    return [each.arn for each in key_stores.keys(aws, key.store) if each.arn != key.arn]


def reached(
    aws: Aws,
    there: Survey,
    key: Key,
    cluster: Database,
    others: Sequence[str],
    elsewhere: Collection[tuple[str, str]] = (),
) -> Reached:
    """Of the store that `key` is in, what of RDS, and which grants, are under its other keys.

    `there`: what RDS has in the Region; `others`: those keys; `elsewhere`: what grants are bound
    to that are for something of another service, which is counted by itself. Raises AwsError. IAM:
    kms:DescribeCustomKeyStores, and of the keys in the store kms:ListGrants.
    """
    if not key.store:
        why = (
            f"the key {key.arn} is in no custom key store (its material is of origin "
            f"{key.origin}), so there is none to disconnect: choose another fault"
        )
        return Reached(refused("key store", why))
    found = Reached(_connected(key_stores.describe(aws, key.store)))
    for other in others:
        its = replace(there, grants=[*kms.grants(aws, other)])
        found.keys.append(other)
        found.affected.append(f"key {other}")
        found.affected.extend(map(str, its.others(other, cluster, elsewhere)))
        found.databases.extend(its.beside(other, cluster))
    found.affected[:] = dict.fromkeys(found.affected)
    return found


def allowed(aws: Aws, keys: Sequence[str]) -> list[Finding]:
    """Whether each of these keys may be attacked: by its tag, unless a run has made it.

    Raises AwsError. IAM: kms:ListResourceTags.
    """
    findings = []
    for key in keys:
        carried = kms.tags(aws, key)
        if run := carried.get(TAG):
            findings.append(ok("consent", f"the key {key} was made by run {run}"))
        else:
            what = f"the key {key}, which is in the same custom key store,"
            findings += consent.tags(what, carried)
    return findings


def _connected(store: KeyStore) -> Finding:
    named = f"the custom key store {store.name} ({store.id})"
    if store.state == "CONNECTED":
        return ok("key store", f"{named} is connected")
    why = f": {store.error}" if store.error else ""
    return refused(
        "key store",
        f"{named} is {store.state} already, not CONNECTED{why}: it was left as it is",
    )
