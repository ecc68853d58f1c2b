"""Puts back what a journal entry says, to its end: the key, the cluster, the switch, the entry."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from chaosaws_kms_ext.aurora import api as aurora
from chaosaws_kms_ext.aurora.starting import start
from chaosaws_kms_ext.aws import Aws
from chaosaws_kms_ext.safety import journal, switch
from chaosaws_kms_ext.safety.journal import Entry
from chaosaws_kms_ext.safety.replay import NotPutBack, replay
from chaosaws_kms_ext.safety.switch import Armed
from chaosaws_kms_ext.safety.undo import Undo
from chaosaws_kms_ext.waiting import Observer

__all__ = ["adopted", "door", "restore"]

Say = Callable[[str], object]


def door(entry: Entry) -> Aws:
    """AWS, or the lab, as the run that made the entry had it; raises Refused."""
    return Aws(entry.region, entry.endpoint, lab=bool(entry.lab))


def restore(aws: Aws, entry: Entry, say: Say) -> None:
    """Puts the key back, starts the cluster if it must, and only then closes the entry.

    Raises AwsError, NotPutBack (also when schedules are still armed) or OSError; what was done
    until then is done, and the entry says what is left.
    """
    if entry.undo.calls:
        replay(aws, entry.undo)
        entry = entry.key_is_back()
        say("the key is back")
    cluster = aurora.describe(aws, entry.cluster)
    if cluster.meaning == "recoverable":
        start(aws, cluster.id, Observer(), lambda: say("the cluster was started"))
        cluster = aurora.describe(aws, entry.cluster)
    if left := switch.disarm(aws, entry.switch, entry.run):
        raise NotPutBack("; ".join(left))
    entry.close()
    say(f"the cluster {cluster.id} is {cluster.status}")


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
