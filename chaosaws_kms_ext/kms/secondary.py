"""Actions on a cluster's secondary keys: of its master user's secret, of Performance Insights, of
its activity stream. The database lives without them; what they encrypt does not."""

from __future__ import annotations

import contextlib
import logging
import time
from datetime import timedelta
from typing import Any

from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities, faults
from chaosaws_kms_ext.aws import rds, secondary_keys
from chaosaws_kms_ext.aws.client import Aws, AwsError, go_on_after
from chaosaws_kms_ext.aws.cloudtrail import SPACING, EventHistory
from chaosaws_kms_ext.guard import guard
from chaosaws_kms_ext.history import Event, EventName
from chaosaws_kms_ext.inject.injection import inject
from chaosaws_kms_ext.inject.key_away import KeyStaysAway, time_left
from chaosaws_kms_ext.kms.secondary_uses import Use, use
from chaosaws_kms_ext.run import Instant, Refused, Run
from chaosaws_kms_ext.waiting import TimedOut, Wait

__all__ = ["lose_secondary_key", "secondary_told", "secondary_works", "watch_secondary_loss"]

logger = logging.getLogger("chaostoolkit")

WORKS_WITHIN, WORKS_AGAIN_WITHIN = 30.0, 300.0
"""Seconds until what a key encrypts has to work, before and after a key was put back: KMS is
eventually consistent, which takes "several minutes in some cases" (KMS Developer Guide,
programming-eventual-consistency)."""

TOLD_WITHIN = 900.0
"""AWS seconds until CloudTrail has to have the call. CloudTrail User Guide: "within an average of
about 5 minutes of an API call. This time is not guaranteed"."""

SKEW = timedelta(seconds=5)
"""By how much CloudTrail's date of a call may differ from when it was answered here."""


def lose_secondary_key(
    key_of: str,
    fault: str = "disable-key",
    if_there: bool = False,
    key_id: str = "",
    arguments: dict[str, Any] | None = None,
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """Take a secondary key of this run's cluster away, if the guard allows it, until `undo_faults`.

    As every fault: what undoes it is in the journal before the call, the blast radius is counted
    for this very key, and it needs the opt-in tag. A secondary key that is that of the cluster's
    storage as well is refused: without it the cluster goes down.

    Parameters
    ----------
    key_of : `master-secret`, `performance-insights` or `activity-stream`.
    fault : a fault of the target: `disable-key`, `deny-rds`, `schedule-key-deletion`.
    if_there : a cluster without such a key is no failure: nothing is taken away, and that is said.
    key_id : id, ARN or alias; only compared with the key that RDS names.
    arguments : what the fault takes besides.

    Returns `key_of`, `key` (ARN, or null) and `why` (empty, or why nothing was done). Raises
    ActivityFailed. IAM: `chaos kms policy run`, and `chaos kms policy secondary`.
    """
    with activities.plainly(configuration) as run:
        kind = faults.named(fault)
        if kind.on != "target":
            raise Refused(f"{fault} is for a key that the run made, and not for one of its cluster")
        if arguments is not None and not isinstance(arguments, dict):
            raise Refused("the arguments of a fault are a JSON object")
        name, aws = activities.cluster_id(run), Aws.of(run)
        if secondary_keys.find(aws, rds.describe(aws, name), key_of) is None and if_there:
            why = f"{name} has no {secondary_keys.KEYS_OF[key_of]}"
            logger.warning(f"{why}: nothing is taken away")
            run.event(EventName.SECONDARY_KEY, key_of=key_of, key=None)
            return {"key_of": key_of, "key": None, "why": why}
        try:
            target = guard.ask(run, name, kind.needs, key_id, key_of)
        except Refused as why_not:
            run.event(EventName.GUARD_REFUSED, why=str(why_not))
            raise
        key = target.key.arn
        run.event(EventName.SECONDARY_KEY, key_of=key_of, key=key)
        others = [each.id for each in target.others]
        inject(run, faults.make(kind, aws, key, arguments or {}), target.cluster.id, others)
        return {"key_of": key_of, "key": key, "why": ""}


def watch_secondary_loss(
    key_of: str, configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """Use what a secondary key encrypts for `hold` AWS seconds, while the key is away.

    Every change is recorded as `secondary-use`. Where nothing was taken away (`if_there`), nothing
    is done. Ends at once when somebody puts the key back.

    Returns `key_of`, `works` (of the last use; null: not known) and `code` (the error's). Raises
    ActivityFailed.
    """
    with activities.plainly(configuration) as run:
        secondary_keys.check_name(key_of)
        if run.last(EventName.SECONDARY_KEY, key_of=key_of) is None:
            raise Refused(f"this run has not taken the key of {key_of} away: lose_secondary_key")
        if _lost(run, key_of) is None:
            return {"key_of": key_of, "works": None, "code": "", "why": "there is no such key"}
        name, stays = activities.cluster_id(run), KeyStaysAway(run)
        seconds = max(0.0, min(run.settings.real(run.settings.hold), time_left(run)))
        last: list[Use] = []

        def watched() -> bool:
            last.append(_use(run, name, key_of, last[-1] if last else None))
            del last[:-1]
            stays.look()
            return False

        with contextlib.suppress(TimedOut):
            Wait(
                f"{key_of} without its key", seconds, run.settings.status_poll, run.observer
            ).until(watched)
        return {"key_of": key_of, "works": last[-1].works, "code": last[-1].code, "why": ""}


def secondary_works(
    key_of: str,
    if_there: bool = False,
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> bool:
    """Wait until what a secondary key encrypts can be used.

    At most 30 seconds, and 5 minutes after this run has put a key back.

    Of `master-secret`: the password is read from Secrets Manager (GetSecretValue), and a new login
    with it works. Of `performance-insights`: GetResourceMetrics is answered. Of `activity-stream`:
    the data key of its newest record is decrypted, as a consumer has to.

    Parameters
    ----------
    key_of : as in `lose_secondary_key`.
    if_there : true also where the cluster has no such key.

    Raises ActivityFailed when it does not work. IAM: `chaos kms policy secondary`.
    """
    with activities.plainly(configuration) as run:
        name = activities.cluster_id(run)
        secondary_keys.check_name(key_of)
        last: list[Use] = []

        def works() -> bool:
            aws = Aws.of(run)
            if not last and secondary_keys.find(aws, rds.describe(aws, name), key_of) is None:
                if if_there:
                    return True
                raise Refused(f"{name} has no {secondary_keys.KEYS_OF[key_of]}")
            last.append(_use(run, name, key_of, last[-1] if last else None))
            return last[-1].works is True

        limit = WORKS_AGAIN_WITHIN if run.last(EventName.PUT_BACK) else WORKS_WITHIN
        try:
            Wait(f"{key_of} to work", limit, run.settings.status_poll, run.observer).until(works)
        except TimedOut as problem:
            raise Refused(f"{problem}: {last[-1].why if last else 'it was never used'}") from None
        return True


def secondary_told(configuration: Configuration = None, secrets: Secrets = None) -> dict[str, Any]:
    """What CloudTrail has of every secondary key that this run took away.

    Waits for the calls that took them away, at most 900 AWS seconds; what is not there by then is
    not known. Recorded as `secondary-told`. CloudTrail keeps it; it tells nobody by itself.

    Returns for each key by its kind: `taken` (UTC, or null), `failed_decrypts` (or null) and `why`.
    IAM: cloudtrail:LookupEvents.
    """
    with activities.plainly(configuration) as run:
        history = EventHistory(Aws.of(run), run.settings.real(SPACING))
        said = {}
        for key_of in secondary_keys.KEYS_OF:
            if (injected := _lost(run, key_of)) is not None:
                said[key_of] = _told(run, history, injected)
                key = injected.details["key"]
                run.event(EventName.SECONDARY_TOLD, key_of=key_of, key=key, **said[key_of])
        return said


# Internals


def _lost(run: Run, key_of: str) -> Event | None:
    """When this run last took the key of this kind away; None: it has not, or there is none."""
    named = run.last(EventName.SECONDARY_KEY, key_of=key_of)
    if named is None or named.details["key"] is None:
        return None
    return run.last(EventName.INJECTED, key=named.details["key"])


def _use(run: Run, cluster_id: str, key_of: str, before: Use | None) -> Use:
    """Uses it once, and records that, if it went otherwise than the time before."""
    began = time.monotonic_ns()
    used = use(run, cluster_id, key_of)
    if used is None:
        raise Refused(f"{cluster_id} has no {secondary_keys.KEYS_OF[key_of]} any more")
    if before is None or _as_seen(used) != _as_seen(before):
        run.event(EventName.SECONDARY_USE, Instant.now(began), key_of=key_of, **used.details())
    return used


def _as_seen(used: Use) -> tuple[object, ...]:
    """What makes one use another than the one before: not that records go on coming."""
    return used.works, used.code, used.status, used.cached_login


def _told(run: Run, history: EventHistory, injected: Event) -> dict[str, Any]:
    needs = faults.named(injected.details["fault"]).needs
    call, key = needs.inject[-1].partition(":")[2], injected.details["key"]
    at = run.anchor.utc(injected.at)
    back = run.last(EventName.PUT_BACK, key=key)
    until = run.anchor.utc(back.at) + SKEW if back else None
    found: dict[str, Any] = {"taken": None, "failed_decrypts": None, "why": ""}

    def delivered() -> bool:
        try:
            taken, _ = history.lookup(call, at - SKEW, at + SKEW)
            done = [each for each in taken if not each.error and each.about(key)]
            if not done:
                return False
            tried, whole = history.lookup("Decrypt", at - SKEW, until)
        except AwsError as problem:
            go_on_after(run, problem)
            found["why"] = str(problem)
            return False
        found["taken"] = done[0].at.isoformat()
        failed = sum(bool(each.error) and each.about(key) for each in tried)
        found["failed_decrypts"] = failed if whole else None
        found["why"] = "" if whole else "there are too many Decrypts to read"
        return True

    limit = run.settings.real(TOLD_WITHIN)
    what = f"CloudTrail to have {call} of {key}"
    with contextlib.suppress(TimedOut):
        Wait(what, limit, run.settings.status_poll, run.observer).until(delivered)
        return found
    found["why"] = found["why"] or f"not delivered within {TOLD_WITHIN:g} AWS seconds"
    return found
