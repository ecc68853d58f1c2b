"""Brings the clusters under a key back once that is: starts each, and waits until it is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chaosaws_kms_ext.aws import kms, rds, secondary_keys
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.start_cluster import start
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo.replay import NotPutBack
from chaosaws_kms_ext.waiting import Observer, TimedOut, Wait

__all__ = ["bring_back", "in_words"]

Say = Callable[[str], object]

BACK_WITHIN, LOOK = 3600.0, 2.0
"""Seconds for clusters to be started (Aurora User Guide, aurora-cluster-stop-start: "usually takes
several minutes"), and between two looks."""


def bring_back(aws: Aws, clusters: Sequence[str], key: str, say: Say) -> None:
    """Starts each of these databases if necessary, and waits until all are available.

    One that cannot be brought back does not keep the others: what is wrong is raised when they are,
    of several as NotPutBack.
    """
    left, wrong = list(clusters), dict[str, Exception]()

    def all_back() -> bool:
        for each in list(left):
            try:
                if done := _look(aws, each, key, say):
                    say(f"  {done}")
                    left.remove(each)
            except Exception as problem:  # the next one has its turn
                wrong[each] = problem
                left.remove(each)
        return not left

    what = f"{', '.join(clusters)} to be available"
    try:
        Wait(what, BACK_WITHIN, LOOK, Observer()).until(all_back)
    except TimedOut as problem:
        late = f"{problem} ({', '.join(left)})" if len(clusters) > 1 else str(problem)
        wrong |= {each: NotPutBack(late) for each in left}
    if len(wrong) > 1:
        raise NotPutBack("; ".join(dict.fromkeys(map(in_words, wrong.values()))))
    for only in wrong.values():
        raise only


def in_words(problem: Exception) -> str:
    """What went wrong, in one sentence."""
    known = isinstance(problem, (PlainError, OSError))
    return str(problem) if known else f"unexpected {problem!r:.300}"


def _in_one_store(aws: Aws, *keys: str) -> bool:
    """Whether the keys are in the same custom key store: a fault of that takes all of them away."""
    stores = {kms.describe(aws, each).store for each in keys if each}
    return len(stores) == 1 and "" not in stores


def _look(aws: Aws, cluster_id: str, key: str, say: Say) -> str:
    """Starts the cluster if it is recoverable; how it is back, or empty if it is not yet."""
    try:
        cluster = rds.describe(aws, cluster_id)
    except AwsError as problem:
        if problem.code in rds.MISSING:
            return f"the {rds.in_words(cluster_id)} is not there any more"
        raise
    if cluster.key != key and not _in_one_store(aws, cluster.key, key):
        if of := secondary_keys.of_cluster(aws, cluster, key):
            return f"{cluster.in_words} is {cluster.status}: the key was that of its {of}"
        raise Refused(f"{cluster.in_words} is not encrypted under {key}")
    if cluster.meaning == "terminal":
        raise NotPutBack(f"{cluster.id} is {cluster.status}: only a backup brings it back")
    if cluster.meaning == "recoverable":
        start(aws, cluster.id, Observer(), lambda _: say(f"  {cluster.in_words} was started"))
    back = cluster.meaning == "accessible"
    return f"{cluster.in_words} is {cluster.status}" if back else ""
