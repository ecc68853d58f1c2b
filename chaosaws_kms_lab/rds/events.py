"""RDS events and tags."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.rds import find
from chaosaws_kms_lab.rds.tables import PAGES
from chaosaws_kms_lab.world import Cluster, Instance, Region, Snapshot

if TYPE_CHECKING:
    from chaosaws_kms_lab.rds.service import Rds

__all__ = ["OPERATIONS"]

EVENTS_KEPT = timedelta(days=14)
"""API reference, DescribeEvents."""

# The kind in an ARN → how what it names is found.
TAGGED: dict[str, Callable[[Region, str], Cluster | Instance | Snapshot]] = {
    "cluster": find.cluster,
    "cluster-snapshot": find.snapshot,
    "db": find.instance,
    "snapshot": find.db_snapshot,
}


def add_tags_to_resource(rds: Rds, call: Call) -> dict[str, Any]:
    _tags_of(rds, call).update(find.tags(call.params["Tags"]))
    return {}


def remove_tags_from_resource(rds: Rds, call: Call) -> dict[str, Any]:
    known = _tags_of(rds, call)
    for name in call.params["TagKeys"]:
        known.pop(name, None)
    return {}


def list_tags_for_resource(rds: Rds, call: Call) -> dict[str, Any]:
    return {"TagList": find.tag_list(_tags_of(rds, call))}


def describe_events(rds: Rds, call: Call) -> dict[str, Any]:
    params, now = call.params, rds.world.clock.utc()
    if params.get("SourceIdentifier") and not params.get("SourceType"):
        raise AwsError(
            "InvalidParameterCombination",
            "The parameter SourceType must be given with SourceIdentifier.",
        )
    minutes = timedelta(minutes=params.get("Duration", 60))
    end = params.get("EndTime") or now
    start = max(params.get("StartTime") or end - minutes, now - EVENTS_KEPT)
    found = [
        event
        for event in rds.world.region(call.region).events
        if start <= event.date <= end
        and params.get("SourceIdentifier", event.source_id).lower() == event.source_id
        and params.get("SourceType", event.source_type) == event.source_type
        and (
            not params.get("EventCategories")
            or set(params["EventCategories"]) & set(event.categories)
        )
    ]
    events, marker = PAGES.cut(found, params)
    described = [
        {
            "SourceIdentifier": event.source_id,
            "SourceType": event.source_type,
            "SourceArn": event.source_arn,
            "Message": event.message,
            "EventCategories": list(event.categories),
            "Date": event.date,
        }
        for event in events
    ]
    return find.paged("Events", described, marker)


# Internals


def _tags_of(rds: Rds, call: Call) -> dict[str, str]:
    arn = call.params["ResourceName"]
    kind = arn.split(":")[5] if arn.count(":") >= 6 else ""
    if kind == "global-cluster":
        for group in rds.world.global_clusters.values():
            if group.arn == arn:
                return group.tags
        raise AwsError("DBClusterNotFoundFault", f"{arn} not found.")
    if kind not in TAGGED:
        raise AwsError("InvalidParameterValue", f"The lab knows no RDS resource {arn}")
    try:
        return TAGGED[kind](rds.world.region(call.region), arn).tags
    except AwsError as error:
        if kind != "cluster-snapshot":
            raise
        # The operations on tags know the error of DB snapshots, not that of cluster snapshots.
        raise AwsError("DBSnapshotNotFound", error.message) from None


OPERATIONS = {
    "AddTagsToResource": add_tags_to_resource,
    "DescribeEvents": describe_events,
    "ListTagsForResource": list_tags_for_resource,
    "RemoveTagsFromResource": remove_tags_from_resource,
}
