"""Operations on schedules. EventBridge Scheduler API reference."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.scheduler import plans, targets
from chaosaws_kms_lab.scheduler.paging import page
from chaosaws_kms_lab.scheduler.service import DEFAULT, KEPT, Schedule, Scheduler

__all__ = ["OPERATIONS"]

OLDEST_START = timedelta(minutes=5)
"""What AWS says of an earlier StartDate: "cannot be earlier than 5 minutes ago"."""

MOMENT = timedelta(microseconds=1)


def create_schedule(service: Scheduler, call: Call) -> dict[str, Any]:
    """CreateSchedule; the same request with the same ClientToken changes nothing more."""
    group = service.group(call.region, call.params.get("GroupName", DEFAULT))
    name = call.params["Name"]
    known = service.find(call.region, group.name, name)
    if known is not None:
        if "ClientToken" in call.params and known.request == call.params:
            return {"ScheduleArn": known.arn}
        raise AwsError("ConflictException", f"Schedule {name} already exists.")
    now = service.clock.utc()
    made = _made(call, group.name, now, now)
    # A StartDate that has just passed is the first occurrence all the same. assumed: at() in the
    # past never fires
    made.due = _due(made, now if isinstance(made.plan, plans.Once) else made.plan.first - MOMENT)
    service.put(made)
    return {"ScheduleArn": made.arn}


def update_schedule(service: Scheduler, call: Call) -> dict[str, Any]:
    """UpdateSchedule: what the request leaves out gets its default."""
    known = _found(service, call)
    now = service.clock.utc()
    made = _made(call, known.group, known.created, now, known.attempts)
    made.due = _due(made, now)
    service.put(made)
    return {"ScheduleArn": made.arn}


def get_schedule(service: Scheduler, call: Call) -> dict[str, Any]:
    """GetSchedule."""
    schedule = _found(service, call)
    policy = schedule.target.retries
    retry = {
        "MaximumEventAgeInSeconds": int(policy.age.total_seconds()),
        "MaximumRetryAttempts": policy.attempts,
    }
    told = {
        "ActionAfterCompletion": "NONE",
        "ScheduleExpressionTimezone": "UTC",
        **{name: value for name, value in schedule.request.items() if name != "ClientToken"},
        "Arn": schedule.arn,
        "GroupName": schedule.group,
        "State": schedule.state,
        "CreationDate": schedule.created,
        "LastModificationDate": schedule.modified,
    }
    return {**told, "Target": {**schedule.request["Target"], "RetryPolicy": retry}}


def delete_schedule(service: Scheduler, call: Call) -> dict[str, Any]:
    """DeleteSchedule; nothing of it is tried again."""
    service.remove(_found(service, call))
    return {}


def list_schedules(service: Scheduler, call: Call) -> dict[str, Any]:
    """ListSchedules."""
    group = call.params.get("GroupName")
    if group is not None:
        service.group(call.region, group)
    prefix, state = call.params.get("NamePrefix", ""), call.params.get("State")
    found = [
        {
            "Arn": each.arn,
            "Name": each.name,
            "GroupName": each.group,
            "State": each.state,
            "CreationDate": each.created,
            "LastModificationDate": each.modified,
            "Target": {"Arn": each.target.arn},
        }
        for each in service.schedules(call.region)
        if group in (None, each.group)
        and each.name.startswith(prefix)
        and state in (None, each.state)
    ]
    return page("Schedules", found, call.params)


def _found(service: Scheduler, call: Call) -> Schedule:
    group, name = call.params.get("GroupName", DEFAULT), call.params["Name"]
    service.group(call.region, group)
    schedule = service.find(call.region, group, name)
    if schedule is None:
        raise AwsError("ResourceNotFoundException", f"Schedule {name} does not exist.")
    return schedule


def _made(
    call: Call, group: str, created: datetime, now: datetime, attempts: deque[Any] | None = None
) -> Schedule:
    """The schedule that a request describes; due is not yet known."""
    params = call.params
    window = params["FlexibleTimeWindow"]
    if window["Mode"] == "FLEXIBLE" and "MaximumWindowInMinutes" not in window:
        why = "A flexible time window needs MaximumWindowInMinutes."
        raise AwsError("ValidationException", why)
    expression, zone = params["ScheduleExpression"], params.get("ScheduleExpressionTimezone", "UTC")
    start, end = params.get("StartDate"), params.get("EndDate")
    plan = plans.read(expression, zone, start or created, end)
    if not isinstance(plan, plans.Once):
        _check_dates(start, end, now)
    return Schedule(
        name=params["Name"],
        group=group,
        region=call.region,
        created=created,
        modified=now,
        request=dict(params),
        plan=plan,
        target=targets.read(params["Target"]),
        due=None,
        attempts=deque(maxlen=KEPT) if attempts is None else attempts,
    )


def _check_dates(start: datetime | None, end: datetime | None, now: datetime) -> None:
    if start is not None and start < now - OLDEST_START:
        why = "The StartDate you specify cannot be earlier than 5 minutes ago."
        raise AwsError("ValidationException", why)
    if end is not None and end <= max(now, start or now):
        why = "The EndDate you specify must be in the future and after the StartDate."
        raise AwsError("ValidationException", why)


def _due(schedule: Schedule, after: datetime) -> datetime | None:
    return schedule.plan.next_after(after) if schedule.state == "ENABLED" else None


OPERATIONS: dict[str, Callable[[Scheduler, Call], dict[str, Any]]] = {
    "CreateSchedule": create_schedule,
    "DeleteSchedule": delete_schedule,
    "GetSchedule": get_schedule,
    "ListSchedules": list_schedules,
    "UpdateSchedule": update_schedule,
}
