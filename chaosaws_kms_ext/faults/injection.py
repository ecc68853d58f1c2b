"""Injecting a fault and putting it back: the order in which that is safe, once for every fault."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import Protocol

from chaosaws_kms_ext import aws
from chaosaws_kms_ext.aurora.api import describe
from chaosaws_kms_ext.aws import Aws, AwsError
from chaosaws_kms_ext.local_lab import LocalLab
from chaosaws_kms_ext.run import Happened, Refused, Run
from chaosaws_kms_ext.safety import journal, switch
from chaosaws_kms_ext.safety.guard import Target
from chaosaws_kms_ext.safety.journal import Entry
from chaosaws_kms_ext.safety.replay import VERIFY_TIMEOUT, NotPutBack, is_back, replay
from chaosaws_kms_ext.safety.signals import deferred
from chaosaws_kms_ext.safety.undo import Undo
from chaosaws_kms_ext.waiting import Observer, Wait

__all__ = ["Fault", "Injections", "inject", "put_back", "settle"]


logger = logging.getLogger("chaostoolkit")


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
    """The faults of this run that have not been put back, and the clusters that are not back."""

    def __init__(self) -> None:
        self.open: list[Entry] = []
        self.pending: list[Entry] = []
        """Their keys are back."""


def inject(run: Run, fault: Fault, target: Target) -> Entry:
    """Injects `fault` on a target that the guard let pass.

    First the undo is safe on disk, then the call is made: whatever ends us in between leaves an
    entry that can be replayed without harm. Raises OSError, AwsError or TimedOut.
    """
    door = aws.of(run)
    lab = run.part(LocalLab) if run.has(LocalLab) else None
    role = "" if lab else run.settings.switch_role
    made = journal.new_entry(
        run=run.id,
        target=run.settings.target,
        region=door.region,
        endpoint=os.environ.get("AWS_ENDPOINT_URL", ""),
        lab=lab.id if lab else "",
        cluster=target.cluster.id,
        key=target.key.arn,
        undo=fault.undo(),
        switch=switch.names(target.key.arn) if role else (),
    )
    entry = journal.write(made)
    run.event(Happened.JOURNAL_OPENED, entry=str(entry.path))
    if role:
        _arm(run, door, role, entry)
    run.part(Injections, Injections).open.append(entry)
    fault.inject(door)
    run.event(Happened.INJECTED, fault=fault.name, key=target.key.arn, cluster=target.cluster.id)
    Wait(f"{fault.name} to show", VERIFY_TIMEOUT, 0.5, run.part(Observer, Observer)).until(
        lambda: fault.shows(door)
    )
    return entry


def _arm(run: Run, door: Aws, role: str, entry: Entry) -> None:
    """Without its switch no fault is injected, and then nothing of either is left."""
    try:
        due = switch.arm(
            door,
            role,
            run=entry.run,
            owner=entry.owner,
            cluster=entry.cluster,
            key=entry.key,
            undo=entry.undo,
            after=run.settings.longest_key_unusable,
        )
    except BaseException:
        with deferred():
            if left := switch.disarm(door, entry.switch, entry.run):
                entry.key_is_back()  # it stays, for its schedules alone
                logger.error(f"{'; '.join(left)}: run `chaos kms restore`")
            else:
                entry.close()
        raise
    run.event(Happened.SWITCH_ARMED, schedules=list(entry.switch), due=due.isoformat())
    logger.info(f"The switch is armed: {', '.join(entry.switch)} from {due:%Y-%m-%d %H:%M} UTC on")


def put_back(run: Run) -> list[Entry]:
    """Puts back every key that this run took away, and only those; raises NotPutBack.

    Signals wait meanwhile. A key counts as back when KMS says so; its entry stays in the journal
    until the cluster is back as well (`settle`).
    """
    done = []
    mine = run.part(Injections, Injections)
    while mine.open:
        entry = mine.open[-1]
        if run.has(LocalLab) and not run.part(LocalLab).running:
            raise NotPutBack("the lab has ended, and the key with it")
        with deferred():
            # An entry that is gone was closed by whoever put the key back, or else was lost.
            others = not entry.is_open and is_back(aws.of(run), entry.undo)
            by = {"by": "chaos kms restore"} if others else {}
            answered = time.monotonic_ns() if others else replay(aws.of(run), entry.undo)
            mine.open.pop()
            run.event(Happened.PUT_BACK, answered, key=entry.key, cluster=entry.cluster, **by)
            with contextlib.suppress(OSError):  # the entry as it is does no harm either
                entry = entry if others else entry.key_is_back()
            mine.pending.append(entry)
        done.append(entry)
    return done


def settle(run: Run) -> list[str]:
    """Closes the journal where the clusters are back; says what is not, each in a sentence."""
    mine = run.part(Injections, Injections)
    left = []
    for entry in list(mine.pending):
        try:
            status = describe(aws.of(run), entry.cluster)
        except (AwsError, Refused) as problem:
            left.append(f"whether {entry.cluster} is back is not known: {problem}")
            continue
        if status.meaning == "accessible":
            # First the switch: whoever finds the entry can still disarm it, and nothing else.
            if armed := switch.disarm(aws.of(run), entry.switch, entry.run):
                left += [f"{each}; `chaos kms restore` disarms it" for each in armed]
                continue
            entry.close()
            mine.pending.remove(entry)
            run.event(Happened.JOURNAL_CLOSED, entry=str(entry.path))
        else:
            still = ", and the switch stays armed" if entry.switch else ""
            left.append(
                f"the cluster {entry.cluster} is {status.status}: `chaos kms restore` starts it"
                f"{still}"
            )
    return left
