"""Puts back what a journal entry says, to its end: the key, the cluster, the switch, the entry."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence

from chaosaws_kms_ext.aurora import api as aurora
from chaosaws_kms_ext.aurora.api import Cluster
from chaosaws_kms_ext.aurora.starting import start
from chaosaws_kms_ext.aws import Aws
from chaosaws_kms_ext.safety import journal, switch
from chaosaws_kms_ext.safety.journal import Entry
from chaosaws_kms_ext.safety.replay import NotPutBack, replay
from chaosaws_kms_ext.safety.signals import deferred
from chaosaws_kms_ext.safety.switch import Armed
from chaosaws_kms_ext.safety.undo import Undo
from chaosaws_kms_ext.waiting import Observer, TimedOut, Wait

__all__ = ["adopted", "door", "restore"]

Say = Callable[[str], object]

BACK_WITHIN, LOOK = 3600.0, 2.0
"""Seconds for a cluster to be started (Aurora User Guide, aurora-cluster-stop-start: "usually takes
several minutes"), and between two looks."""


def door(entry: Entry) -> Aws:
    """AWS, or the lab, as the run that made the entry had it; raises Refused."""
    return Aws(entry.region, entry.endpoint, lab=bool(entry.lab))


def restore(aws: Aws, entry: Entry, say: Say) -> None:
    """Puts the key back, sees to it that the cluster comes back, and only then closes the entry.

    Raises AwsError, NotPutBack (also when schedules are still armed) or OSError; what was done
    until then is done, and the entry says what is left. Signals wait while the key is put back.
    """
    if entry.undo.calls and (other := switch.other_holder(aws, entry)):
        say(f"run {other} holds this key now, so ours was put back before: it is left alone")
        entry.close()
        return
    if entry.undo.calls:
        with deferred():
            replay(aws, entry.undo)
            with contextlib.suppress(OSError):  # the cluster matters more
                entry = entry.key_is_back()
        say("the key is back")
    cluster = _until_back(aws, entry.cluster, say)
    if left := switch.disarm(aws, entry.switch, entry.run):
        raise NotPutBack("; ".join(left))
    entry.close()
    say(f"the cluster {cluster.id} is {cluster.status}")


def _until_back(aws: Aws, cluster_id: str, say: Say) -> Cluster:
    """Starts the cluster if it must, and waits until it is available."""

    def back() -> Cluster | None:
        cluster = aurora.describe(aws, cluster_id)
        if cluster.meaning == "terminal":
            raise NotPutBack(f"{cluster.id} is {cluster.status}: only a backup brings it back")
        if cluster.meaning == "recoverable":
            start(aws, cluster.id, Observer(), lambda: say("the cluster was started"))
        return cluster if cluster.meaning == "accessible" else None

    try:
        return Wait(f"{cluster_id} to be available", BACK_WITHIN, LOOK, Observer()).until(back)
    except TimedOut as problem:
        raise NotPutBack(str(problem)) from None


def adopted(aws: Aws, schedules: Sequence[Armed], keep: bool) -> list[Entry]:
    """Journal entries for runs of which nothing but their schedules is known here.

    They are written to this machine's journal unless `keep` is false. Raises OSError.
    """
    entries = []
    for run, key in dict.fromkeys((each.run, each.key) for each in schedules):
        theirs = [each for each in schedules if (each.run, each.key) == (run, key)]
        undo = next((each.undo for each in theirs if each.undo.calls), Undo((), ()))
        entry = journal.new_entry(
            run=run,
            target="aws",
            region=aws.region,
            endpoint=os.environ.get("AWS_ENDPOINT_URL", ""),
            lab="",
            cluster=theirs[0].cluster,
            key=key,
            undo=undo,
            switch=[each.name for each in theirs],
            owner=theirs[0].owner,
        )
        entries.append(journal.write(entry) if keep else entry)
    return entries
