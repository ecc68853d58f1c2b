"""Injecting a fault and putting it back: the order in which that is safe, once for every fault."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from chaosaws_kms_ext.aws import names, rds
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.faults import Fault
from chaosaws_kms_ext.history import SECOND, EventName
from chaosaws_kms_ext.inject.safeguards import Safeguards
from chaosaws_kms_ext.inject.strategy import refuse_without_rollbacks
from chaosaws_kms_ext.run import Instant, Refused, Run
from chaosaws_kms_ext.undo import journal, switch
from chaosaws_kms_ext.undo.bring_back import in_words
from chaosaws_kms_ext.undo.deferred_signals import deferred
from chaosaws_kms_ext.undo.journal import Entry
from chaosaws_kms_ext.undo.replay import IN_FLIGHT, VERIFY_TIMEOUT, NotPutBack, replay
from chaosaws_kms_ext.undo.undo import Undo
from chaosaws_kms_ext.waiting import Wait

__all__ = [
    "close_recovered",
    "inject",
    "inject_all",
    "last_resort",
    "put_back",
    "refuse_without_switch",
]

logger = logging.getLogger("chaostoolkit")


def inject(run: Run, fault: Fault, cluster: str = "", others: Sequence[str] = ()) -> Entry:
    """Injects one fault, as `inject_all`; returns its entry of the journal."""
    (entry,) = inject_all(run, [fault], cluster, others)
    return entry


def inject_all(
    run: Run, faults: Sequence[Fault], cluster: str = "", others: Sequence[str] = ()
) -> list[Entry]:
    """Injects `faults`, which the guard has allowed and which can be composed, in their order, on
    a key and the cluster that it encrypts.

    Each has its own undo, which is written to disk before its call is made. So if this process dies
    in between, its entry can still be replayed, and replaying does no harm. A run that ends
    normally puts back every key that is still away, even if its rollbacks did not. One switch is
    armed for all, before the first: its schedules are in the first entry, which is closed last.
    `others`: the ids of the other clusters under the key, which have to be back in the end as well.

    Raises OSError, AwsError, JournalDamaged, Refused or TimedOut; those that were injected until
    then stay open.
    """
    refuse_without_rollbacks()
    if why := run.stop_at_fault:
        run.stop(why)
        raise Refused(f"no other fault is injected: {why}")
    aws = Aws.of(run)
    key = faults[0].key
    undos = [_undo_of(run, fault) for fault in faults]
    for undo in undos:
        _refuse_outlived(run, undo)
    _refuse_second(run, key)
    actions = [action for undo in undos for action in undo.actions]
    safeguards = Safeguards.ensure(run, aws, cluster, key, list(dict.fromkeys(actions)))
    if broken := safeguards.why_broken():
        raise Refused(broken)
    by_switch = Undo() if run.lab or not run.settings.switch_role else switch.calls_of(undos)
    made = _entries_of(run, key, undos, by_switch, cluster, others)
    run.at_end.callback(last_resort, run)
    entries: list[Entry] = []
    for fault, each in zip(faults, made, strict=True):
        entries.append(_open(run, each))
        if each.switch:
            _arm(run, aws, entries[0], by_switch)
        for entry in entries:
            _still_ours(aws, entry)
        _inject_one(run, aws, fault, entries[-1])
    return entries


def _entries_of(
    run: Run,
    key: str,
    undos: Sequence[Undo],
    by_switch: Undo,
    cluster: str,
    others: Sequence[str],
) -> list[Entry]:
    """An entry for each undo, none on disk yet; the first has the schedules of the switch.

    Raises JournalDamaged for what could not be read back.
    """
    calls = len(by_switch.calls)
    schedules = names.schedules(key, calls, 1 + len(others)) if calls else ()
    return [
        journal.new_entry(
            run=run.id,
            region=Aws.of(run).region,
            lab=run.lab,
            cluster=cluster,
            key=key,
            undo=undo,
            switch=() if place else schedules,
            others=others,
        )
        for place, undo in enumerate(undos)
    ]


def _open(run: Run, made: Entry) -> Entry:
    """The entry, on disk and in this run's memory."""
    with deferred():
        entry = journal.write(made)
        run.open_faults.key_away.append(entry)
    run.event(EventName.JOURNAL_OPENED, entry=str(entry.path), key=entry.key)
    return entry


def _inject_one(run: Run, aws: Aws, fault: Fault, entry: Entry) -> None:
    asked = time.monotonic_ns()
    try:
        answer = fault.inject(aws) or Instant.now(asked)
    finally:
        again = _open_again(run, entry)
    if again is not entry:
        raise Refused("somebody put the key back while it was being taken away: so does this run")
    also = {"others": list(entry.others)} if entry.others else {}
    run.event(
        EventName.INJECTED,
        answer,
        fault=fault.name,
        key=entry.key,
        cluster=entry.cluster,
        **also,
    )
    Wait(f"{fault.name} to show", VERIFY_TIMEOUT, 0.5, run.observer).until(lambda: fault.shows(aws))


def _undo_of(run: Run, fault: Fault) -> Undo:
    """What puts the fault back; raises Refused where that is not as it has to be."""
    undo = fault.undo()
    if undo.actions != fault.needs.undo:
        raise Refused(
            f"the fault {fault.name} needs {', '.join(fault.needs.undo)} to be undone, and its "
            f"undo calls {', '.join(undo.actions)}: make them the same"
        )
    if fault.on == "target":
        refuse_without_switch(run, undo.actions)
    return undo


def _refuse_outlived(run: Run, undo: Undo) -> None:
    """Raises Refused if the key could be away for longer than AWS takes the undo."""
    if undo.until is None:
        return
    left = (undo.until - datetime.now(UTC)).total_seconds()
    if (longest := run.settings.longest_outage) >= left:
        raise Refused(
            f"this run may leave the key away for {longest:.0f} s, and AWS takes its undo (the "
            f"import token) for {left:.0f} s more: set CHAOS_MAX_KEY_UNUSABLE to less"
        )


def _refuse_second(run: Run, key: str) -> None:
    """Raises Refused while a fault of this run on the key is not over.

    One switch is armed for all faults of a key at once, before the first: for those of a later step
    it is too late.
    """
    mine = run.open_faults
    if any(entry.key == key for entry in mine.key_away):
        raise Refused(
            f"this run has changed {key} already: put that back first, or name all faults of it in "
            "one step (`faults` of inject_fault)"
        )
    if any(entry.key == key for entry in mine.awaiting_cluster):
        close_recovered(run)
    if any(entry.key == key for entry in mine.awaiting_cluster):
        raise Refused(
            f"the cluster under {key} is not back from this run's fault before: call "
            "wait_for_recovery first"
        )


def refuse_without_switch(run: Run, undo: Sequence[str]) -> None:
    """Raises Refused if the settings want a switch and it cannot make these calls (for example
    `kms:EnableKey`), unless they allow a run without it."""
    settings = run.settings
    wanted = settings.switch_role and settings.target == "aws" and settings.without_switch == "no"
    if wanted and not switch.can(undo):
        raise Refused(switch.cannot(undo))


def _still_ours(aws: Aws, entry: Entry) -> None:
    """Raises Refused if somebody has closed the entry or disarmed the switch already: they do not
    want this fault to be injected."""
    if not entry.key_is_away or entry.is_lost:
        raise Refused("the entry of the undo journal is closed or gone: the fault is not injected")
    if entry.switch and not switch.is_held(aws, entry.switch[0], entry.run):
        raise Refused("the switch was disarmed by somebody else: the fault is not injected")


def _open_again(run: Run, entry: Entry) -> Entry:
    """The entry; a new one, if somebody closed it while the fault was being injected.

    Then AWS may have carried our call out after theirs, and this run alone knows of it. The new one
    has no switch: they disarmed it.
    """
    if entry.key_is_away and not entry.is_lost:
        return entry
    mine = run.open_faults
    with deferred():
        again = journal.write(entry.once_more())
        mine.key_away[mine.key_away.index(entry)] = again
    return again


def _arm(run: Run, aws: Aws, entry: Entry, undo: Undo) -> None:
    """Arms the switch. If that fails, the fault is not injected: entry and switch are removed."""
    try:
        due = switch.arm(
            aws,
            run.settings.switch_role,
            run=entry.run,
            owner=entry.owner,
            clusters=entry.clusters,
            key=entry.key,
            undo=undo,
            after=run.settings.longest_key_unusable,
        )
    except BaseException:
        with deferred():
            run.open_faults.key_away.remove(entry)
            if left := switch.disarm(aws, entry.switch, entry.run):
                entry.key_is_back()  # it stays, for its schedules alone
                logger.error(f"{'; '.join(left)}: run `chaos kms restore`")
            else:
                entry.close()
        raise
    run.event(EventName.SWITCH_ARMED, schedules=list(entry.switch), due=due.isoformat())
    logger.info(f"The switch is armed: {', '.join(entry.switch)} from {due:%Y-%m-%d %H:%M} UTC on")


def put_back(run: Run) -> list[Entry]:
    """Puts back every key that this run took away, and only those; raises NotPutBack.

    Faults are undone in reverse order, each even when the undo of a later one failed; what failed
    is tried again if an undo after it may have helped (a key policy that is back, say). Signals
    wait meanwhile. A key counts as back when KMS says so of every fault; the entries stay in the
    journal until the cluster is back as well (`close_recovered`).
    """
    done: list[Entry] = []
    while True:
        wrong, failed, before = list[str](), set[str](), len(done)
        for entry in reversed(list(run.open_faults.key_away)):
            if run.lab and not run.lab.running:
                raise NotPutBack("the lab has ended, and its key is gone with it")
            try:
                done.append(_put_one_back(run, entry))
            except Exception as problem:  # the next one has its turn
                wrong.append(in_words(problem))
                failed.add(entry.key)
        if not wrong:
            return done
        if not failed & {entry.key for entry in done[before:]}:
            raise NotPutBack("; ".join(wrong))


def _put_one_back(run: Run, entry: Entry) -> Entry:
    mine = run.open_faults
    with deferred():
        # Then somebody else put the key back, and may have changed it since: it is left as it is.
        others = not entry.key_is_away
        # A call that was cut off may be carried out after its undo.
        cut_off = not others and not _answered(run, entry)
        aws, within = Aws.of(run), run.settings.real(run.settings.connect_timeout)
        answer = _seen_back(run, entry) if others else replay(aws, entry.undo, cut_off, within)
        if cut_off:
            time.sleep(IN_FLIGHT)
            replay(aws, entry.undo, slow_within=within)
        mine.key_away.remove(entry)
        _record_undone(run, entry, answer, by_others=others)
        with contextlib.suppress(OSError):  # the entry as it is does no harm either
            entry = entry if others else entry.key_is_back()
        mine.awaiting_cluster.append(entry)
    return entry


def _record_undone(run: Run, entry: Entry, answer: Instant, by_others: bool) -> None:
    """That a fault is undone; and with the last one of a key, that this is back."""
    by = {"by": "chaos kms restore"} if by_others else {}
    of_it = {"key": entry.key, "cluster": entry.cluster}
    if any(each.key == entry.key for each in run.open_faults.key_away):
        run.event(EventName.UNDONE, answer, **of_it, **by)
        return
    injected = run.last(EventName.INJECTED, key=entry.key)
    undone = run.last(EventName.UNDONE, key=entry.key)
    if injected and undone and undone.at >= injected.at:
        # The key may have been usable since the first of its faults was undone.
        first = run.first_since(EventName.UNDONE, injected.at, key=entry.key) or undone
        since = first.at - round(float(first.details["within_seconds"]) * SECOND)
        answer = Instant(answer.at, round((answer.at - since) / SECOND, 3))
        by = by or {k: v for k, v in undone.details.items() if k == "by"}
    run.event(EventName.PUT_BACK, answer, **of_it, **by)


def _seen_back(run: Run, entry: Entry) -> Instant:
    """When somebody else put the key back, as exactly as this run has seen it."""
    injected = run.last(EventName.INJECTED, key=entry.key)
    after = injected.at if injected else time.monotonic_ns()
    watcher = run.watcher
    if watcher and watcher.key == entry.key:
        seen = run.last(EventName.STATUS, key="Enabled")
        if seen and seen.at > after:
            return Instant(seen.at, float(seen.details["within_seconds"]))
        if watcher.latest and watcher.latest.key_state != "Enabled":
            after = max(after, watcher.latest.began)
    return Instant.now(after)


def _answered(run: Run, entry: Entry) -> bool:
    """Whether AWS answered the call that this entry undoes, and not only an earlier one."""
    opened = run.last(EventName.JOURNAL_OPENED, entry=str(entry.path))
    injected = run.last(EventName.INJECTED, key=entry.key)
    return opened is not None and injected is not None and injected.at >= opened.at


def last_resort(run: Run) -> None:
    """Puts back every key that the rollbacks did not put back; safe to call again.

    If it cannot, the watchdog does it, which begins when this process ends.
    """
    mine, lab = run.open_faults, run.lab
    if not mine.key_away or mine.given_up or (lab and not lab.running):
        return
    logger.warning("the rollbacks left a key away: putting it back now")
    try:
        put_back(run)
    except (NotPutBack, OSError) as problem:
        mine.given_up = True
        logger.error(f"the key was NOT put back: {problem}; run `chaos kms restore`")


def close_recovered(run: Run) -> list[str]:
    """Closes the entries whose clusters are back; returns why others stay open, in sentences.

    What keeps all faults of a key open is said once.
    """
    mine = run.open_faults
    left = dict[str, None]()
    for entry in list(mine.awaiting_cluster):
        # A key of our own may have no cluster under it.
        whys = [why for each in entry.clusters if (why := _why_not_back(run, entry, each))]
        if any(each.key == entry.key and each.run == entry.run for each in mine.key_away):
            whys.append(
                f"another fault of {entry.key} is not put back: `chaos kms restore` does it"
            )
        # First the switch: while the entry is there, somebody who finds it can still disarm it.
        if not whys and (armed := switch.disarm(Aws.of(run), entry.switch, entry.run)):
            whys = [f"{each}; `chaos kms restore` disarms it" for each in armed]
        if not whys:
            _close(run, entry)
        left |= dict.fromkeys(whys)
    return list(left)


def _why_not_back(run: Run, entry: Entry, cluster_id: str) -> str:
    """Why a cluster of the entry does not count as back, in a sentence; empty if it does."""
    try:
        cluster = rds.describe(Aws.of(run), cluster_id)
    except AwsError as problem:
        if problem.code in rds.MISSING:  # it was made for this, and removed
            return ""
        return f"whether {cluster_id} is back is not known: {problem}"
    if cluster.meaning == "accessible":
        return ""
    waiting = (each for each in run.open_faults.awaiting_cluster if each.key == entry.key)
    still = ", and the switch stays armed" if any(each.switch for each in waiting) else ""
    return f"{cluster.in_words} is {cluster.status}: `chaos kms restore` starts it{still}"


def _close(run: Run, entry: Entry) -> None:
    entry.close()
    run.open_faults.awaiting_cluster.remove(entry)
    run.event(EventName.JOURNAL_CLOSED, entry=str(entry.path))
