"""Probes of the audit: does CloudTrail say who took the key away, and what that did to Aurora?"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities, faults
from chaosaws_kms_ext.aws import kms, rds
from chaosaws_kms_ext.aws.client import Aws, AwsError, go_on_after
from chaosaws_kms_ext.aws.cloudtrail import SPACING, EventHistory, Logged
from chaosaws_kms_ext.history import Event, EventName
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.waiting import TimedOut, Wait

__all__ = ["audit_events", "who_took_the_key"]

AUDIT_TIMEOUT = 900.0
"""AWS seconds to wait for events. CloudTrail User Guide, "Getting and viewing your CloudTrail log
files": "within an average of about 5 minutes of an API call. This time is not guaranteed"."""

SKEW = timedelta(seconds=5)
"""By how much the date of a call of ours may differ from when it was answered here: by the whole
seconds of a date, by the way there and back, and by how wrong this machine's clock is. If that is
more wrong, our calls are not found, which is better than somebody else's."""

BY_STATE = {
    "Disabled": ("DisableKey", "EnableKey"),
    "PendingDeletion": ("ScheduleKeyDeletion", "EnableKey"),
    "PendingImport": ("DeleteImportedKeyMaterial", "ImportKeyMaterial"),
}
"""A state of a key that somebody else took away → the calls that do it, and that end it."""
BY_POLICY = ("PutKeyPolicy", "PutKeyPolicy")
Pick = Callable[..., Logged]
NO_CALLS = ("", "")
"""Neither the key's state nor its policy showed it: any call may have done it."""

UNLESS_OURS = "disable-key"
"""The fault whose calls are looked for if this run has injected none."""

AWAY = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "DisabledException",
        "KMSInvalidStateException",
    }
)
"""What Decrypt is refused with when the key is away (API reference, Decrypt)."""


def audit_events(
    key_id: str = "",
    cluster_id: str = "",
    since: str = "",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """Who took the key away and put it back, and how often Aurora failed to use it, by CloudTrail.

    Looks at the event history of the Region (management events, 90 days; no trail is needed) until
    everything of this run is there, at most 900 AWS seconds. What is not there by then is reported
    as unknown, not as something that did not happen.

    Parameters
    ----------
    key_id : an id, an ARN or an alias; by default the key of this run's cluster.
    cluster_id : the DB cluster whose Decrypts are counted; by default the one of this run.
    since : an instant in ISO 8601 (UTC if it says no zone) from which on to look; by default the
        start of this run.

    Returns `complete` (bool), `disabled_by` and `enabled_by` (`who`: an ARN, `when`: UTC,
    `event_id`; or null), `failed_decrypts` (at least so many with the cluster's encryption
    context), `first_failed_decrypt` (UTC, or null) and `unknown` (a sentence for each thing that
    was not delivered). The calls are those of this run's fault (of a disabled key, if it injected
    none). Those count that are nearest to this run's own in time, within 5 s; if it made none, the
    last ones. Recorded as the event `audit`. Where somebody else took the key away
    (`wait_until_key_is_taken`), theirs are looked for, and `started_by` is who called
    StartDBCluster or StartDBInstance; it is left out where that is not known yet.

    Raises ActivityFailed. IAM: cloudtrail:LookupEvents, kms:DescribeKey, rds:DescribeDBClusters,
    rds:DescribeDBInstances.
    """
    with activities.plainly(configuration) as run:
        begun = _instant(since) if since else run.started - SKEW
        return _asked(run, key_id or activities.key_id(run), cluster_id, begun)


def who_took_the_key(
    configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """Who took this run's key away while it only watched, and who gave it back, by CloudTrail.

    As `audit_events`; but nothing is asked where nobody took it, and a CloudTrail that refuses to
    tell is no failure: then it is not known.

    Returns what `audit_events` does, or `asked` (false) and `why`. IAM: as `audit_events`.
    """
    with activities.plainly(configuration) as run:
        if run.last(EventName.INJECTED) is None:
            return {"asked": False, "why": "nobody took the key away"}
        try:
            return _asked(run, activities.key_id(run), "", run.started - SKEW)
        except AwsError as problem:
            return {"asked": False, "why": str(problem)}


# Internals


def _asked(run: Run, key_id: str, cluster_id: str, since: datetime) -> dict[str, Any]:
    """What CloudTrail tells, recorded; raises AwsError, Refused."""
    aws = Aws.of(run)
    key = kms.describe(aws, key_id).arn
    cluster = rds.describe(aws, cluster_id or activities.cluster_id(run))
    injected = run.last(EventName.INJECTED, key=key)
    audit = _Audit(
        *_calls_of(injected),
        EventHistory(aws, run.settings.real(SPACING)),
        key,
        cluster.context,
        since,
        _at(run, EventName.INJECTED, key=key),
        _at(run, EventName.PUT_BACK, key=key),
        slack=timedelta(seconds=_inexact(run, key)),
        by_others=injected is not None and bool(injected.details.get("by")),
    )
    _wait_for(run, audit)
    said = audit.said()
    if injected and injected.details.get("by"):
        said |= _started(run, audit, cluster.id)
    run.event(EventName.AUDIT, key=key, cluster=cluster.id, **said)
    return said


def _calls_of(injected: Event | None) -> tuple[str, str]:
    """CloudTrail's names of the calls that took the key away, and that put it back."""
    if injected is None or not injected.details.get("by"):
        needs = faults.named(injected.details["fault"] if injected else UNLESS_OURS).needs
        return _event(needs.inject[-1]), _event(needs.undo[-1])
    if injected.details["seen_by"] == "key-policy":
        return BY_POLICY
    return BY_STATE.get(injected.details.get("state", ""), NO_CALLS)


def _inexact(run: Run, key: str) -> float:
    """By how many seconds the instants of the fault and of its end can be too late."""
    found = (run.last(name, key=key) for name in (EventName.INJECTED, EventName.PUT_BACK))
    return max((float(event.details["within_seconds"]) for event in found if event), default=0.0)


def _started(run: Run, audit: _Audit, cluster_id: str) -> dict[str, Any]:
    """Who started the database since the key was back; empty where it is not known."""
    back = run.last(EventName.PUT_BACK)
    if back is None:
        return {}
    left = (e for e in list(run.events) if e.name == EventName.STATUS and e.at >= back.at)
    gone = next((e for e in left if e.details["meaning"] in ("accessible", "changing")), None)
    since = run.anchor.utc(back.at) - audit.slack - SKEW
    try:
        found, _ = audit.history.lookup(rds.kind_of(cluster_id).start_operation, since)
    except AwsError as problem:
        go_on_after(run, problem)
        return {}
    its = [each for each in found if not each.error and each.about_database(cluster_id)]
    if its:
        return {"started_by": _by(its[0])}
    delivered = gone and run.settings.aws_seconds(run.seconds_since(gone)) >= AUDIT_TIMEOUT
    return {"started_by": None} if delivered else {}


def _wait_for(run: Run, audit: _Audit) -> None:
    """Until everything is there, or AUDIT_TIMEOUT has passed: then as far as it is."""

    def delivered() -> bool:
        with _told(run, audit):
            audit.find_calls()
            if not audit.missing_calls():
                audit.count_decrypts()
        return not audit.missing()

    limit = run.settings.real(AUDIT_TIMEOUT)
    what = "CloudTrail to deliver the events"
    observer = run.observer
    with contextlib.suppress(TimedOut):
        Wait(what, limit, run.settings.status_poll, observer).until(delivered)
    if audit.missing_calls():
        problem = audit.problem
        with _told(run, audit):
            audit.count_decrypts()  # of which there may be many, so not at every look
        audit.problem = audit.problem or problem


@contextlib.contextmanager
def _told(run: Run, audit: _Audit) -> Iterator[None]:
    """Around a look: why it told nothing. Raises what will be no better at the next one."""
    audit.problem = ""
    try:
        yield
    except AwsError as problem:
        go_on_after(run, problem)
        audit.problem = str(problem)


@dataclass
class _Audit:
    """What has been found so far."""

    takes: str
    """The event's name of the call that takes the key away."""
    gives: str
    """The event's name of the last call that puts it back."""
    history: EventHistory
    key: str
    context: tuple[str, str]
    """The encryption context of the database that is under it."""
    since: datetime
    injected: datetime | None
    put_back: datetime | None
    """When this run took the key away and put it back, by this machine's clock."""
    disabled: Logged | None = None
    enabled: Logged | None = None
    decrypts: list[Logged] = field(default_factory=list)
    all_read: bool = True
    problem: str = ""
    """Why the newest look told nothing."""
    slack: timedelta = timedelta()
    """How much earlier the two can have been."""
    by_others: bool = False
    """Whether the calls are somebody else's."""

    def find_calls(self) -> None:
        """Looks for the calls that are still missing; raises AwsError."""
        if self.disabled is None and self.takes:
            self.disabled = self._find(self.takes, self.injected, min)
        if self.enabled is None and self.gives and self._is_back:
            self.enabled = self._find(self.gives, self.put_back, max)

    def count_decrypts(self) -> None:
        """Looks for what Aurora failed to decrypt while the key was away; raises AwsError."""
        ours = self.injected - self.slack if self.injected else self.since
        begun = self.disabled.at if self.disabled else ours
        ended = self.enabled.at + SKEW if self.enabled else None
        found, self.all_read = self.history.lookup("Decrypt", begun, ended)
        self.decrypts = [each for each in found if self._failed(each)]

    def missing_calls(self) -> list[str]:
        """Which calls on the key are not there, in words."""
        if not self.takes:
            return []
        missing = [f"{self.takes} of {self.key}"] if self.disabled is None else []
        if self.enabled is None and self._is_back:
            missing.append(f"{self.gives} of {self.key}")
        return missing

    def missing(self) -> list[str]:
        """What is not there, in words."""
        decrypt = f"a failed Decrypt of the database ({': '.join(self.context)})"
        return [*self.missing_calls(), *([] if self.decrypts else [decrypt])]

    def said(self) -> dict[str, Any]:
        """The report."""
        unknown = [f"{what}: not delivered within {AUDIT_TIMEOUT:g} s" for what in self.missing()]
        if not self.takes:
            unknown.append("who took the key away: neither its state nor its policy showed a call")
        if not self.all_read:
            unknown.append("whether there were more failed Decrypts: too many events to read")
        if unknown and self.problem:
            unknown.append(f"CloudTrail could not be asked: {self.problem}")
        return {
            "complete": not unknown,
            "disabled_by": _by(self.disabled),
            "enabled_by": _by(self.enabled),
            "failed_decrypts": len(self.decrypts),
            "first_failed_decrypt": self.decrypts[0].at.isoformat() if self.decrypts else None,
            "unknown": unknown,
        }

    @property
    def _is_back(self) -> bool:
        """Whether it should be put back: not as long as this run keeps the key away."""
        return self.put_back is not None or self.injected is None

    def _find(self, name: str, ours: datetime | None, of_others: Pick) -> Logged | None:
        """The call on the key that is nearest to the run's own; if it made none, the last one.

        Of others it is known to lie between two looks, and both ends may be the same call (of
        PutKeyPolicy, say): `of_others` takes the first or the last of several.
        """
        begun = max(self.since, ours - SKEW - self.slack) if ours else self.since
        found, _ = self.history.lookup(name, begun, ours + SKEW if ours else None)
        done = [each for each in found if not each.error and each.about(self.key)]
        if not done:
            return None
        if self.by_others:
            return of_others(done, key=lambda each: each.at)
        return done[-1] if ours is None else min(done, key=lambda each: abs(each.at - ours))

    def _failed(self, event: Logged) -> bool:
        context = event.parameters.get("encryptionContext") or {}
        name, resource = self.context
        return event.error in AWAY and bool(resource) and context.get(name) == resource


def _event(action: str) -> str:
    """CloudTrail's name of an IAM action's call."""
    return action.partition(":")[2]


def _at(run: Run, name: EventName, **details: str) -> datetime | None:
    """When this run last did so."""
    event = run.last(name, **details)
    return run.anchor.utc(event.at) if event else None


def _by(event: Logged | None) -> dict[str, str] | None:
    if event is None:
        return None
    return {"who": event.who, "when": event.at.isoformat(), "event_id": event.id}


def _instant(text: str) -> datetime:
    try:
        read = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise Refused(f"since must be an instant as 2026-01-31T10:00:00Z, not {text!r}") from None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
