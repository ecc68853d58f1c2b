"""Whether the other databases under the key, which go without it too, could be brought back."""

from __future__ import annotations

from collections.abc import Sequence

from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.aws.names import MOST_CLUSTERS, TAG
from chaosaws_kms_ext.guard import consent
from chaosaws_kms_ext.guard.findings import Finding, ok, refused
from chaosaws_kms_ext.guard.recoverable import recoverable

__all__ = ["beside"]


def beside(aws: Aws, others: Sequence[Database], where: str = "the same key") -> list[Finding]:
    """What is wrong with them, for which there is consent by number; raises AwsError.

    `where`: what all of them are under.
    """
    if not others:
        return []
    if len(others) >= MOST_CLUSTERS:
        why = (
            f"{len(others)} other databases are under {where}, and a run brings back at most "
            f"{MOST_CLUSTERS - 1} beside its own: take one whose key encrypts fewer"
        )
        return [refused("cluster", why)]
    allowed = [found for each in others for found in _consent(each)]
    return [*(_is_up(each, where) for each in others), *recoverable(aws, *others), *allowed]


def _consent(cluster: Database) -> list[Finding]:
    """By its tag, unless a run has made it, which may do with it what it wants."""
    carried = rds.tags(cluster)
    if run := carried.get(TAG):
        return [ok("consent", f"{cluster.in_words} was made by run {run}")]
    return consent.tags(cluster.in_words, carried)


def _is_up(cluster: Database, where: str) -> Finding:
    if cluster.available:
        return ok(cluster.kind.word, f"{cluster.id}, which is under {where}, is available")
    states = {cluster.kind.id_of(cluster.id): cluster.status, **cluster.instances}
    told = ", ".join(f"{name} is {status}" for name, status in states.items())
    return refused(
        cluster.kind.word,
        f"{cluster.in_words}, which is under {where}, is not available before the fault "
        f"({told}): nobody could tell what the loss of the key has broken",
    )
