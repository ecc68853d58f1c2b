"""Schedules and groups, and the thread that invokes their targets."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chaosaws_kms_lab.calls import ACCOUNT, AwsError
from chaosaws_kms_lab.clock import Clock
from chaosaws_kms_lab.scheduler import retries, targets
from chaosaws_kms_lab.scheduler.plans import Plan
from chaosaws_kms_lab.scheduler.retries import Exhausted
from chaosaws_kms_lab.scheduler.targets import InvocationFailed, Target

__all__ = ["DEFAULT", "Attempt", "Group", "Invoke", "Schedule", "Scheduler"]

logger = logging.getLogger(__name__)

Invoke = Callable[[str, str, dict[str, Any], str, str], None]
"""Service, operation, parameters, Region, the role's ARN; raises InvocationFailed."""

DEFAULT = "default"
"""The group that every Region begins with."""

KEPT = 100
"""Attempts of a schedule that are remembered."""

SHORTEST_WAIT = 0.01
LONGEST_WAIT = 3600.0
"""Seconds between two looks at what is due; a change ends the wait."""


@dataclass(frozen=True)
class Attempt:
    """One call of a target that was made."""

    scheduled: datetime
    at: datetime
    failure: str | None
    """The error's code; None: the target took it."""


@dataclass(eq=False)
class Group:
    """A schedule group."""

    name: str
    region: str
    created: datetime
    modified: datetime
    request: dict[str, Any]
    """The parameters that it was made with, ClientToken included."""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:aws:scheduler:{self.region}:{ACCOUNT}:schedule-group/{self.name}"


@dataclass(eq=False)
class Schedule:
    """A schedule, its next instant and its attempts."""

    name: str
    group: str
    region: str
    created: datetime
    modified: datetime
    request: dict[str, Any]
    """The parameters of its creation or last update."""
    plan: Plan
    target: Target
    due: datetime | None
    """When it fires next."""
    attempts: deque[Attempt] = field(default_factory=lambda: deque(maxlen=KEPT))

    @property
    def arn(self) -> str:
        return f"arn:aws:scheduler:{self.region}:{ACCOUNT}:schedule/{self.group}/{self.name}"

    @property
    def state(self) -> str:
        return str(self.request.get("State", "ENABLED"))

    @property
    def deletes_itself(self) -> bool:
        return bool(self.request.get("ActionAfterCompletion") == "DELETE")


@dataclass(eq=False)
class Firing:
    """An invocation that is not over: not yet tried, or to be tried again."""

    schedule: Schedule
    scheduled: datetime
    when: datetime
    failures: int = 0
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:16])

    def attributes(self) -> dict[str, str]:
        return {
            "schedule-arn": self.schedule.arn,
            "scheduled-time": _iso(self.scheduled),
            "execution-id": self.id,
            "attempt-number": str(self.failures + 1),
        }


class Scheduler:
    """All schedules of all Regions. `start` starts its thread; without one, `tick` is its time.

    Only the wall clock counts: a schedule is never compressed.
    """

    def __init__(self, clock: Clock, invoke: Invoke) -> None:
        self.clock = clock
        self._invoke = invoke
        self._changed = threading.Condition()
        self._groups: dict[tuple[str, str], Group] = {}
        self._schedules: dict[tuple[str, str, str], Schedule] = {}
        self._firings: list[Firing] = []
        self._thread: threading.Thread | None = None
        self._closed = False

    # What exists; the lock is held

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Holds the lock, and afterwards wakes the thread."""
        with self._changed:
            yield
            self._changed.notify_all()

    def groups(self, region: str) -> dict[str, Group]:
        """The groups of a Region, by name."""
        if (region, DEFAULT) not in self._groups:
            now = self.clock.utc()
            self._groups[region, DEFAULT] = Group(DEFAULT, region, now, now, {})
        return {name: each for (place, name), each in self._groups.items() if place == region}

    def group(self, region: str, name: str) -> Group:
        """A group; raises AwsError when there is none."""
        found = self.groups(region).get(name)
        if found is None:
            raise AwsError("ResourceNotFoundException", f"Schedule group {name} does not exist.")
        return found

    def add_group(self, group: Group) -> None:
        self._groups[group.region, group.name] = group

    def remove_group(self, group: Group) -> None:
        """Removes a group and its schedules."""
        for schedule in self.schedules(group.region):
            if schedule.group == group.name:
                self.remove(schedule)
        del self._groups[group.region, group.name]

    def schedules(self, region: str) -> list[Schedule]:
        """The schedules of a Region, by group and name."""
        found = [each for each in self._schedules.values() if each.region == region]
        return sorted(found, key=lambda each: (each.group, each.name))

    def find(self, region: str, group: str, name: str) -> Schedule | None:
        return self._schedules.get((region, group, name))

    def put(self, schedule: Schedule) -> None:
        """Adds a schedule, or puts it in the place of one of the same name."""
        known = self.find(schedule.region, schedule.group, schedule.name)
        if known is not None:
            self.remove(known)
        self._schedules[schedule.region, schedule.group, schedule.name] = schedule

    def remove(self, schedule: Schedule) -> None:
        """Removes a schedule, and its invocations that are not over."""
        del self._schedules[schedule.region, schedule.group, schedule.name]
        self._firings = [each for each in self._firings if each.schedule is not schedule]

    # Time

    def start(self) -> None:
        """Starts the thread, which ends with the process or with `close`."""
        self._thread = threading.Thread(target=self._run, daemon=True, name="scheduler")
        self._thread.start()

    def close(self) -> None:
        """Stops the thread; waits a moment for a call that is under way."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(1)

    def tick(self) -> None:
        """Makes every attempt that is due; no lock is held while a target is called."""
        with self._changed:
            now = self.clock.utc()
            for schedule in self._schedules.values():
                if schedule.due is not None and schedule.due <= now:
                    self._firings.append(Firing(schedule, schedule.due, schedule.due))
                    schedule.due = schedule.plan.next_after(now)
            due = [each for each in self._firings if each.when <= now]
        for firing in due:
            if not self._closed:
                self._attempt(firing)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._closed:
                    self._changed.wait(self._seconds_until_due())
                if self._closed:
                    return
            try:
                self.tick()
            except Exception:
                logger.exception("an error in the scheduler")

    def _seconds_until_due(self) -> float:
        """Seconds until something is due."""
        instants = [each.due for each in self._schedules.values() if each.due is not None]
        instants += [each.when for each in self._firings]
        if not instants:
            return LONGEST_WAIT
        left = (min(instants) - self.clock.utc()).total_seconds()
        return min(max(SHORTEST_WAIT, left), LONGEST_WAIT)

    def _attempt(self, firing: Firing) -> None:
        with self._changed:
            if firing not in self._firings:
                return  # its schedule was deleted or updated
        schedule = firing.schedule
        failure = self._call(firing)
        with self._changed:
            now = self.clock.utc()
            code = failure.code if failure else None
            schedule.attempts.append(Attempt(firing.scheduled, now, code))
            if firing not in self._firings:
                return
            over: Exhausted | None = None
            if failure:
                firing.failures += 1
                policy = schedule.target.retries
                told = retries.next_attempt(policy, firing.scheduled, firing.failures, now)
                if isinstance(told, datetime):
                    firing.when = told
                    return
                over = told
            self._firings.remove(firing)
        if failure and over:
            self._send_dead_letter(firing, failure, over)
        with self._changed:
            self._delete_if_done(schedule)

    def _call(self, firing: Firing) -> InvocationFailed | None:
        target = firing.schedule.target
        try:
            request = target.request(firing.attributes())
            self._invoke(*request, firing.schedule.region, target.role)
        except InvocationFailed as failure:
            return failure
        except Exception as problem:
            logger.exception("%s could not be invoked", target.arn)
            return InvocationFailed("InternalFailure", str(problem))
        return None

    def _send_dead_letter(self, firing: Firing, failure: InvocationFailed, over: Exhausted) -> None:
        """Sends a failed invocation to the queue ("Retrieve the dead-letter event", User Guide)."""
        target = firing.schedule.target
        if target.dead_letters is None:
            return
        attributes = {
            "ERROR_CODE": failure.code,
            "ERROR_MESSAGE": failure.message,
            "EXECUTION_ID": firing.id,
            "EXHAUSTED_RETRY_CONDITION": str(over),
            "IS_PAYLOAD_TRUNCATED": "false",
            "RETRY_ATTEMPTS": str(firing.failures - 1),
            "SCHEDULED_TIME": _iso(firing.scheduled),
            "SCHEDULE_ARN": firing.schedule.arn,
            "TARGET_ARN": target.arn,
        }
        request, region = targets.dead_letter(target.dead_letters, target.input, attributes)
        try:
            self._invoke(*request, region, target.role)
        except Exception as problem:
            why = json.dumps(str(problem))
            logger.warning("the dead letter of %s was lost: %s", firing.schedule.arn, why)

    def _delete_if_done(self, schedule: Schedule) -> None:
        """Removes a schedule after its last invocation, if it was made so."""
        if not schedule.deletes_itself or schedule.due is not None:
            return
        if any(each.schedule is schedule for each in self._firings):
            return
        if schedule is self.find(schedule.region, schedule.group, schedule.name):
            self.remove(schedule)


def _iso(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
