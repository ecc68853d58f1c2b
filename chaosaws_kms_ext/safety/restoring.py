"""Puts back what a journal entry says, to its end: the key, the cluster, the switch, the entry."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence

from chaosaws_kms_ext.aurora import api as aurora
from chaosaws_kms_ext.aurora.starting import start
from chaosaws_kms_ext.aws import Aws, AwsError
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.safety import journal, switch
from chaosaws_kms_ext.safety.journal import Entry
from chaosaws_kms_ext.safety.made import Made
from chaosaws_kms_ext.safety.replay import IN_FLIGHT, NotPutBack, is_back, replay
from chaosaws_kms_ext.safety.signals import deferred
from chaosaws_kms_ext.safety.switch import Armed
from chaosaws_kms_ext.safety.undo import Undo
from chaosaws_kms_ext.waiting import Observer, TimedOut, Wait

__all__ = ["adopted", "door", "restore"]

Say = Callable[[str], object]

BACK_WITHIN, LOOK = 3600.0, 2.0
"""Seconds for a cluster to be started (Aurora User Guide, aurora-cluster-stop-start: "usually takes
several minutes"), and between two looks."""


def door(entry: Entry | Made) -> Aws:
    """AWS, or the lab, as the run that wrote this down had it; raises Refused."""
    return Aws(entry.region, entry.endpoint, lab=bool(entry.lab))


def restore(aws: Aws, entry: Entry, say: Say, force: bool = False, watching: bool = False) -> None:
    """Puts the key back, sees to it that the cluster comes back, and only then closes the entry.

    With `force` also where its switch, which is gone, says that it was put back before. Who was
    `watching` the run need not ask that, and knows that its last call may be on its way. Raises
    AwsError, NotPutBack (also when schedules are still armed), Refused or OSError; what was done
    until then is done, and the entry says what is left. Signals wait while the key is put back.
    """
    _check_account(aws, entry)
    if entry.undo.calls and (other := _other_holder(aws, entry)):
        say(f"run {other} holds this key now, so ours was put back before: it is left alone")
        entry.close()
        return
    if entry.undo.calls:
        if not (force or watching) and _was_put_back(aws, entry):
            raise Refused(
                f"the switch of run {entry.run} is gone, so {entry.key} was put back before, and "
                "somebody took it away again: it is left as it is; `chaos kms restore --force` "
                "puts it back all the same"
            )
        with deferred():
            replay(aws, entry.undo)
            if watching:
                time.sleep(IN_FLIGHT)
                replay(aws, entry.undo)
            with contextlib.suppress(OSError):  # the cluster matters more
                entry = entry.key_is_back()
        say("the key is back")
    what = _until_back(aws, entry.cluster, say) if entry.cluster else ""
    if left := switch.disarm(aws, entry.switch, entry.run):
        raise NotPutBack("; ".join(left))
    entry.close()
    if what:
        say(what)


def _check_account(aws: Aws, entry: Entry) -> None:
    """In another account nothing of it would be found, and that would look like being over."""
    if entry.lab:
        return
    with contextlib.suppress(AwsError):  # STS must not stand between a key and its return
        account = aws.call("sts", "GetCallerIdentity", {})["Account"]
        if (theirs := entry.key.split(":")[4]) != account:
            raise Refused(f"{entry.key} is of account {theirs}, these credentials of {account}")


def _other_holder(aws: Aws, entry: Entry) -> str:
    """The run that holds the entry's key, if it is another; empty if that is not known.

    Its guard found the key enabled, so the fault of the entry was put back before.
    """
    with contextlib.suppress(AwsError):
        found = switch.holder(aws, entry.switch[0]) if entry.switch else ""
        return "" if found == entry.run else found
    return ""


def _was_put_back(aws: Aws, entry: Entry) -> bool:
    """Whether the entry's switch is gone, with which whoever puts back takes leave; or it is too
    old to know."""
    if not entry.switch or is_back(aws, entry.undo):
        return False
    with contextlib.suppress(AwsError):
        return switch.holder(aws, entry.switch[0]) != entry.run
    return False


def _until_back(aws: Aws, cluster_id: str, say: Say) -> str:
    """Starts the cluster if it must, and waits until it is available; says what came of it."""

    def back() -> str | None:
        try:
            cluster = aurora.describe(aws, cluster_id)
        except AwsError as problem:
            if problem.code == "DBClusterNotFoundFault":
                return f"the cluster {cluster_id} is not there any more"
            raise
        if cluster.meaning == "terminal":
            raise NotPutBack(f"{cluster.id} is {cluster.status}: only a backup brings it back")
        if cluster.meaning == "recoverable":
            start(aws, cluster.id, Observer(), lambda: say("the cluster was started"))
        if cluster.meaning == "accessible":
            return f"the cluster {cluster.id} is {cluster.status}"
        return None

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
