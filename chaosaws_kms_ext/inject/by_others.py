"""While a run only watches: sees when somebody else takes the key away, and gives it back.

Nothing here changes anything: the key is described, its policy read, the cluster described. What
none of that shows (an organization's policy, say) is seen by the cluster's status, and much less
exactly. On the lab, the lab's own somebody is told to begin.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.key_policy import Circumstances, KeyPolicy, statements
from chaosaws_kms_ext.aws.principals import asker
from chaosaws_kms_ext.history import SECOND, Event, EventName
from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from chaosaws_kms_ext.run import Instant, Refused, Run
from chaosaws_kms_ext.waiting import TimedOut, Wait
from chaosaws_kms_ext.watcher import Look

__all__ = ["BY_OTHERS", "OTHERS", "Sight", "wait_until_back", "wait_until_taken"]

logger = logging.getLogger("chaostoolkit")

BY_OTHERS = "by-others"
"""In place of a fault's name."""
OTHERS = "others"
"""Who did it, in the events of the fault and of its end."""

INACCESSIBLE = ("recoverable", "terminal")

SEEN = {
    "key-state": "its state shows it",
    "key-policy": "its policy shows it",
    "cluster-status": "the cluster's status alone shows it",
}

CALLS = {"disable-key": "DisableKey", "deny-by-policy": "PutKeyPolicy"}
"""`lab_somebody` → the call that the lab's somebody makes."""
AFTER, LEAST_AWAY = 60.0, 600.0
"""AWS seconds until the lab's somebody begins, and for which the key is away, beside the hold: the
lab's cluster is inaccessible after 450."""

RDS, DECRYPT = "rds.amazonaws.com", "kms:Decrypt"


class Seen(NamedTuple):
    """What showed it, and when that was."""

    by: str
    when: Instant
    more: Mapping[str, Any] = MappingProxyType({})
    """`state`: the key's, where that showed it; `well_before_seconds`: how long before `when` all
    was still well, where only the cluster showed it."""


def wait_until_taken(run: Run, answered: Callable[[], bool]) -> Event | None:
    """The event that somebody took the key away; None: nobody did, in `impact_timeout` AWS
    seconds. `answered`: whether the load is. Raises Refused without a watcher, NotALab."""
    sight = run.sight = run.sight or Sight(run)
    cluster, key = sight.cluster, sight.key
    _tell_the_labs_somebody(run, cluster)
    limit = run.settings.real(run.settings.impact_timeout)
    wait = Wait("somebody to take the key away", limit, run.settings.status_poll, run.observer)
    try:
        seen = wait.until(lambda: sight.taken(answered))
    except TimedOut:
        return None
    logger.info(f"Somebody took the key away: {SEEN[seen.by]}")
    return run.event(
        EventName.INJECTED, seen.when,
        fault=BY_OTHERS, key=key, cluster=cluster, by=OTHERS, seen_by=seen.by, **seen.more,
    )  # fmt: skip


def wait_until_back(run: Run, taken: Event) -> Event:
    """The event that the key is back; raises TimedOut after `return_timeout` AWS seconds, Refused
    where the cluster is lost for good."""
    sight = run.sight
    assert sight is not None  # it has seen the key being taken away
    limit = run.settings.real(run.settings.return_timeout) - run.seconds_since(taken)
    what = "whoever took the key away to give it back"
    wait = Wait(what, max(limit, 0.0), run.settings.status_poll, run.observer)
    seen = wait.until(lambda: sight.back(taken))
    logger.info(f"The key is back: {SEEN[seen.by]}")
    return run.event(
        EventName.PUT_BACK, seen.when,
        key=sight.key, cluster=sight.cluster, by=OTHERS, seen_by=seen.by,
    )  # fmt: skip


# Internals


def _tell_the_labs_somebody(run: Run, cluster: str) -> None:
    if run.lab is None or run.settings.lab_somebody == "nobody":
        return
    Misbehaviours.of(run.lab).order(
        kind="key-taken-away",
        cluster=cluster,
        call=CALLS[run.settings.lab_somebody],
        after=AFTER,
        seconds=LEAST_AWAY + run.settings.hold,
    )


class Sight:
    """What can be seen of the key, look by look."""

    def __init__(self, run: Run) -> None:
        """The key is there now. Raises Refused without a watcher."""
        if run.watcher is None or run.target is None:
            raise Refused(
                "nothing watches key and cluster: the experiment must name the control "
                "chaosaws_kms_ext.controls.run, with `on` cluster"
            )
        self._run, self._watcher = run, run.watcher
        self.cluster, self.key = run.target.cluster.id, run.target.key.arn
        now = self._look()
        self._since = self._well = now.at
        """From when on the key was there, and until when all was well."""
        self._policy = _PolicySight(Aws.of(run), self.key)

    def taken(self, answered: Callable[[], bool]) -> Seen | None:
        """How it shows that the key was taken away; None: it does not."""
        look, policy = self._look(), self._policy.look()
        if changed := self._changed(self._since, lambda state: state != "Enabled"):
            return Seen("key-state", _instant_of(changed), {"state": changed.details["key"]})
        if not self._policy.lets:
            return Seen("key-policy", policy)
        if look.cluster.meaning in INACCESSIBLE:
            well = (look.at - max(self._well, self._since)) / SECOND
            when = _between(self._since, look.at)
            return Seen("cluster-status", when, {"well_before_seconds": round(well, 3)})
        if answered():
            # Which shows a while after the first arrivals have failed.
            self._well = look.began - round((self._run.settings.query_deadline + 1) * SECOND)
        return None

    def back(self, taken: Event) -> Seen | None:
        """How it shows that the key is back; None: it does not. Raises Refused."""
        look, policy = self._look(), self._policy.look()
        seen_by = taken.details["seen_by"]
        if look.cluster.meaning == "terminal":
            raise Refused(
                f"{look.cluster.id} is {look.cluster.status}: only a restore brings its data back"
            )
        if look.key_state != "Enabled" or not self._policy.lets:
            return None
        if seen_by == "key-state":
            changed = self._changed(taken.at, lambda state: state == "Enabled")
            return Seen(seen_by, _instant_of(changed)) if changed else None
        if seen_by == "key-policy":
            return Seen(seen_by, policy)
        if look.cluster.meaning in INACCESSIBLE:
            return None
        return Seen(seen_by, _between(taken.at, look.at))

    def _look(self) -> Look:
        """The newest of the watcher."""
        if self._run.lab and not self._run.lab.running:
            raise Refused("the lab has ended by itself")
        assert self._watcher.latest is not None  # its start has looked
        return self._watcher.latest

    def _changed(self, since: int, as_wanted: Callable[[str], bool]) -> Event | None:
        """The look of the watcher that saw the key's state change so, the first after an instant:
        it may have changed again since."""
        for event in list(self._run.events):
            its = event.name == EventName.STATUS and event.at > since
            if its and as_wanted(event.details["key"]):
                return event
        return None


class _PolicySight:
    """Whether the key's policy lets Aurora use it, as far as that can be told.

    Two answers count: for what Aurora does by itself, and for what it does for somebody. A policy
    that cannot be read, or of which it cannot be told, counts as before.
    """

    def __init__(self, aws: Aws, key: str) -> None:
        self._aws, self._key = aws, key
        self._askers = (asker(RDS, key), asker(RDS, key, "rds"))
        self._began = _now()
        self._text = ""
        self.lets = True
        """At the newest look."""
        self._first = self._answers()
        self._changed = Instant.now(self._began)

    def look(self) -> Instant:
        """Looks; returns when `lets` last changed."""
        began, before = _now(), self.lets
        answers = self._answers()
        self.lets = not any(
            first is True and now is False for first, now in zip(self._first, answers, strict=True)
        )
        if self.lets != before:
            self._changed = Instant.now(self._began)
        self._began = began
        return self._changed

    def _answers(self) -> list[bool | None]:
        try:
            self._text = kms.policy(self._aws, self._key)
        except AwsError as problem:
            logger.debug(f"the key's policy cannot be read: {problem}")
        given = Circumstances(granted=True)
        found = statements(self._text) if self._text else None
        return [KeyPolicy(found, who).decide(DECRYPT, given).allowed for who in self._askers]


def _instant_of(event: Event) -> Instant:
    return Instant(event.at, float(event.details["within_seconds"]))


def _between(begin: int, end: int) -> Instant:
    """It happened after one instant (ns) and at the latest at another."""
    end = max(begin, end)
    return Instant(end, round((end - begin) / SECOND, 3))


def _now() -> int:
    return Instant.now(0).at
