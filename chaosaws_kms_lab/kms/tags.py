"""Tags on keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.kms.lookup import key_for
from chaosaws_kms_lab.kms.paging import TAGS, page
from chaosaws_kms_lab.kms.states import Handler
from chaosaws_kms_lab.world import World

__all__ = ["OPERATIONS", "added"]

MOST_TAGS = 50
"""AWS KMS Developer Guide, "Tags in AWS KMS"."""


def added(tags: Mapping[str, str], pairs: list[dict[str, str]]) -> dict[str, str]:
    """`tags` with the Tags of a request; raises AwsError for what AWS would not take."""
    more = {pair["TagKey"]: pair["TagValue"] for pair in pairs}
    if len(more) < len(pairs):
        raise AwsError("TagException", "Duplicate tag keys")
    if any(name.lower().startswith("aws:") for name in more):
        raise AwsError("TagException", "Tags beginning with aws: are reserved")
    if len(more) > MOST_TAGS:
        raise AwsError("TagException", "Too many tags")
    if len({**tags, **more}) > MOST_TAGS:
        raise AwsError("LimitExceededException", f"A key has at most {MOST_TAGS} tags")
    return {**tags, **more}


def tag_resource(world: World, call: Call) -> dict[str, Any]:
    """TagResource."""
    key = key_for(world, call)
    key.tags = added(key.tags, call.params["Tags"])
    return {}


def untag_resource(world: World, call: Call) -> dict[str, Any]:
    """UntagResource; a tag that is not there is no error."""
    key = key_for(world, call)
    for name in call.params["TagKeys"]:
        key.tags.pop(name, None)
    return {}


def list_resource_tags(world: World, call: Call) -> dict[str, Any]:
    """ListResourceTags."""
    tags = key_for(world, call).tags.items()
    return page(TAGS, "Tags", [{"TagKey": k, "TagValue": v} for k, v in tags], call.params)


OPERATIONS: dict[str, Handler] = {
    "ListResourceTags": list_resource_tags,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
}
