"""Carries out a journal entry completely: key back, cluster back, switch disarmed, entry closed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.names import ALLOW, TAG
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo import journal, switch
from chaosaws_kms_ext.undo.bring_back import bring_back, in_words
from chaosaws_kms_ext.undo.deferred_signals import deferred
from chaosaws_kms_ext.undo.journal import Entry
from chaosaws_kms_ext.undo.replay import IN_FLIGHT, NotPutBack, is_back, replay
from chaosaws_kms_ext.undo.restorer import restorer_for
from chaosaws_kms_ext.undo.store import JournalDamaged
from chaosaws_kms_ext.undo.switch import Armed

__all__ = ["entries_from_schedules", "in_order", "named", "restore"]

Say = Callable[[str], object]


def restore(
    entries: Sequence[Entry], say: Say, force: bool = False, watching: bool = False
) -> list[Entry]:
    """Puts every key back, then brings every cluster back; returns the entries that are left.

    Of an entry with several clusters each is brought back, whatever becomes of the others.

    `force`: also puts back a key that was put back before, as its missing switch shows.
    `watching`: the caller has watched the run, so the switch is not looked at.

    If one entry fails, the others are still carried out. `say` gets every failure and
    every call that is made. A file that was copied from another machine is not changed.
    Entries that are left without calls have their keys back. Signals wait while a key is put back.
    """
    left, back = [], []
    waiting = in_order(entries)
    locks = {_faults_of(entry): entry.switch[0] for entry in entries if entry.switch}
    while waiting:
        failed, helped = list[Entry](), set[Faults]()
        for entry in waiting:
            say(named(entry))
            try:
                lock = locks.get(_faults_of(entry), "")
                back += _put_key_back(restorer_for(entry, say), entry, lock, say, force, watching)
                helped.add(_faults_of(entry))
            except Exception as problem:
                say(f"  NOT put back: {in_words(problem)}")
                failed.append(entry)
        # An undo that came after may have helped: a key policy that lets the call again, say.
        waiting = [entry for entry in failed if _faults_of(entry) in helped]
        left += [entry for entry in failed if _faults_of(entry) not in helped]
    not_back = {_faults_of(entry) for entry in left}
    for entry in back:
        if _faults_of(entry) in not_back:
            say(f"  {entry.path} stays open: another fault of its key is not put back completely")
            left.append(entry)
            continue
        try:
            _bring_back(restorer_for(entry, say), entry, say)
        except Exception as problem:
            say(f"  NOT put back: {', '.join(entry.clusters)}: {in_words(problem)}")
            left.append(entry)
            not_back.add(_faults_of(entry))
    return left


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    """As they are put back: of one key the newest undo comes first, since it knows only what the
    one before it had left.

    Entries of a lab come last: a program that listens in place of a lab must not delay the others.
    """
    newest = sorted(entries, key=lambda entry: (entry.made, entry.path.name), reverse=True)
    return sorted(newest, key=lambda entry: bool(entry.lab))


Faults = tuple[str, str, str]
"""The run, the lab and the key of entries that were injected together."""


def _faults_of(entry: Entry) -> Faults:
    return entry.run, entry.lab, entry.key


def _put_key_back(
    aws: Aws, entry: Entry, lock: str, say: Say, force: bool, watching: bool
) -> list[Entry]:
    """The entry with its key back; an empty list if it was closed.

    `lock`: the schedule that keeps others from the key, in whichever entry of these faults it is.
    """
    _check_account(aws, entry)
    if entry.is_copy and not force:
        _check_copy(aws, entry)
    if entry.state != "key-away":
        return [entry]
    by_switch = switch.can(entry.undo.actions)
    if other := _other_holder(aws, entry, lock):
        if not by_switch and not is_back(aws, entry.undo):
            raise Refused(
                f"run {other} holds this key now, and no switch can have put this back: call "
                "`chaos kms restore` again when that run is over"
            )
        say(f"  run {other} holds this key now, so ours was put back before: it is left alone")
        entry.close()
        return []
    # Whoever knew the schedules alone put back what they can call, and nothing else of the faults.
    if by_switch and not (force or watching) and (why := _was_put_back(aws, entry, lock)):
        raise Refused(f"{why}: it is left as it is; `--force` puts it back all the same")
    with deferred():
        # The run's last call may still be on its way to AWS, also for who comes by hand: a script
        # that kills a run and restores after it.
        replay(aws, entry.undo, again_soon=True)
        time.sleep(IN_FLIGHT)
        replay(aws, entry.undo)
        say("  the key is back")
        try:
            return [entry.key_is_back()]
        except OSError as problem:
            say(f"  {entry.path} could not be written: {problem}")
            return [entry.without_calls()]


def _bring_back(aws: Aws, entry: Entry, say: Say) -> None:
    """Brings the clusters back, disarms the switch and closes the entry."""
    try:
        bring_back(aws, entry.clusters, entry.key, say)
    except (AwsError, NotPutBack):
        if not entry.lab_is_gone:
            raise
        say("  the run has ended, and its lab went with it")
    if armed := switch.disarm(aws, entry.switch, entry.run):
        raise NotPutBack("; ".join(armed))
    try:
        entry.close()
    except OSError as problem:
        raise NotPutBack(f"everything is back, but {entry.path} is not closed: {problem}") from None


def named(entry: Entry) -> str:
    """Which entry it is, for people."""
    return f"{entry.key} (run {entry.run}, {entry.made}, by {entry.owner})"


def _check_account(aws: Aws, entry: Entry) -> None:
    """Raises Refused for credentials of another account, where nothing of the run is found."""
    if entry.lab:
        return
    with contextlib.suppress(AwsError):  # STS must not stand between a key and its return
        account = aws.call("sts", "GetCallerIdentity", {})["Account"]
        if (theirs := entry.key.split(":")[4]) != account:
            raise Refused(f"{entry.key} is of account {theirs}, these credentials of {account}")


def _check_copy(aws: Aws, entry: Entry) -> None:
    """Raises Refused unless a copied file is about a key that may be attacked or that its run made;
    and if it says that the key is back although KMS does not."""
    carried = kms.tags(aws, entry.key)
    name, value = ALLOW
    if carried.get(name) != value and carried.get(TAG) != entry.run:
        raise Refused(
            f"{entry.path} names a key that carries neither the tag {name}={value} nor "
            f"{TAG}={entry.run}: `--force` believes it all the same"
        )
    state = kms.describe(aws, entry.key).state
    if entry.state != "key-away" and state != "Enabled":
        raise Refused(
            f"{entry.path} says that the key is back, and it is {state}: its switch stays armed"
        )


def _other_holder(aws: Aws, entry: Entry, lock: str) -> str:
    """The run that holds the entry's key, if it is another; empty if that is not known.

    The guard of that run found the key enabled, so the fault of this entry was put back before.
    """
    with contextlib.suppress(AwsError):
        found = switch.holder(aws, lock) if lock else ""
        return "" if found == entry.run else found
    return ""


def _was_put_back(aws: Aws, entry: Entry, lock: str) -> str:
    """Why the key must have been put back before and taken away again; empty if nothing shows it.

    A key that is put back loses its switch at the same time.
    """
    if not lock or is_back(aws, entry.undo):
        return ""
    try:
        if switch.is_held(aws, lock, entry.run):
            return ""
    except AwsError:
        return ""
    gone = f"the switch of run {entry.run} is gone"
    if datetime.now(UTC) - datetime.fromisoformat(entry.made) > switch.FOR:
        return f"{gone}: {entry.key} was put back before, or the switch ended without it"
    return f"{gone}, so {entry.key} was put back before, and somebody took it away again"


def entries_from_schedules(
    aws: Aws, schedules: Sequence[Armed], keep: bool
) -> tuple[list[Entry], list[str]]:
    """Journal entries for runs of which this machine knows only the schedules.

    Also returns, in sentences, why other schedules give no entry. The entries are written to this
    machine's journal, if possible; with `keep` false they are not.
    """
    entries, problems = [], []
    for run, key in dict.fromkeys((each.run, each.key) for each in schedules):
        theirs = [each for each in schedules if (each.run, each.key) == (run, key)]
        undo = switch.undo_of(theirs)
        others = [each.cluster for each in theirs if each.cluster != theirs[0].cluster]
        try:
            entry = journal.new_entry(
                run=run,
                region=aws.region,
                lab=None,
                cluster=theirs[0].cluster,
                others=tuple(dict.fromkeys(others)),
                key=key,
                undo=undo,
                switch=[each.name for each in theirs],
                owner=theirs[0].owner,
            )
        except JournalDamaged as problem:
            names = ", ".join(each.name for each in theirs)
            problems.append(
                f"the schedules {names} of run {run} are not as we make them: {problem}"
            )
            continue
        if keep:
            with contextlib.suppress(OSError):  # nothing may keep the key from being put back
                entry = journal.write(entry)
        entries.append(entry)
    return entries, problems
