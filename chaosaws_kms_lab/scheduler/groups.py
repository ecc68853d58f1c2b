"""Operations on schedule groups and their tags. EventBridge Scheduler API reference."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call
from chaosaws_kms_lab.scheduler.paging import page
from chaosaws_kms_lab.scheduler.service import DEFAULT, Group, Scheduler

__all__ = ["OPERATIONS"]

MOST_GROUPS = 500
"""User Guide, "Quotas for Amazon EventBridge Scheduler"."""


def create_schedule_group(service: Scheduler, call: Call) -> dict[str, Any]:
    """CreateScheduleGroup; the same request with the same ClientToken changes nothing more."""
    name = call.params["Name"]
    groups = service.groups(call.region)
    known = groups.get(name)
    if known is not None:
        if "ClientToken" in call.params and known.request == call.params:
            return {"ScheduleGroupArn": known.arn}
        raise AwsError("ConflictException", f"Schedule group {name} already exists.")
    if len(groups) >= MOST_GROUPS:
        why = f"There are {MOST_GROUPS} schedule groups already."
        raise AwsError("ServiceQuotaExceededException", why)
    now = service.clock.utc()
    tags = _added({}, call.params.get("Tags", []))
    made = Group(name, call.region, now, now, dict(call.params), tags)
    service.add_group(made)
    return {"ScheduleGroupArn": made.arn}


def get_schedule_group(service: Scheduler, call: Call) -> dict[str, Any]:
    """GetScheduleGroup."""
    return _told(service.group(call.region, call.params["Name"]))


def delete_schedule_group(service: Scheduler, call: Call) -> dict[str, Any]:
    """DeleteScheduleGroup, with its schedules."""
    group = service.group(call.region, call.params["Name"])
    if group.name == DEFAULT:
        raise AwsError("ValidationException", "The default schedule group cannot be deleted.")
    service.remove_group(group)
    return {}


def list_schedule_groups(service: Scheduler, call: Call) -> dict[str, Any]:
    """ListScheduleGroups."""
    prefix = call.params.get("NamePrefix", "")
    groups = sorted(service.groups(call.region).items())
    found = [_told(group) for name, group in groups if name.startswith(prefix)]
    return page("ScheduleGroups", found, call.params)


def tag_resource(service: Scheduler, call: Call) -> dict[str, Any]:
    """TagResource."""
    group = _by_arn(service, call)
    group.tags = _added(group.tags, call.params["Tags"])
    group.modified = service.clock.utc()
    return {}


def untag_resource(service: Scheduler, call: Call) -> dict[str, Any]:
    """UntagResource; a tag that is not there is no error."""
    group = _by_arn(service, call)
    for name in call.params["TagKeys"]:
        group.tags.pop(name, None)
    group.modified = service.clock.utc()
    return {}


def list_tags_for_resource(service: Scheduler, call: Call) -> dict[str, Any]:
    """ListTagsForResource."""
    tags = _by_arn(service, call).tags.items()
    return {"Tags": [{"Key": name, "Value": value} for name, value in tags]}


def _by_arn(service: Scheduler, call: Call) -> Group:
    arn = call.params["ResourceArn"]
    here = f"arn:aws:scheduler:{re.escape(call.region)}:{ACCOUNT}:schedule-group/(.+)"
    named = re.fullmatch(here, arn)
    if named is None:
        raise AwsError("ResourceNotFoundException", f"{arn} does not exist.")
    return service.group(call.region, named[1])


def _told(group: Group) -> dict[str, Any]:
    return {
        "Arn": group.arn,
        "Name": group.name,
        "State": "ACTIVE",
        "CreationDate": group.created,
        "LastModificationDate": group.modified,
    }


def _added(tags: dict[str, str], pairs: list[dict[str, str]]) -> dict[str, str]:
    more = {pair["Key"]: pair["Value"] for pair in pairs}
    if any(name.lower().startswith("aws:") for name in more):
        raise AwsError("ValidationException", "The prefix aws: is reserved for AWS.")
    return {**tags, **more}


OPERATIONS: dict[str, Callable[[Scheduler, Call], dict[str, Any]]] = {
    "CreateScheduleGroup": create_schedule_group,
    "DeleteScheduleGroup": delete_schedule_group,
    "GetScheduleGroup": get_schedule_group,
    "ListScheduleGroups": list_schedule_groups,
    "ListTagsForResource": list_tags_for_resource,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
}
