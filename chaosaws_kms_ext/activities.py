"""What every action and probe does the same way: find the run, fail in one plain sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.undo.replay import NotPutBack

__all__ = ["cluster_id", "key_id", "own_cluster_id", "plainly"]


@contextlib.contextmanager
def plainly(configuration: dict[str, Any] | None) -> Iterator[Run]:
    """The current run; what goes wrong inside ends as ActivityFailed with its one sentence."""
    try:
        yield runs.current(configuration)
    except NotPutBack as problem:
        raise ActivityFailed(
            f"the key was NOT put back: {problem}. Run `chaos kms restore` until it is."
        ) from problem
    except PlainError as problem:
        raise ActivityFailed(str(problem)) from problem
    except OSError as problem:
        raise ActivityFailed(f"{type(problem).__name__}: {problem}") from problem


def cluster_id(run: Run) -> str:
    """The database that this run is about, as aws/database.py names it; raises Refused if none was
    named."""
    if run.target:
        return run.target.cluster.id
    if run.settings.target_id:
        return run.settings.target_id
    raise Refused("no cluster was named: set CHAOS_CLUSTER_ID")


def own_cluster_id(run: Run) -> str:
    """The same for what only a cluster can; raises Refused if the run is about an instance."""
    found = cluster_id(run)
    if rds.kind_of(found) is not rds.CLUSTER:
        raise Refused(
            f"this run is about the {rds.in_words(found)}, and this action is for clusters: their "
            "snapshots are made, copied and restored by other calls"
        )
    return found


def key_id(run: Run) -> str:
    """The key that this run is about: the one that was named, or else the cluster's own."""
    if run.target:
        return run.target.key.arn
    if run.settings.key_id:
        return run.settings.key_id
    cluster = rds.describe(Aws.of(run), cluster_id(run))
    if cluster.key:
        return cluster.key
    raise Refused(f"{cluster.in_words} is not encrypted under a KMS key")
