"""CloudWatch's alarms in plain verbs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.history import utc

__all__ = ["Alarm", "describe"]

MOST = 100
"""Names that DescribeAlarms takes at once (API reference), and settings takes no more."""


@dataclass(frozen=True)
class Alarm:
    """What DescribeAlarms says."""

    state: str
    """`OK`, `ALARM` or `INSUFFICIENT_DATA`."""
    since: str
    """UTC, by CloudWatch's clock; empty where it does not say."""


def describe(aws: Aws, alarms: Sequence[str]) -> dict[str, Alarm]:
    """Those of these alarms that are there, by the name or the ARN that is given; raises AwsError.

    At most MOST. CloudWatch finds alarms by their names only, and only those of this account and
    Region: an ARN of another one is not there. IAM: cloudwatch:DescribeAlarms.
    """
    if not alarms:
        return {}
    asked = {
        "AlarmNames": list(dict.fromkeys(map(_name, alarms))),
        "AlarmTypes": ["MetricAlarm", "CompositeAlarm"],
        "MaxRecords": MOST,
    }
    answer = aws.call("cloudwatch", "DescribeAlarms", asked)
    found: dict[str, Alarm] = {}
    for kind in ("MetricAlarms", "CompositeAlarms"):
        for each in answer.get(kind, []):
            since = each.get("StateUpdatedTimestamp")
            alarm = Alarm(each["StateValue"], utc(since.astimezone(UTC)) if since else "")
            found |= dict.fromkeys((each["AlarmName"], each.get("AlarmArn", "")), alarm)
    return {each: found[each] for each in alarms if each in found}


def _name(alarm: str) -> str:
    """User Guide, "CloudWatch resources": the name is the last part of an ARN, colons included."""
    return alarm.split(":", 6)[6] if alarm.startswith("arn:") else alarm
