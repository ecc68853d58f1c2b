"""Watches key and cluster from the side, and what tells of the outage: RDS' events, and alarms.
Of other clusters that a load is on, key and cluster alone.

Every change is recorded, with how exact it is. Each of the three is asked in a thread of its own:
none waits for another.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chaosaws_kms_ext.aws import alarms, kms, rds, rds_events
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.aws.event_queue import WAIT, EventQueue
from chaosaws_kms_ext.aws.kms import Key
from chaosaws_kms_ext.history import SECOND, EventName, utc
from chaosaws_kms_ext.repeated_looks import HURRY, Recorder, Repeated, WatcherBeside, since
from chaosaws_kms_ext.run import Instant, Refused, Run

__all__ = ["MISSING", "Look", "OtherWatcher", "Watcher", "watch", "watch_beside"]

CLOCKS = timedelta(seconds=5)
"""AWS' clock may be that much behind ours. Assumed: both follow NTP."""
PATIENCE = 60.0
"""Seconds that the end waits for a look at key and cluster."""

PAUSE = 0.1
"""Seconds between two calls that wait for messages of a queue themselves."""

LATE = timedelta(hours=1)
"""An event that shows itself later than that after its date is not seen. Assumed."""

MISSING = "MISSING"
"""The state of an alarm that is not there any more."""


@dataclass(frozen=True)
class Look:
    """Key and cluster at one instant."""

    began: int
    at: int
    """CLOCK_MONOTONIC, ns: when AWS was asked, and when the answers had come."""
    key: Key
    cluster: Database

    @property
    def key_state(self) -> str:
        """As KMS says it."""
        return self.key.state

    def in_words(self) -> list[str]:
        """For the live line: the key, and the cluster."""
        left = self.key.seconds_until_deletion(datetime.now(UTC))
        deleted = "" if left is None else f", deleted in {left / 3600:.1f} h"
        return [f"key {self.key_state}{deleted}", f"{self.cluster.kind.word} {self.cluster.status}"]


class Watcher:
    """Looks at the key and the cluster every `interval` seconds; at events and alarms, too.

    A change is recorded as an event `status` whose `at` is the look that saw it; it happened at
    most `within_seconds` earlier. So are `rds-event` and `alarm`.
    """

    def __init__(self, run: Run, aws: Aws, cluster_id: str, key_arn: str, interval: float) -> None:
        self.key = key_arn
        self._interval = interval
        self._sources: set[str] = set()
        self._record = record = Recorder(run)
        self._status = _Status(record, aws, cluster_id, key_arn, EventName.STATUS)
        self._named = tuple(dict.fromkeys(run.settings.alarms))
        self._alarms = _Alarms(record, aws, self._named)
        self._arns: set[str] = set()
        given = run.settings.events_queue
        self._queue = EventQueue(aws, given) if given else None
        if self._queue:
            look, pause = _QueuedKeyEvents(record, self._queue, self._arns).look, PAUSE
        else:
            look, pause = _KeyEvents(record, aws, self._sources).look, interval
        self._watches = [
            Repeated(record, interval, self._look, EventName.STATUS_UNKNOWN),
            Repeated(record, pause, look, EventName.RDS_EVENTS_UNKNOWN, at_once=True),
        ]

    @property
    def latest(self) -> Look | None:
        """The newest look at key and cluster."""
        return self._status.latest

    def start(self) -> None:
        """Takes the first look here, so that what is wrong is raised here; then goes on beside.

        Raises AwsError, and Refused where an alarm or the queue is not there.
        """
        self._look()
        if self._queue:
            self._queue.find()
        if self._named:
            unknown = EventName.ALARMS_UNKNOWN
            watch_alarms = Repeated(self._record, self._interval, self._alarms.look, unknown)
            watch_alarms.try_look()
            if gone := self._alarms.missing:
                raise Refused(f"CHAOS_ALARMS names {gone[0]}, and there is no such alarm")
            self._watches.append(watch_alarms)
        for each in self._watches:
            each.start()

    def stop(self) -> None:
        """Ends the threads; safe to call again."""
        for each in self._watches:
            each.end()
        status, *others = self._watches
        status.join(PATIENCE)
        for each in others:
            each.join(HURRY)
        self._record.close()

    def _look(self) -> None:
        cluster = self._status.look().cluster
        self._sources.update((cluster.id, *cluster.instances))
        here = cluster.arn.partition(f":{cluster.kind.arn}:")[0]
        self._arns.update((cluster.arn, *(f"{here}:db:{each}" for each in cluster.instances)))


class OtherWatcher(WatcherBeside):
    """Looks at another cluster of the run, and its key: each change is an event `other-status`."""

    def __init__(self, run: Run, aws: Aws, cluster: Database) -> None:
        record = Recorder(run)
        name, unknown = EventName.OTHER_STATUS, EventName.OTHER_STATUS_UNKNOWN
        status = _Status(record, aws, cluster.id, cluster.key, name, of=cluster.id)
        super().__init__(record, run.settings.status_poll, status.look, unknown)


def watch(run: Run, aws: Aws, cluster_id: str, key_arn: str) -> Watcher:
    """The run's watcher, which watches these; raises AwsError and Refused."""
    watcher = Watcher(run, aws, cluster_id, key_arn, run.settings.status_poll)
    watcher.start()
    run.at_end.callback(watcher.stop)
    run.watcher = watcher
    return watcher


def watch_beside(run: Run, aws: Aws, cluster: Database) -> None:
    """Watches this cluster too, if the run is about another one and nobody does yet."""
    about = run.target.cluster.id if run.target else ""
    if cluster.id == about or cluster.id in run.other_watchers or not cluster.key:
        return
    watcher = OtherWatcher(run, aws, cluster)
    run.at_end.callback(watcher.stop)
    run.other_watchers[cluster.id] = watcher
    watcher.start()


# Internals


class _Status:
    """Key and cluster, each change recorded."""

    def __init__(
        self, record: Recorder, aws: Aws, cluster_id: str, key: str, name: EventName, **about: str
    ) -> None:
        """`key`: its ARN. `name`: of the event, which says `about` as well."""
        self._record, self._aws = record, aws
        self._cluster_id, self._key = cluster_id, key
        self._name, self._about = name, about
        self.latest: Look | None = None

    def look(self) -> Look:
        """Raises AwsError."""
        before, began = self.latest, time.monotonic_ns()
        key = kms.describe(self._aws, self._key)
        cluster = rds.describe(self._aws, self._cluster_id)
        look = Look(began, time.monotonic_ns(), key, cluster)
        if before is None or _visible(before) != _visible(look):
            earlier = look.at if before is None else before.began
            self._record(
                self._name,
                since(earlier, look.at),
                **self._about,
                key=look.key_state,
                cluster=cluster.status,
                instances=dict(cluster.instances),
                meaning=cluster.meaning,
            )
        self.latest = look
        return look


class _KeyEvents:
    """The RDS events of the key, each recorded once."""

    def __init__(self, record: Recorder, aws: Aws, sources: set[str]) -> None:
        """`sources`: the ids of the cluster and its instances; others' events are left out."""
        self._record, self._aws, self._sources = record, aws, sources
        self._seen: set[rds_events.KeyEvent] = set()
        self._first = datetime.now(UTC) - CLOCKS
        self._answered = self._first
        self._began = time.monotonic_ns()

    def look(self) -> None:
        """Raises AwsError."""
        began, date = time.monotonic_ns(), datetime.now(UTC)
        found = rds_events.of_region(self._aws, max(self._first, self._answered - LATE))
        at = time.monotonic_ns()
        for each in found:
            if each.source in self._sources and each not in self._seen:
                self._seen.add(each)
                _record_event(self._record, each, since(self._began, at), "DescribeEvents")
        self._began, self._answered = began, date


class _QueuedKeyEvents:
    """The same from a queue, to which EventBridge sends them.

    Only what was recorded is deleted: what is about another cluster, was sent before the run, or is
    no such event at all, is somebody else's, and comes back when the queue's visibility timeout has
    passed.
    """

    def __init__(self, record: Recorder, queue: EventQueue, arns: set[str]) -> None:
        """`arns`: of the cluster and its instances."""
        self._record, self._queue, self._arns = record, queue, arns
        self._seen: set[rds_events.KeyEvent] = set()
        self._first = datetime.now(UTC) - CLOCKS
        self._empty = time.monotonic_ns()
        """When nothing was in it."""

    def look(self) -> None:
        """Raises AwsError."""
        began = time.monotonic_ns()
        messages = self._queue.receive()
        at = time.monotonic_ns()
        for message in messages:
            event = message.event
            if event is None or message.source_arn not in self._arns or event.date < self._first:
                continue
            if event not in self._seen:
                self._seen.add(event)
                _record_event(self._record, event, since(self._empty, at), "EventBridge")
            self._queue.delete(message)
        if not messages:
            self._empty = min(began + WAIT * SECOND, at)


class _Alarms:
    """The states of alarms, each change recorded."""

    def __init__(self, record: Recorder, aws: Aws, named: Sequence[str]) -> None:
        self._record, self._aws, self._named = record, aws, named
        self._known: dict[str, str] = {}
        self._blind = True
        """Whether the last look failed: what became of them meanwhile is not known."""
        self._began = time.monotonic_ns()

    @property
    def missing(self) -> list[str]:
        """Those that were not there at the last look."""
        return [name for name, state in self._known.items() if state == MISSING]

    def look(self) -> None:
        """Raises AwsError."""
        began = time.monotonic_ns()
        blind, self._blind = self._blind, True
        found = alarms.describe(self._aws, self._named)
        at, self._blind = time.monotonic_ns(), False
        for name in self._named:
            its = found.get(name, alarms.Alarm(MISSING, ""))
            if blind or its.state != self._known.get(name):
                self._record(
                    EventName.ALARM,
                    since(self._began, at),
                    alarm=name,
                    state=its.state,
                    before=self._known.get(name),
                    date=its.since,
                )
            self._known[name] = its.state
        self._began = began


def _record_event(record: Recorder, event: rds_events.KeyEvent, when: Instant, by: str) -> None:
    record(
        EventName.RDS_EVENT,
        when,
        event=event.id,
        source=event.source,
        message=event.message,
        date=utc(event.date.astimezone(UTC)),
        by=by,
    )


def _visible(look: Look) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    cluster = look.cluster
    return look.key_state, cluster.status, tuple(sorted(cluster.instances.items()))
