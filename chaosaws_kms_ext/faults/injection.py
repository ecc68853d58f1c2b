"""Injecting a fault and putting it back: the order in which that is safe, once for every fault."""

from __future__ import annotations

import os
from typing import Protocol

from chaosaws_kms_ext import aws
from chaosaws_kms_ext.aws import Aws
from chaosaws_kms_ext.local_lab import LocalLab
from chaosaws_kms_ext.run import Happened, Run
from chaosaws_kms_ext.safety import journal
from chaosaws_kms_ext.safety.guard import Target
from chaosaws_kms_ext.safety.journal import Entry
from chaosaws_kms_ext.safety.replay import VERIFY_TIMEOUT, NotPutBack, replay
from chaosaws_kms_ext.safety.signals import deferred
from chaosaws_kms_ext.safety.undo import Undo
from chaosaws_kms_ext.waiting import Observer, Wait

__all__ = ["Fault", "Injections", "inject", "put_back"]


class Fault(Protocol):
    """One way to lose a key."""

    name: str

    def undo(self) -> Undo:
        """What puts it back."""

    def inject(self, aws: Aws) -> None:
        """Does it; raises AwsError."""

    def shows(self, aws: Aws) -> bool:
        """Whether AWS says that it is done; raises AwsError."""


class Injections:
    """The faults of this run that have not been put back."""

    def __init__(self) -> None:
        self.open: list[Entry] = []


def inject(run: Run, fault: Fault, target: Target) -> Entry:
    """Injects `fault` on a target that the guard let pass.

    First the undo is safe on disk, then the call is made: whatever ends us in between leaves an
    entry that can be replayed without harm. Raises OSError, AwsError or TimedOut.
    """
    door = aws.of(run)
    lab = run.part(LocalLab) if run.has(LocalLab) else None
    entry = journal.write(
        run=run.id,
        target=run.settings.target,
        region=door.region,
        endpoint=os.environ.get("AWS_ENDPOINT_URL", ""),
        lab=lab.id if lab else "",
        cluster=target.cluster.id,
        key=target.key.arn,
        undo=fault.undo(),
    )
    run.part(Injections, Injections).open.append(entry)
    run.event(Happened.JOURNAL_OPENED, entry=str(entry.path))
    fault.inject(door)
    run.event(Happened.INJECTED, fault=fault.name, key=target.key.arn, cluster=target.cluster.id)
    Wait(f"{fault.name} to show", VERIFY_TIMEOUT, 0.5, run.part(Observer, Observer)).until(
        lambda: fault.shows(door)
    )
    return entry


def put_back(run: Run) -> list[Entry]:
    """Puts back every fault that this run injected, and only those; raises NotPutBack.

    Signals wait meanwhile. An entry is closed only when AWS shows that things are back.
    """
    done = []
    mine = run.part(Injections, Injections)
    while mine.open:
        entry = mine.open[-1]
        if run.has(LocalLab) and not run.part(LocalLab).running:
            raise NotPutBack("the lab has ended, and the key with it")
        with deferred():
            answered = replay(aws.of(run), entry.undo)
            run.event(Happened.PUT_BACK, answered, key=entry.key, cluster=entry.cluster)
            entry.close()
            run.event(Happened.JOURNAL_CLOSED, entry=str(entry.path))
            mine.open.pop()
        done.append(entry)
    return done
