"""While a run only watches: sees when somebody else takes the key away, and gives it back.

Nothing here changes anything: the key is described, its policy read, the cluster described. What
none of that shows (an organization's policy, say) is seen by the cluster's status, and much less
exactly. On the lab, the lab's own somebody is told to begin.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

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
    state: str = ""
    """The key's, where that showed it."""


def wait_until_taken(run: Run) -> Event | None:
    """The event that somebody took the key away; None: nobody did, in `impact_timeout` AWS
    seconds. Raises Refused without a watcher, NotALab."""
    assert run.target is not None
    look, cluster, key = _watched(run), run.target.cluster.id, run.target.key.arn
    _tell_the_labs_somebody(run, cluster)
    sight = run.sight = Sight(run, key, look)
    limit = run.settings.real(run.settings.impact_timeout)
    wait = Wait("somebody to take the key away", limit, run.settings.status_poll, run.observer)
    try:
        seen = wait.until(sight.taken)
    except TimedOut:
        return None
    state = {"state": seen.state} if seen.state else {}
    logger.info(f"Somebody took the key away: {SEEN[seen.by]}")
    return run.event(
        EventName.INJECTED, seen.when,
        fault=BY_OTHERS, key=key, cluster=cluster, by=OTHERS, seen_by=seen.by, **state,
    )  # fmt: skip


def wait_until_back(run: Run, taken: Event) -> Event:
    """The event that the key is back; raises TimedOut after `return_timeout` AWS seconds, Refused
    where the cluster is lost for good."""
    sight = run.sight
    assert run.target is not None
    assert sight is not None  # it has seen the key being taken away
    limit = run.settings.real(run.settings.return_timeout) - run.seconds_since(taken)
    what = "whoever took the key away to give it back"
    wait = Wait(what, max(limit, 0.0), run.settings.status_poll, run.observer)
    seen = wait.until(lambda: sight.back(taken))
    logger.info(f"The key is back: {SEEN[seen.by]}")
    return run.event(
        EventName.PUT_BACK, seen.when,
        key=run.target.key.arn, cluster=run.target.cluster.id, by=OTHERS, seen_by=seen.by,
    )  # fmt: skip


# Internals


def _watched(run: Run) -> Callable[[], Look]:
    """The newest look of the run's watcher."""
    watcher = run.watcher
    if watcher is None or run.target is None:
        raise Refused(
            "nothing watches key and cluster: the experiment must name the control "
            "chaosaws_kms_ext.controls.run, with `on` cluster"
        )

    def look() -> Look:
        if run.lab and not run.lab.running:
            raise Refused("the lab has ended by itself")
        assert watcher.latest is not None  # its start has looked
        return watcher.latest

    return look


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

    def __init__(self, run: Run, key: str, look: Callable[[], Look]) -> None:
        self._run, self._look = run, look
        ready = run.last(EventName.READY)
        now = look()
        self._since = ready.at if ready else now.began
        """From when on it was there."""
        self._policy = _PolicySight(Aws.of(run), key)
        self._before = now
        """The look before."""

    def taken(self) -> Seen | None:
        """How it shows that the key was taken away; None: it does not."""
        look, before = self._look(), self._before
        self._before = look
        policy = self._policy.look()
        if look.key_state != "Enabled":
            changed = self._changed(self._since, lambda state: state != "Enabled")
            return Seen("key-state", changed or _between(before.began, look.at), look.key_state)
        if not self._policy.lets:
            return Seen("key-policy", policy)
        if look.cluster.meaning in INACCESSIBLE:
            # It was away at the latest when all was still well, but for what the load lost then.
            margin = round((self._run.settings.query_deadline + 1) * SECOND)
            return Seen("cluster-status", _between(self._since, before.began - margin))
        return None

    def back(self, taken: Event) -> Seen | None:
        """How it shows that the key is back; None: it does not. Raises Refused."""
        look, before = self._look(), self._before
        self._before = look
        policy = self._policy.look()
        seen_by = taken.details["seen_by"]
        if look.cluster.meaning == "terminal":
            raise Refused(
                f"{look.cluster.id} is {look.cluster.status}: only a restore brings its data back"
            )
        if look.key_state != "Enabled" or not self._policy.lets:
            return None
        if seen_by == "key-state":
            changed = self._changed(taken.at, lambda state: state == "Enabled")
            return Seen(seen_by, changed or _between(before.began, look.at))
        if seen_by == "key-policy":
            return Seen(seen_by, policy)
        if look.cluster.meaning in INACCESSIBLE:
            return None
        return Seen(seen_by, _between(taken.at, before.began))

    def _changed(self, since: int, as_wanted: Callable[[str], bool]) -> Instant | None:
        """When the watcher saw the key's state change so, after an instant."""
        for event in list(self._run.events):
            its = event.name == EventName.STATUS and event.at > since
            if its and as_wanted(event.details["key"]):
                return Instant(event.at, float(event.details["within_seconds"]))
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


def _between(begin: int, end: int) -> Instant:
    """It happened after one instant (ns) and at the latest at another."""
    end = max(begin, end)
    return Instant(end, round((end - begin) / SECOND, 3))


def _now() -> int:
    return Instant.now(0).at
