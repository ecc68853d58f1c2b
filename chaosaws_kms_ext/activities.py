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

__all__ = ["cluster_id", "key_id", "plainly"]


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
    """The DB cluster that this run is about; raises Refused if none was named."""
    if run.target:
        return run.target.cluster.id
    if run.settings.cluster_id:
        return run.settings.cluster_id
    raise Refused("no cluster was named: set CHAOS_CLUSTER_ID")


def key_id(run: Run) -> str:
    """The key that this run is about: the one that was named, or else the cluster's own."""
    if run.target:
        return run.target.key.arn
    if run.settings.key_id:
        return run.settings.key_id
    cluster = rds.describe(Aws.of(run), cluster_id(run))
    if cluster.key:
        return cluster.key
    raise Refused(f"the cluster {cluster.id} is not encrypted under a KMS key")
