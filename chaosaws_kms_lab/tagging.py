"""The Resource Groups Tagging API: the lab's keys and clusters together with moto's resources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.secrets_manager import Moto
from chaosaws_kms_lab.world import World

__all__ = ["OPERATIONS", "handle"]

Others = Callable[[dict[str, Any]], dict[str, Any]]
"""Asks moto the same operation with these parameters."""

Mapping = dict[str, Any]
"""A ResourceTagMapping."""

OURS = ("kms", "rds")
MOST = 100


def handle(world: World, call: Call, moto: Moto) -> dict[str, Any]:
    """Answers one call; raises AwsError as AWS would."""
    return OPERATIONS[call.operation](world, call, partial(moto, call.operation))


def get_resources(world: World, call: Call, others: Others) -> dict[str, Any]:
    """GetResources: what has tags and passes the filters, the lab's before moto's."""
    params = call.params
    size = params.get("ResourcesPerPage", 50)
    if not 1 <= size <= MOST:
        raise AwsError("InvalidParameterException", f"ResourcesPerPage is from 1 to {MOST}")
    token = params.get("PaginationToken") or "0"
    if not token.isdecimal():
        raise AwsError(
            "InvalidParameterException", "The pagination token is not one that was given"
        )
    with world.lock:
        found = list(_matching(_own(world, call.region), params))
    found += _of_moto(params, others)
    first = int(token)
    end = first + size
    more = str(end) if end < len(found) else ""
    return {"ResourceTagMappingList": found[first:end], "PaginationToken": more}


def _own(world: World, region_name: str) -> Iterator[Mapping]:
    region = world.region(region_name)
    ours = region.keys, region.clusters, region.instances, region.snapshots, region.db_snapshots
    for things in ours:
        for thing in things.values():
            if thing.tags:
                tags = [{"Key": key, "Value": value} for key, value in thing.tags.items()]
                yield {"ResourceARN": thing.arn, "Tags": tags}


def _matching(found: Iterable[Mapping], params: dict[str, Any]) -> Iterator[Mapping]:
    types, arns = params.get("ResourceTypeFilters"), params.get("ResourceARNList")
    for each in found:
        arn = each["ResourceARN"]
        if types and not _is_of(arn, types):
            continue
        if arns and arn not in arns:
            continue
        if all(_has(each, wanted) for wanted in params.get("TagFilters", [])):
            yield each


def _is_of(arn: str, types: list[str]) -> bool:
    """A type filter is a service, or a service and a type: kms, rds:cluster."""
    parts = arn.split(":", 5)
    service, kind = parts[2], parts[5].replace("/", ":").split(":")[0]
    return service in types or f"{service}:{kind}" in types


def _has(each: Mapping, wanted: dict[str, Any]) -> bool:
    values = wanted.get("Values") or []
    return any(
        tag["Key"] == wanted["Key"] and (not values or tag["Value"] in values)
        for tag in each["Tags"]
    )


def _of_moto(params: dict[str, Any], others: Others) -> list[Mapping]:
    """All of moto's pages, without keys and clusters: moto's are not the lab's."""
    found: list[Mapping] = []
    asked = {k: v for k, v in params.items() if k not in ("PaginationToken", "ResourcesPerPage")}
    while True:
        page = others(asked)
        found += page["ResourceTagMappingList"]
        if not page.get("PaginationToken"):
            break
        asked = asked | {"PaginationToken": page["PaginationToken"]}
    return [each for each in found if each["ResourceARN"].split(":")[2] not in OURS]


OPERATIONS: dict[str, Callable[[World, Call, Others], dict[str, Any]]] = {
    "GetResources": get_resources
}
