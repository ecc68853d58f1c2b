"""The RDS events that say that a key is lost, or back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chaosaws_kms_ext.aws.client import Aws

__all__ = ["BACK", "LOST", "KeyEvent", "of_instance", "of_region"]

LOST = ("RDS-EVENT-0418", "RDS-EVENT-0419")
BACK = ("RDS-EVENT-0420",)

# DescribeEvents gives messages and no ids. Aurora User Guide, USER_Events.Messages.
MESSAGES = {
    "RDS-EVENT-0418": re.compile("is unable to access the KMS encryption key"),
    "RDS-EVENT-0419": re.compile("has been unable to access the KMS encryption key"),
    "RDS-EVENT-0420": re.compile("can now successfully access the KMS encryption key"),
}


@dataclass(frozen=True)
class KeyEvent:
    """One of them."""

    id: str
    source: str
    """The id of the instance (the guide knows no such event of a cluster)."""
    date: datetime
    """By AWS' clock."""
    message: str


def of_region(aws: Aws, since: datetime) -> list[KeyEvent]:
    """Those of whatever RDS has in the Region, oldest first; raises AwsError.

    For one instance after the other it would take as many calls. IAM: rds:DescribeEvents.
    """
    return list(_found(aws, {"StartTime": since}))


def of_instance(aws: Aws, instance_id: str, since: datetime) -> list[KeyEvent]:
    """Those of one instance, oldest first; raises AwsError. IAM: rds:DescribeEvents."""
    of = {"SourceIdentifier": instance_id, "SourceType": "db-instance"}
    return list(_found(aws, {**of, "StartTime": since}))


def _found(aws: Aws, asked: dict[str, Any]) -> Iterator[KeyEvent]:
    for event in aws.pages("rds", "DescribeEvents", asked, "Events"):
        message = event.get("Message", "")
        for name, words in MESSAGES.items():
            if words.search(message):
                yield KeyEvent(name, event.get("SourceIdentifier", ""), event["Date"], message)
